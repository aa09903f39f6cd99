"""What the S curve shows, as data: panels of comparable points, one curve per drafter.

Points are comparable if they differ in drafter and gamma alone; every other setting that varies
opens a panel of its own.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dspark_bench.core.errors import ResultsError
from dspark_bench.plots.results import Results, SkippedPoint

SETTINGS = (
    "target target_hash workload prompts_hash temperature top_p top_k load concurrency rate "
    "scheduler acceptance max_new_tokens num_requests seed dtype device threads speedup_basis"
).split()
SHARED_SETTINGS = "workload temperature load concurrency rate scheduler dtype device".split()
DRAFTER_SETTINGS = ("drafter", "drafter_hash", "train_seed")

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Curve:
    """Speedups of one drafter, [P] each, by rising gamma; NaN where a figure does not exist.

    low, high: 95 % interval of `measured`; n: resampling units behind it; n_requests: requests.
    """

    label: str
    gamma: FloatArray
    measured: FloatArray
    low: FloatArray
    high: FloatArray
    theory: FloatArray
    model: FloatArray
    n: FloatArray
    n_requests: FloatArray

    @property
    def best(self) -> int:
        """Index of the measured optimum."""
        return int(np.nanargmax(self.measured))


@dataclass(frozen=True, slots=True)
class Panel:
    """Comparable curves.

    title: the settings that set it apart from the other panels; shared: those that all have.
    """

    title: str
    shared: str
    basis: str
    curves: tuple[Curve, ...]


def build_panels(results: Results) -> tuple[tuple[Panel, ...], tuple[SkippedPoint, ...]]:
    """Panels in order of appearance, and rows that have no place on an S curve.

    Raises ResultsError if no row is left, or if two points of a panel claim one place.
    """
    rows, skipped = _placeable(results.rows)
    if rows.empty:
        reasons = "; ".join(map(str, skipped))
        raise ResultsError(f"no speedup against gamma in {results.path}: {reasons}")
    drafter_keys = _varying(rows, _drafter_columns(rows))
    keys = _varying(rows, _panel_columns(rows))
    if rows.duplicated([*keys, *drafter_keys, "gamma"]).any():
        keys = [*_varying(rows, ["sweep"]), *keys]
    places = [*keys, *drafter_keys, "gamma"]
    if rows.duplicated(places).any():
        twins = rows[rows.duplicated(places, keep=False)]["point_id"]
        raise ResultsError(f"points {', '.join(twins)} differ in no known setting")
    shared = _shared(rows)
    panels = []
    for _, group in _split(rows, keys):
        title = ", ".join(_shown(key, group[key].iloc[0]) for key in keys)
        title = _marked(title, group)
        panels.append(Panel(title, shared, _basis(group), _curves(group, results)))
    return tuple(panels), skipped


def _placeable(rows: pd.DataFrame) -> tuple[pd.DataFrame, tuple[SkippedPoint, ...]]:
    gamma = pd.to_numeric(rows["gamma"], errors="coerce")
    speedup = pd.to_numeric(rows["speedup"], errors="coerce")
    reasons = pd.Series("", index=rows.index)
    reasons[speedup.isna()] = "no measured speedup (no steady part)"
    reasons[~(gamma >= 1) | (rows["drafter"] == "none")] = "no draft length to plot against"
    skipped = tuple(
        SkippedPoint(str(sweep), str(point), str(reason))
        for sweep, point, reason in zip(rows["sweep"], rows["point_id"], reasons, strict=True)
        if reason
    )
    return rows.assign(gamma=gamma, speedup=speedup)[reasons == ""], skipped


def _panel_columns(rows: pd.DataFrame) -> list[str]:
    """Known settings, and swept keys (`a.b`) that are not a known setting under another name."""
    dotted = [name for name in map(str, rows.columns) if "." in name]
    swept = [name for name in dotted if not name.startswith("drafter.")]
    return [*SETTINGS, *(name for name in swept if name.split(".")[-1] not in SETTINGS)]


def _drafter_columns(rows: pd.DataFrame) -> list[str]:
    swept = [name for name in map(str, rows.columns) if name.startswith("drafter.")]
    return [*DRAFTER_SETTINGS, *swept]


def _varying(rows: pd.DataFrame, columns: list[str]) -> list[str]:
    """Columns that exist and differ somewhere; a column that only splits as another does is left
    out, so that titles name workloads and not the hashes of their prompts.
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


def _split(rows: pd.DataFrame, keys: list[str]) -> list[tuple[object, pd.DataFrame]]:
    if not keys:
        return [((), rows)]
    return list(rows.groupby(keys, sort=False, dropna=False))


def _curves(rows: pd.DataFrame, results: Results) -> tuple[Curve, ...]:
    curves = []
    for _, group in _split(rows, _varying(rows, _drafter_columns(rows))):
        curves.append(_curve(group.sort_values("gamma"), rows, results))
    return tuple(curves)


def _curve(group: pd.DataFrame, panel: pd.DataFrame, results: Results) -> Curve:
    first = group.iloc[0]
    own = panel[panel["drafter"] == first["drafter"]]
    extra = [name for name in _varying(own, _drafter_columns(own)) if name != "drafter"]
    label = " ".join([str(first["drafter"]), *(_shown(name, first[name]) for name in extra)])
    sizes = [
        _num_units(results.metrics[str(sweep), str(point)])
        for sweep, point in zip(group["sweep"], group["point_id"], strict=True)
    ]
    return Curve(
        label=label,
        gamma=_numbers(group, "gamma"),
        measured=_numbers(group, "speedup"),
        low=_numbers(group, "speedup_ci_low"),
        high=_numbers(group, "speedup_ci_high"),
        theory=_numbers(group, "speedup_theory"),
        model=_numbers(group, "speedup_model"),
        n=np.asarray(sizes, dtype=np.float64),
        n_requests=_numbers(group, "n_requests"),
    )


def _num_units(metrics: dict[str, object]) -> float:
    """`intervals.speedup.n` of a metrics.json; NaN if it is not there."""
    intervals = metrics.get("intervals")
    figure = intervals.get("speedup") if isinstance(intervals, dict) else None
    n = figure.get("n") if isinstance(figure, dict) else None
    return float(n) if isinstance(n, (int, float)) else float("nan")


def _numbers(rows: pd.DataFrame, column: str) -> FloatArray:
    if column not in rows.columns:
        return np.full(len(rows), np.nan)
    return pd.to_numeric(rows[column], errors="coerce").to_numpy(dtype=np.float64)


def _shown(name: str, value: object) -> str:
    short = str(value)[:8] if name.endswith("_hash") else value
    if isinstance(short, float) and short.is_integer():
        short = int(short)
    return f"{name.removesuffix('_hash')}={'-' if pd.isna(value) else short}"  # type: ignore[call-overload]


def _shared(rows: pd.DataFrame) -> str:
    """The main settings that have one value throughout."""
    known = [name for name in SHARED_SETTINGS if name in rows.columns]
    constant = [name for name in known if rows[name].nunique(dropna=False) == 1]
    filled = [name for name in constant if not rows[name].isna().any()]
    return ", ".join(_shown(name, rows[name].iloc[0]) for name in filled)


def _marked(title: str, group: pd.DataFrame) -> str:
    """Acceptance by a stated profile is simulated, and says so wherever it is shown."""
    if "acceptance" not in group.columns or group["acceptance"].iloc[0] != "forced":
        return title
    return f"{title} (simulated acceptance)".strip()


def _basis(group: pd.DataFrame) -> str:
    return str(group["speedup_basis"].iloc[0]) if "speedup_basis" in group.columns else ""
