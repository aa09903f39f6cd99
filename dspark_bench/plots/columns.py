"""Columns that figures need beside those of a point's row."""

from collections.abc import Mapping
from typing import Any

from dspark_bench.reading.files import part_of

_PREFIXES = ("scheduler.", "cost.", "calibrator.", "lengths.")
_KEYS = (
    *("target", "acceptance", "cost", "calibrator", "lengths", "top_p", "top_k"),
    *("max_new_tokens", "num_requests"),
)
STAGES = ("t_draft_s", "t_schedule_s", "t_verify_s", "t_accept_s", "t_engine_s")


def point_columns(row: Mapping[str, Any], metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that only metrics.json names, `n_units` behind the intervals (of prompts or
    rounds), and `cycle_s` as the sum of the stages for points that do not store it.
    """
    found: dict[str, Any] = {}
    keys = part_of(metrics, "point", "keys")
    for name, value in keys.items():
        is_setting = name in _KEYS or (name.startswith(_PREFIXES) and not name.endswith("_target_"))
        if is_setting and not isinstance(value, list | dict):
            found[name] = value
    n = part_of(metrics, "intervals", "speedup").get("n")
    found["n_units"] = float(n) if isinstance(n, int | float) else float("nan")
    stages = [row.get(name) for name in STAGES]
    if all(isinstance(stage, int | float) for stage in stages):
        found["cycle_s"] = sum(stages)
    return found
