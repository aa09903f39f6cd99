"""Hand-made results folders with the columns and files of real ones."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dspark_bench.plots.figures import Figure, Skipped, draw_all
from dspark_bench.plots.results import load_results

MACHINE = {"machine_id": "m0", "code_hash": "c0de", "cpu_model": "Test CPU", "num_cores": 4}
_KEYS = ("drafter", "scheduler", "load", "workload", "acceptance", "gamma", "temperature", "seed")
_FACTS = ("timing_invalid", "target_hash", "drafter_hash", "prompts_hash", "concurrency", "rate")
GAP = {
    "gap_truncation": -0.01,
    "gap_non_iid": 0.06,
    "gap_draft_cost": 0.0,
    "gap_verify_cost": -0.2,
    "gap_overhead": -0.1,
    "gap_prefill_and_batching": -0.05,
}
STAGES = {
    "t_draft_s": 0.001,
    "t_schedule_s": 0.0001,
    "t_verify_s": 0.005,
    "t_accept_s": 0.0002,
    "t_engine_s": 0.0001,
}


def row(point_id: str, **values: object) -> dict[str, object]:
    default: dict[str, object] = {
        "point_id": point_id,
        "drafter": "semi_ar",
        "gamma": 4,
        "scheduler": "fixed",
        "load": "closed",
        "concurrency": 1,
        "rate": None,
        "workload": "mixed",
        "temperature": 1.0,
        "seed": 0,
        "n_requests": 72,
        "n_cycles": 1000,
        "accepted_length": 2.5,
        "accepted_length_ci_low": 2.4,
        "accepted_length_ci_high": 2.6,
        "acceptance_rate_scheduled": 0.4,
        "acceptance_rate_scheduled_ci_low": 0.35,
        "acceptance_rate_scheduled_ci_high": 0.45,
        "speedup": 1.5,
        "speedup_ci_low": 1.4,
        "speedup_ci_high": 1.6,
        "speedup_basis": "closed_throughput",
        "speedup_theory": 1.8,
        "speedup_theory_ci_low": 1.7,
        "speedup_theory_ci_high": 1.9,
        "speedup_model": 1.6,
        "throughput_tok_s": 300.0,
        "throughput_tok_s_ci_low": 290.0,
        "throughput_tok_s_ci_high": 310.0,
        "baseline_tok_s": 200.0,
        "tok_s_per_user": 320.0,
        "baseline_tok_s_per_user": 210.0,
        "verify_budget": 5.0,
        "baseline_step_s": 0.005,
        "target_hash": "0123456789ab",
        "drafter_hash": "semi",
        "prompts_hash": "mixed",
        "dtype": "float32",
        "device": "cpu",
        "drafter_class": "semi_ar",
        "drafter_head": "vanilla",
        "drafter_layers": 3,
        "status": "finished",
        **GAP,
        **STAGES,
    }
    return default | values


def metrics(n: int = 24, **parts: object) -> dict[str, Any]:
    """A metrics.json with two positions; `parts` replace whole entries."""
    positions = {"agreement": [0.8, 0.7], "conditional_acceptance": [0.75, None]}
    counts = {"accepted": [30.0, 0.0], "rejected": [10.0, 0.0], "agreement": [55.0, 55.0]}
    bounds = {"low": [0.6, None], "high": [0.9, None], "n": n}
    return {
        "point": {"keys": {"target": "zoo", "acceptance": "exact"}},
        "intervals": {"speedup": {"n": n}},
        "positions": positions,
        "position_counts": counts,
        "position_intervals": {"conditional_acceptance": bounds},
        **parts,
    }


def write_sweep(
    folder: Path,
    rows: Sequence[Mapping[str, object]],
    n: int = 24,
    files: Mapping[str, Mapping[str, str]] | None = None,
    **parts: object,
) -> Path:
    """A sweep whose points all have a metrics.json; files: more files by point and name."""
    folder.mkdir(parents=True)
    (folder / "sweep.json").write_text(json.dumps({"points": [], **MACHINE}))
    names = list(dict.fromkeys(name for values in rows for name in values))
    with (folder / "summary.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, names, restval="")
        writer.writeheader()
        writer.writerows(rows)
    for values in rows:
        point = folder / "points" / str(values["point_id"])
        point.mkdir(parents=True)
        machine = MACHINE | ({"code_hash": "older"} if values["status"] == "stale" else {})
        (point / "environment.json").write_text(json.dumps(machine))
        content = _with_row(metrics(n, **parts), values)
        name = "error.json" if values["status"] == "failed" else "metrics.json"
        (point / name).write_text(json.dumps(content))
        for name, text in ((files or {}).get(str(values["point_id"])) or {}).items():
            (point / name).write_text(text)
    return folder


def _with_row(content: dict[str, Any], values: Mapping[str, object]) -> dict[str, Any]:
    """A metrics.json that says what the row says, where a real one says it."""
    keys = {name: values[name] for name in _KEYS if name in values}
    point = {"keys": keys | content["point"]["keys"]}
    left_out = (*_KEYS, "point_id", "status")
    summary = {name: value for name, value in values.items() if name not in left_out}
    facts = {name: summary.pop(name) for name in _FACTS if name in summary}
    return content | {"point": point, "facts": facts, "summary": summary}


def two_drafters() -> list[dict[str, object]]:
    """Measured S: semi_ar 1.3, 1.6, 1.2 and parallel 1.2, 1.25, 0.9 at gamma 2, 4, 8."""
    rows = []
    for drafter, speeds in (("semi_ar", (1.3, 1.6, 1.2)), ("parallel", (1.2, 1.25, 0.9))):
        for gamma, speed in zip((8, 2, 4), (speeds[2], speeds[0], speeds[1]), strict=True):
            rows.append(
                row(
                    f"{drafter}{gamma}",
                    drafter=drafter,
                    drafter_hash=drafter,
                    gamma=gamma,
                    speedup=speed,
                    speedup_ci_low=speed - 0.1,
                    speedup_ci_high=speed + 0.05,
                    speedup_theory=speed + 0.1 * gamma,
                    speedup_model=speed + 0.1,
                )
            )
    return rows


def figure_of(folder: Path, kind: str) -> Figure:
    """The figure of one kind, which the folder must support."""
    (found,) = draw_all(load_results(folder), kinds=[kind])
    assert isinstance(found, Figure), found
    return found


def skipped(folder: Path, kind: str) -> str:
    """Why the folder does not support a kind."""
    (found,) = draw_all(load_results(folder), kinds=[kind])
    assert isinstance(found, Skipped)
    return found.reason


def assert_from_summary(data: pd.DataFrame, folder: Path, *columns: str) -> None:
    """Every plotted number of these columns is the one of its point in summary.csv."""
    summary = pd.read_csv(folder / "summary.csv", dtype={"point_id": str}).set_index("point_id")
    assert len(data)
    for name in columns:
        for point_id, value in zip(data["point_id"], data[name], strict=True):
            expected: Any = summary.loc[point_id, name]
            assert value == expected or (pd.isna(value) and pd.isna(expected)), (point_id, name)
