"""Where the time of a block goes: every second of it is charged to one stage."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

STAGES: Final = ("build", "costs", "warmup", "turns", "model", "agreement", "checks", "figures")
"""In their order: models and prompts; step costs; warm-up turns; turns that count; prompts apart
for `speedup_model`; the agreement curve; checks of the output; everything that is worked out."""


class Stopwatch:
    """Seconds by stage. Mutated by `at`."""

    def __init__(self) -> None:
        self._spent_s = dict.fromkeys(STAGES, 0.0)

    @contextmanager
    def at(self, stage: str) -> Iterator[None]:
        """Charge the time inside to one of `STAGES`, whatever happens in it."""
        started_s = time.monotonic()
        try:
            yield
        finally:
            self._spent_s[stage] += time.monotonic() - started_s

    def shares(self, num_points: int) -> dict[str, float]:
        """Seconds of every stage so far, in equal parts."""
        return {stage: seconds / num_points for stage, seconds in self._spent_s.items()}


def spent_columns(shared: Mapping[str, float], own: Mapping[str, float]) -> dict[str, float]:
    """Columns of summary.csv: what a point took, its part of its block's time and its own; and
    `wall_s`, their sum.
    """
    spent = {f"spent_{stage}_s": shared[stage] + own[stage] for stage in STAGES}
    return {"wall_s": sum(spent.values()), **spent}
