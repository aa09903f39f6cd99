"""Hand-made results with recorded acceptance and stored costs."""

import json
from pathlib import Path
from typing import Any

from tests.export.folders import edit_metrics, point, write_counts
from tests.report.folders import write_sweep

STEP_S = 0.010
SURFACE = {
    "requests": [1, 4],
    "widths": [0, 1, 2, 4],
    "step_s": [[0.010, 0.011, 0.012, 0.014], [0.020, 0.024, 0.028, 0.036]],
    "slots": [1, 2, 4],
    "draft_s": [[0.001, 0.002, 0.004], [0.002, 0.003, 0.005]],
    "absorb_s": [0.001, 0.002],
    "uneven_s": [0.0, 0.0],
}
"""At 1 request a cycle of 2 drafts takes 12 + 2 + 1 ms, at 4 requests 28 + 3 + 2 ms."""


def profile(gamma: int) -> dict[str, Any]:
    """A step of 10 ms, a cycle of 12 + 2 + 1 ms, a prompt of 20 + 5 ms; 21 tokens per request."""

    def at(seconds: float) -> list[float | None]:
        return [seconds if length == gamma else None for length in range(9)]

    costs = {"step_s": STEP_S, "verify_s": at(0.012), "draft_s": at(0.002), "overhead_s": at(0.001)}
    prompt = {"prefill_s": 0.020, "draft_prefill_s": 0.005}
    return {"profile": costs | prompt, "survival": None, "mean_output_tokens": 21.0}


def write_record(folder: Path) -> Path:
    """gamma 2 and 4 alone, gamma 2 at 4 at once. Of 100 cycles of 2 drafts 50 accept the first, and
    20 of these the second; of 100 of 4 drafts 60, 30, 15, 0. Profiles at gamma 2 and 4.
    """
    rows = [
        point("a", 1.2, gamma=2),
        point("b", 1.3, gamma=4),
        point("c", 0.9, gamma=2, concurrency=4),
    ]
    write_sweep(folder, rows)
    for name in ("a", "c"):
        write_counts(folder, name, 100, [50, 20], [50, 30])
    write_counts(folder, "b", 100, [60, 30, 15, 0], [40, 30, 15, 15])
    for name, gamma in (("a", 2), ("b", 4)):
        edit_metrics(folder, name, model_inputs=profile(gamma))
    return folder


def write_surface(path: Path, **values: Any) -> Path:
    """A file as `profile` writes it."""
    path.write_text(json.dumps({"surface": SURFACE | values}), encoding="utf-8")
    return path
