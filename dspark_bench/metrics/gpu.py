"""GPU samples by turn and arm: load, power, clocks, and energy per output token."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from dspark_bench.metrics.frames import BASELINE, SPECULATIVE, measured
from dspark_bench.metrics.machine import Window, by_turn
from dspark_bench.metrics.sums import FloatArray

SHORTEST_WINDOW_S: Final = 0.5
"""Power and load of a sample are means over up to some tenths of a second."""
Turn = tuple[str, int, int]
HARMLESS_REASONS: Final = frozenset({"gpu_idle", "applications_clocks", "display_clock"})
"""Clocks that nobody asked for more of, or that somebody has set: no throttling."""


def label_samples(samples: pd.DataFrame, windows: Sequence[Window]) -> pd.DataFrame:
    """`gpu.parquet`: samples with the turn they fell into; those between turns have no arm.

    time_s counts from the first sample.
    """
    columns: dict[str, list[Any]] = {"arm": [], "repeat": [], "block": [], "is_warmup": []}
    starts = np.array([window.before.time_s for window in windows])
    for time_s in samples["time_s"]:
        place = int(np.searchsorted(starts, time_s, side="right")) - 1
        window = windows[place] if place >= 0 else None
        if window is not None and time_s > window.after.time_s:
            window = None
        for name, values in columns.items():
            values.append(None if window is None else getattr(window, name))
    labels = pd.DataFrame(columns, index=samples.index)
    labels = labels.astype({"arm": "string", "repeat": "Int64", "block": "Int64"})
    labels = labels.astype({"is_warmup": "boolean"})
    labelled = pd.concat([samples, labels], axis=1)
    return labelled.assign(time_s=samples["time_s"] - samples["time_s"].iloc[0])


def tokens_by_turn(cycles: pd.DataFrame) -> dict[Turn, int]:
    """Emitted tokens of every measured turn, by (arm, repeat, block)."""
    turns = (
        measured(cycles).groupby(["arm", "repeat", "block"], as_index=False)["num_emitted"].sum()
    )
    return {
        (str(row.arm), int(row.repeat), int(row.block)): int(row.num_emitted)
        for row in turns.itertuples()
    }


def summarise_gpu(
    samples: pd.DataFrame, windows: Sequence[Window], tokens: Mapping[Turn, int]
) -> dict[str, Any]:
    """Means and extremes per arm over the samples within its measured turns.

    samples: with `time_s` on the windows' clock. Energy is that of the turns which samples enclose,
    over the tokens of the same turns; `energy_source` says whether the GPU counted it.
    """
    times, joules, source = energy_curve(samples)
    arms = {}
    for arm in (BASELINE, SPECULATIVE):
        own = [window for window in windows if window.arm == arm and not window.is_warmup]
        arms[arm] = _arm(samples, own, tokens, (times, joules))
    return {"energy_source": source, "num_samples": len(samples), "arms": arms}


def energy_curve(samples: pd.DataFrame) -> tuple[FloatArray, FloatArray, str | None]:
    """times [N], joules since the first sample [N], and `counter`, `power` or None (empty curve).

    The GPU's own counter where every sample has it, else the trapezoid rule over power.
    """
    for name in ("energy_j", "power_w"):
        known = samples[samples[name].notna()] if name in samples else samples.iloc[:0]
        times = known["time_s"].to_numpy(dtype=np.float64) if len(known) else np.empty(0)
        if len(times) < 2:
            continue
        values = known[name].to_numpy(dtype=np.float64)
        if name == "energy_j" and len(known) == len(samples):
            return times, values - values[0], "counter"
        if name == "power_w":
            steps = np.diff(times) * (values[1:] + values[:-1]) / 2
            return times, np.concatenate([[0.0], np.cumsum(steps)]), "power"
    return np.empty(0), np.empty(0), None


def throttle_reasons(content: Mapping[str, Any]) -> tuple[str, ...]:
    """Reasons in a `gpu` block that slow a GPU down against its will, each once."""
    arms = content.get("arms")
    found: dict[str, None] = {}
    for arm in arms.values() if isinstance(arms, dict) else ():
        reasons = arm.get("clock_reasons") if isinstance(arm, dict) else None
        found |= dict.fromkeys(reasons if isinstance(reasons, dict) else ())
    return tuple(reason for reason in found if reason not in HARMLESS_REASONS)


def gpu_values(content: Mapping[str, Any]) -> dict[str, float | str | None]:
    """Columns of summary.csv from a `gpu` block; none of them without samples."""
    arms = content.get("arms")
    if not isinstance(arms, dict):
        return {}
    ours, theirs = arms[SPECULATIVE], arms[BASELINE]
    return {
        "gpu_utilisation": ours["utilisation_mean"],
        "gpu_power_w": ours["power_mean_w"],
        "baseline_gpu_power_w": theirs["power_mean_w"],
        "energy_per_token_j": ours["energy_per_token_j"],
        "baseline_energy_per_token_j": theirs["energy_per_token_j"],
        "gpu_throttle_reasons": "+".join(throttle_reasons(content)),
    }


def _arm(
    samples: pd.DataFrame,
    windows: Sequence[Window],
    tokens: Mapping[Turn, int],
    curve: tuple[FloatArray, FloatArray],
) -> dict[str, Any]:
    inside = samples[_is_inside(samples["time_s"].to_numpy(dtype=np.float64), windows)]
    energy_j, num_tokens, num_turns = _energy(windows, tokens, curve)
    if is_too_short(windows):  # a sample's power is a mean over both arms
        energy_j, num_turns = None, 0
        inside = inside.assign(utilisation=None, power_w=None)
    return {
        "num_samples": len(inside),
        "utilisation_mean": _of(inside, "utilisation", "mean"),
        "utilisation_max": _of(inside, "utilisation", "max"),
        "memory_used_max_bytes": _of(inside, "memory_used_bytes", "max"),
        "power_mean_w": _of(inside, "power_w", "mean"),
        "power_max_w": _of(inside, "power_w", "max"),
        "sm_clock_mean_mhz": _of(inside, "sm_clock_mhz", "mean"),
        "sm_clock_min_mhz": _of(inside, "sm_clock_mhz", "min"),
        "sm_clock_max_mhz": _of(inside, "sm_clock_mhz", "max"),
        "temperature_max_c": _of(inside, "temperature_c", "max"),
        "energy_j": energy_j,
        "energy_num_turns": num_turns,
        "energy_num_tokens": num_tokens,
        "energy_per_token_j": energy_j / num_tokens
        if energy_j is not None and num_tokens
        else None,
        "clock_reasons": _reasons(inside),
    }


def is_too_short(windows: Sequence[Window]) -> bool:
    """Whether arms hand over so often that samples cannot be told apart."""
    lengths = [window.elapsed_s for window in windows]
    return bool(lengths) and float(np.mean(lengths)) < SHORTEST_WINDOW_S


def _energy(
    windows: Sequence[Window], tokens: Mapping[Turn, int], curve: tuple[FloatArray, FloatArray]
) -> tuple[float | None, int, int]:
    """Joules, tokens and number of the turns that lie within the curve, with all their windows."""
    times, joules = curve
    covered = [
        own
        for own in by_turn(windows)
        if len(times) and times[0] <= own[0].before.time_s and own[-1].after.time_s <= times[-1]
    ]
    if not covered:
        return None, 0, 0
    ends = [
        np.interp([window.before.time_s, window.after.time_s], times, joules)
        for own in covered
        for window in own
    ]
    num_tokens = sum(tokens.get(own[0].turn, 0) for own in covered)
    return float(sum(end[1] - end[0] for end in ends)), num_tokens, len(covered)


def _is_inside(times: FloatArray, windows: Sequence[Window]) -> "np.ndarray[Any, Any]":
    inside = np.zeros(len(times), dtype=bool)
    for window in windows:
        inside |= (times >= window.before.time_s) & (times <= window.after.time_s)
    return inside


def _of(rows: pd.DataFrame, column: str, how: str) -> float | None:
    known = rows[column].dropna() if column in rows else rows.iloc[:0]
    return float(getattr(known, how)()) if len(known) else None


def _reasons(rows: pd.DataFrame) -> dict[str, float]:
    """Share of the samples that gave each reason."""
    known = rows["clock_reasons"].dropna().tolist() if "clock_reasons" in rows else []
    counts: dict[str, int] = {}
    for text in known:
        for name in filter(None, str(text).split("+")):
            counts[name] = counts.get(name, 0) + 1
    return {name: count / len(known) for name, count in counts.items()}
