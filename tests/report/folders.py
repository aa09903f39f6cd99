"""Hand-made results folders with the files that a real sweep leaves."""

import csv
import json
from pathlib import Path
from typing import Any

import pandas as pd

MACHINE = {
    "cpu_model": "Test CPU",
    "num_cores": 4,
    "memory_bytes": 2**33,
    "governor": None,
    "load_average_1m": 0.1,
    "python": "3.11.7",
    "packages": {"torch": "2.13.0"},
    "torch_threads": 3,
    "gpus": [],
    "git_revision": "a" * 40,
    "is_dirty": False,
    "code_hash": "c0de",
    "machine_id": "m0",
}


_FACTS = (
    *("target_hash", "drafter_hash", "prompts_hash", "concurrency", "rate", "dtype", "device"),
    *("threads", "timing_invalid"),
)


def cells(point_id: str, **values: object) -> dict[str, object]:
    """One row of summary.csv. Its terms: E 2.0, draft 0.4, verify 1.1, overhead 0.1 steps, S 1.25,
    so that r = 1.25 / (2.0 / 1.6) = 1.
    """
    row: dict[str, object] = {
        "point_id": point_id,
        "drafter": "semi_ar",
        "gamma": 4,
        "scheduler": "fixed",
        "load": "closed",
        "concurrency": 1,
        "rate": "",
        "workload": "math",
        "temperature": 1.0,
        "seed": 0,
        "n_requests": 24,
        "accepted_length": 2.05,
        "accepted_length_ci_low": 2.0,
        "accepted_length_ci_high": 2.1,
        "alpha": 0.55,
        "draft_cost_ratio": 0.1,
        "speedup": 1.25,
        "speedup_ci_low": 1.2,
        "speedup_ci_high": 1.3,
        "speedup_basis": "closed_throughput",
        "speedup_theory": 1.5,
        "speedup_model": 1.3,
        "throughput_tok_s": 250.0,
        "tok_s_per_user": 260.0,
        "baseline_floor_ratio": 4.0,
        "emitted_length": 2.0,
        "baseline_step_s": 0.004,
        "t_draft_s": 0.0016,
        "t_schedule_s": 0.0002,
        "t_verify_s": 0.0044,
        "t_accept_s": 0.0001,
        "t_engine_s": 0.0001,
        "gap_truncation": 0.0,
        "gap_non_iid": -0.02,
        "gap_draft_cost": 0.0,
        "gap_verify_cost": -0.11,
        "gap_overhead": -0.1,
        "gap_prefill_and_batching": -0.02,
        "degenerate_share": 0.0,
        "target_hash": "0123456789abcdef",
        "drafter_hash": "semi",
        "prompts_hash": "prompts",
        "dtype": "float32",
        "device": "cpu",
        "threads": 3,
        "lossless": "",
        "lossless_evidence": "untested",
        "timing_invalid": "false",
        "status": "finished",
    }
    return row | values


def write_sweep(
    folder: Path,
    rows: list[dict[str, object]],
    *,
    n: int = 24,
    keys: dict[str, Any] | None = None,
    environment: dict[str, Any] | None = None,
    overrides: tuple[str, ...] = ("gamma=2,4",),
    pending: tuple[str, ...] = (),
) -> Path:
    """A sweep; failed rows get an error.json instead of a metrics.json."""
    folder.mkdir(parents=True)
    entries = [
        {"point_id": row["point_id"], "overrides": [f"gamma={row['gamma']}"], "status": "finished"}
        for row in rows
    ]
    entries += [{"point_id": name, "overrides": [], "status": "pending"} for name in pending]
    description = {
        "schema_version": 1,
        "name": folder.name,
        "overrides": list(overrides),
        "swept_keys": ["gamma"],
        "git_revision": "a" * 40,
        "code_hash": (MACHINE | (environment or {}))["code_hash"],
        "machine_id": (MACHINE | (environment or {}))["machine_id"],
        "points": entries,
    }
    (folder / "sweep.json").write_text(json.dumps(description))
    with (folder / "summary.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0] if rows else cells("x")))
        writer.writeheader()
        writer.writerows(rows)
    for row in rows:
        point = folder / "points" / str(row["point_id"])
        point.mkdir(parents=True)
        machine = MACHINE | (environment or {})
        machine |= {"code_hash": "older"} if row["status"] == "stale" else {}
        (point / "environment.json").write_text(json.dumps(machine))
        if row["status"] == "failed":
            (point / "error.json").write_text(json.dumps({"message": "cannot <draft>"}))
            continue
        (point / "metrics.json").write_text(json.dumps(_metrics(row, n, keys or {})))
    return folder


def _metrics(row: dict[str, object], n: int, keys: dict[str, Any]) -> dict[str, Any]:
    names = ("drafter", "gamma", "scheduler", "workload", "temperature", "seed")
    own = {name: row[name] for name in names} | {"load": row["load"], "acceptance": "exact"}
    own |= {name: row[name] for name in ("tree", "tree.nodes") if row.get(name)}
    gamma = int(str(row["gamma"]))
    known = {name: None if value == "" else value for name, value in row.items()}
    given = ("lossless", "timing_invalid")
    known |= {name: {"true": True, "false": False}.get(str(known[name])) for name in given}
    left_out = (*own, *_FACTS, "point_id", "status")
    return {
        "facts": {name: known[name] for name in _FACTS},
        "summary": {name: value for name, value in known.items() if name not in left_out},
        "point": {"point_id": row["point_id"], "keys": own | keys},
        "notes": [],
        "intervals": {"speedup": {"n": n}, "accepted_length": {"n": n}},
        "counts": {"trial_cycles": 100.0},
        "position_counts": {"verified": [100.0] * gamma},
        "positions": {"agreement": [], "conditional_acceptance": []},
    }


def write_times(point: Path, seconds: dict[str, tuple[float, float]], tokens: int = 10) -> None:
    """Records of one cycle per prompt and arm: (speculative, baseline) seconds by prompt."""
    cycles, requests = [], []
    for request, (prompt, pair) in enumerate(seconds.items()):
        for arm, time_s in zip(("speculative", "baseline"), pair, strict=True):
            key = {"arm": arm, "repeat": 0, "block": request, "request_id": request}
            cycles.append(
                key
                | {"is_warmup": False, "cycle": 0, "batch_size": 1, "num_emitted": tokens}
                | {"t_draft_s": 0.0, "t_schedule_s": 0.0, "t_verify_s": time_s}
                | {"t_accept_s": 0.0, "t_engine_s": 0.0}
            )
            requests.append(key | {"is_warmup": False, "prompt_id": prompt})
    pd.DataFrame(cycles).to_parquet(point / "cycles.parquet")
    pd.DataFrame(requests).to_parquet(point / "requests.parquet")
