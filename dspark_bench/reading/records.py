"""A point's records, and whether they can be what the sweep wrote there, before anything is counted
in them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dspark_bench.core.errors import ResultsError
from dspark_bench.core.files import not_special
from dspark_bench.metrics.frames import (
    SPECULATIVE,
    STAGE_TIMES,
    TURN_KEY,
    cycle_depths,
    decode_cycles,
    measured,
)
from dspark_bench.reading.files import part_of, reason_of

_KEYS = ("repeat", "block", "request_id")
_COUNTS = ("cycle", "num_drafted", "verify_len", "num_accepted")
_FLAGS = ("is_warmup", "is_prefill", "is_rejected")
_SUMS: Mapping[str, str | None] = {
    "cycles": None,
    "accepted": "num_accepted",
    "emitted": "num_emitted",
}
"""Sums over decode cycles that metrics.json keeps, by the column that they add up."""
ROUNDING = 1e-3
"""What a sum of single-precision probabilities may exceed 1 by."""


def read_records(folder: Path, metrics: Mapping[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Cycles and requests of a point, as they were recorded.

    Raises ResultsError, naming the file, if one is lost, cannot be read, or is not this point's.
    """
    cycles, requests = (_read_frame(folder / f"{name}.parquet") for name in ("cycles", "requests"))
    try:
        _check_owner(cycles, requests, part_of(metrics, "counts"))
    except KeyError as error:
        raise ResultsError(f"records of {folder} have no column {error}") from error
    except ResultsError as error:
        raise ResultsError(f"{folder}: {error}") from error
    return cycles, requests


def _read_frame(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(not_special(path))
    except FileNotFoundError as error:
        raise ResultsError(f"{path} is missing") from error
    except Exception as error:  # a damaged file raises whatever the parquet reader meets
        raise ResultsError(f"cannot read {path}: {reason_of(error)}") from error


def _check_owner(cycles: pd.DataFrame, requests: pd.DataFrame, counts: Mapping[str, Any]) -> None:
    """Records agree with each other, and with the sums in metrics.json where it keeps them."""
    known = {name: counts[name] for name in _SUMS if isinstance(counts.get(name), int | float)}
    rows = decode_cycles(cycles) if known else cycles
    for name, expected in known.items():
        column = _SUMS[name]
        found = len(rows) if column is None else int(rows[column].sum())
        if expected != found:
            raise ResultsError(
                f"cycles.parquet is another point's: {found} {name}, metrics.json says {expected:g}"
            )
    if "output_tokens" not in requests.columns or "num_emitted" not in cycles.columns:
        return
    key = [*TURN_KEY, "request_id"]
    emitted = measured(cycles).groupby(key)["num_emitted"].sum()
    kept = measured(requests)
    lengths = kept["output_tokens"].map(_length).groupby([kept[name] for name in key]).sum()
    if not emitted.eq(lengths.reindex(emitted.index)).all():
        raise ResultsError(
            "requests.parquet is another point's: its outputs are not those of cycles.parquet"
        )


def _length(tokens: object) -> int:
    return int(np.size(np.asarray(tokens, dtype=object))) if tokens is not None else 0


def check_records(cycles: pd.DataFrame, requests: pd.DataFrame, gamma: int) -> None:
    """Raise ResultsError naming table and column where values cannot be right.

    Values are those of the measured speculative turns: the gate counts no others. Raises KeyError
    for a column that is missing.
    """
    for name in _FLAGS:
        _require(pd.api.types.is_bool_dtype(cycles[name]), "cycles.parquet", name, "true or false")
    flags = requests["is_warmup"]
    _require(pd.api.types.is_bool_dtype(flags), "requests.parquet", "is_warmup", "true or false")
    for name in set(STAGE_TIMES) & set(cycles.columns):
        is_time = pd.api.types.is_float_dtype(cycles[name]) and (cycles[name] >= 0).all()
        _require(is_time, "cycles.parquet", name, "seconds of 0 or more")
    counted, named = measured(cycles, SPECULATIVE), measured(requests, SPECULATIVE)
    for name in (*_KEYS, *_COUNTS):
        _require_whole(counted, "cycles.parquet", name)
    for name in _KEYS:
        _require_whole(named, "requests.parquet", name)
    _check_order(counted, gamma)
    _check_overlaps(counted)
    _check_unique(counted, named)


def _check_order(cycles: pd.DataFrame, gamma: int) -> None:
    """gamma >= drafted >= verified >= accepted, and a rejection leaves one draft behind it.

    Of a tree, drafted and verified are nodes; gamma bounds its depth, and that what is accepted.
    """
    drafted, verified = cycles["num_drafted"], cycles["verify_len"]
    accepted, is_rejected = cycles["num_accepted"], cycles["is_rejected"]
    depths = cycle_depths(cycles)
    is_tree = cycles["tree_depth"] > 0 if "tree_depth" in cycles.columns else drafted < 0
    longest = drafted.mask(is_tree, depths)
    _require((longest <= gamma).all(), "cycles.parquet", "num_drafted", f"up to gamma, {gamma}")
    _require((verified <= drafted).all(), "cycles.parquet", "verify_len", "up to num_drafted")
    most = np.minimum(verified, depths) - is_rejected
    what = "up to verify_len, less one that is rejected"
    _require((accepted <= most).all(), "cycles.parquet", "num_accepted", what)


def _check_overlaps(cycles: pd.DataFrame) -> None:
    if "expected_acceptance" not in cycles.columns:
        return
    what = "lists of numbers from 0 to 1"
    rows = [values for values in cycles["expected_acceptance"] if values is not None]
    try:
        table = np.concatenate([np.zeros(0), *(np.asarray(v, dtype=np.float64) for v in rows)])
    except (TypeError, ValueError):
        table = np.full((1,), np.nan)
    is_share = table.ndim == 1 and bool(((table >= 0) & (table <= 1 + ROUNDING)).all())
    _require(is_share, "cycles.parquet", "expected_acceptance", what)


def _check_unique(cycles: pd.DataFrame, requests: pd.DataFrame) -> None:
    key = [*TURN_KEY, "request_id"]
    _require(
        not cycles.duplicated([*key, "cycle"]).any(), "cycles.parquet", "cycle", "each one once"
    )
    named = requests[[*key, "prompt_id"]].drop_duplicates()
    what = "one prompt per request"
    _require(named["prompt_id"].notna().all(), "requests.parquet", "prompt_id", what)
    _require(not named.duplicated(key).any(), "requests.parquet", "prompt_id", what)


def _require_whole(frame: pd.DataFrame, table: str, column: str) -> None:
    values = frame[column]
    is_whole = pd.api.types.is_integer_dtype(values) and bool((values >= 0).all())
    _require(is_whole, table, column, "whole numbers of 0 or more")


def _require(is_so: bool | np.bool, table: str, column: str, valid: str) -> None:
    if not is_so:
        raise ResultsError(f"{table} is damaged in {column}; valid: {valid}")
