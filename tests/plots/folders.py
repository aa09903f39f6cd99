"""Hand-made results folders with the columns of a real summary.csv."""

import csv
import json
from pathlib import Path


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
        "speedup": 1.5,
        "speedup_ci_low": 1.4,
        "speedup_ci_high": 1.6,
        "speedup_basis": "closed_throughput",
        "speedup_theory": 1.8,
        "speedup_model": 1.6,
        "target_hash": "0123456789ab",
        "drafter_hash": "semi",
        "prompts_hash": "mixed",
        "dtype": "float32",
        "device": "cpu",
        "status": "finished",
    }
    return default | values


def write_sweep(folder: Path, rows: list[dict[str, object]], n: int = 24) -> Path:
    """A sweep whose points all have a metrics.json."""
    folder.mkdir(parents=True)
    (folder / "sweep.json").write_text(json.dumps({"schema_version": 1, "points": []}))
    with (folder / "summary.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    for values in rows:
        point = folder / "points" / str(values["point_id"])
        point.mkdir(parents=True)
        (point / "metrics.json").write_text(json.dumps({"intervals": {"speedup": {"n": n}}}))
    return folder


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
                    speedup_theory=speed + 0.4,
                    speedup_model=speed + 0.1,
                )
            )
    return rows
