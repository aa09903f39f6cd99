"""Hand-made results at several loads, with the records that pair their points."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.cycles import cycle_record
from tests.report.folders import cells, write_sweep, write_times

NUM_UNITS = 12


def point(point_id: str, speedup: float, **values: object) -> dict[str, object]:
    """A row whose S is known to 2 %."""
    own = {"speedup": speedup, "speedup_ci_low": speedup * 0.98, "speedup_ci_high": speedup * 1.02}
    return cells(point_id, **(own | values))


def write_loads(
    folder: Path,
    rows: Sequence[dict[str, object]],
    n: int = NUM_UNITS,
    keys: dict[str, Any] | None = None,
) -> Path:
    """A sweep whose points have records: each as fast as its S says, with a scatter of a hundredth
    that is its own; `n` prompts at 1 request at a time, as many rounds otherwise.
    """
    write_sweep(folder, list(rows), n=n, keys=keys)
    for number, row in enumerate(rows):
        scatter = np.random.default_rng(number).normal(1.0, 0.01, n)
        base = 1.0 + np.arange(n) % 3
        pairs = [
            (b * s / float(str(row["speedup"])), b) for b, s in zip(base, scatter, strict=True)
        ]
        place = folder / "points" / str(row["point_id"])
        if row["concurrency"] == 1:
            write_times(place, {f"p{k}": pair for k, pair in enumerate(pairs)})
        else:
            write_rounds(place, pairs, int(str(row["concurrency"])))
    return folder


def write_rounds(place: Path, seconds: Sequence[tuple[float, float]], requests: int) -> None:
    """A round per pair of (speculative, baseline) seconds: one cycle that reads prompts, and one of
    a full batch that takes so long.
    """
    cycles, served = [], []
    for block, pair in enumerate(seconds):
        for arm, time_s in zip(("speculative", "baseline"), pair, strict=True):
            turn = {"arm": arm, "repeat": 0, "block": block, "is_warmup": False}
            for request in range(requests):
                both = {"request_id": request, "batch_size": requests}
                first = cycle_record(**both, is_prefill=True, has_prefill=True, t_verify_s=0.1)
                second = cycle_record(**both, cycle=1, num_emitted=10, t_verify_s=time_s)
                cycles += [asdict(first) | turn, asdict(second) | turn]
                times = {"scheduled_s": 0.0, "first_token_s": 0.1, "finished_s": 0.1 + time_s}
                own = {"request_id": request, "prompt_id": f"p{request}", "finish_reason": "length"}
                served.append(turn | own | times | {"output_tokens": [1] * 11})
    pd.DataFrame(cycles).to_parquet(place / "cycles.parquet")
    pd.DataFrame(served).to_parquet(place / "requests.parquet")


def edit_metrics(folder: Path, point_id: str, **parts: Mapping[str, Any]) -> None:
    """Adds to parts of a point's metrics.json."""
    path = folder / "points" / point_id / "metrics.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    for name, part in parts.items():
        content[name] = content.get(name, {}) | part
    path.write_text(json.dumps(content), encoding="utf-8")


def write_counts(
    folder: Path, point_id: str, cycles: int, accepted: Sequence[int], rejected: Sequence[int]
) -> None:
    """Acceptance by position: of so many cycles, accepted and rejected at each."""
    edit_metrics(
        folder,
        point_id,
        counts={"trial_cycles": float(cycles)},
        position_counts={
            "accepted": [float(count) for count in accepted],
            "rejected": [float(count) for count in rejected],
        },
    )
