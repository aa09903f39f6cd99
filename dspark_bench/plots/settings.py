"""Which points are comparable: settings that vary open panels, or name the curves of a figure."""

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from dspark_bench.metrics.lossless import LOSSY

SETTINGS = (
    "target workload temperature top_p top_k load concurrency rate scheduler acceptance "
    "max_new_tokens lengths num_requests seed dtype device threads cost calibrator speedup_basis "
    "target_hash prompts_hash machine"
).split()
_LATER = ("cost", "calibrator")
_CHAINS = "tree=none"
DRAFTER_SETTINGS = ("drafter", "drafter_name", "drafter_hash", "train_seed", "tree", "tree_nodes")
SHARED_SETTINGS = (
    "target drafter gamma tree tree_nodes workload temperature load concurrency rate scheduler "
    "dtype device threads"
).split()
LOAD_SETTINGS = ("load", "concurrency", "rate", "num_requests", "prompts_hash")
"""What changes along a load axis: more users ask for more requests."""


def panel_columns(rows: pd.DataFrame, without: Sequence[str] = ()) -> list[str]:
    """Known settings, and dotted keys that are not a known setting under another name.

    What older results do not name tells nothing apart by its absence.
    """
    dotted = [name for name in map(str, rows.columns) if "." in name]
    others = [
        name
        for name in dotted
        if not name.startswith(("drafter.", "tree.")) and name.split(".")[-1] not in SETTINGS
    ]
    absent = [name for name in _LATER if name in rows.columns and rows[name].nunique() < 2]
    return [name for name in (*SETTINGS, *others) if name not in (*without, *absent)]


def drafter_columns(rows: pd.DataFrame) -> list[str]:
    """What tells drafters apart, their own keys and those of trees included."""
    own = [name for name in map(str, rows.columns) if name.startswith(("drafter.", "tree."))]
    return [*DRAFTER_SETTINGS, *own]


def varying(rows: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """Columns that exist and differ somewhere; a column that only splits as others do is left out,
    so that titles name workloads and not the hashes of their prompts.
    """
    kept: list[str] = []
    count = 1
    for name in columns:
        if name in rows.columns:
            groups = len(rows.drop_duplicates([*kept, name]))
            if groups > count:
                kept.append(name)
                count = groups
    return kept


def split(rows: pd.DataFrame, keys: Sequence[str]) -> Iterator[pd.DataFrame]:
    """Groups of equal `keys`, in order of appearance."""
    if not keys:
        yield rows
        return
    for _, group in rows.groupby(list(keys), sort=False, dropna=False):
        yield group


def label(row: "pd.Series[Any]", keys: Sequence[str], bare: Sequence[str] = ()) -> str:
    """`key=value, ...` of one row, without keys that it has no value of; those in `bare` by their
    value alone.
    """
    known = [key for key in keys if not pd.isna(row[key])]
    return ", ".join(str(row[key]) if key in bare else shown(key, row[key]) for key in known)


def shown(name: str, value: Any) -> str:
    """`name=value`, short: hashes lose their end, whole numbers their fraction."""
    short = str(value)[:8] if name.endswith(("_hash", "_id")) else value
    if isinstance(short, float) and short.is_integer():
        short = int(short)
    return f"{name.removesuffix('_hash')}={'-' if pd.isna(value) else short}"


def shared_settings(rows: pd.DataFrame) -> str:
    """The main settings that have one value throughout; chains go without saying."""
    known = [name for name in SHARED_SETTINGS if name in rows.columns]
    constant = [
        name
        for name in known
        if rows[name].nunique(dropna=False) == 1 and not rows[name].isna().any()
    ]
    said = {name: shown(name, rows[name].iloc[0]) for name in constant}
    return ", ".join(text for text in said.values() if text != _CHAINS)


def is_simulated(rows: pd.DataFrame) -> "pd.Series[bool]":
    """Whether acceptance followed a stated profile: such figures say so wherever they appear."""
    if "acceptance" not in rows.columns:
        return pd.Series(False, index=rows.index)
    return rows["acceptance"] == "forced"


def is_lossy(rows: pd.DataFrame) -> "pd.Series[bool]":
    """Whether the rule that judged drafts does not keep the target's law: said as loudly."""
    if "lossless_evidence" not in rows.columns:
        return pd.Series(False, index=rows.index)
    return rows["lossless_evidence"] == LOSSY
