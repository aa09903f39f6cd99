"""`online`: the profiled surface, bent to what the cycles of this run really take.

Three factors follow the machine: on what a step costs with nothing drafted, on what each draft
token adds to it, and on drafting. Each cycle's measured times correct them by recursive least
squares with forgetting; one cycle can move them only so far, so a single stall is not believed.
"""

from collections.abc import Sequence

import numpy as np

from dspark_bench.core.cost_surface import CostSurface
from dspark_bench.core.errors import UsageError
from dspark_bench.core.random_streams import Floats, Ints
from dspark_bench.core.types import CycleRecord
from dspark_bench.costs.profiled import ProfiledCost

LOWEST, HIGHEST = 0.05, 200.0
"""Bounds of every factor."""
_PRIOR = 0.05
_SPRING = 0.01


class OnlineCost:
    """Learned from finished cycles only, so a cycle's own draws never reach its own decision."""

    def __init__(self, surface: CostSurface, memory_cycles: float = 12.0, clip: float = 0.5):
        """memory_cycles: after how many cycles an observation has lost two thirds of its weight;
        clip: largest relative surprise that one cycle may contribute. Raises UsageError.
        """
        for name, value, lowest in (("memory_cycles", memory_cycles, 1.0), ("clip", clip, 0.0)):
            if not (np.isfinite(value) and value > lowest):
                raise UsageError(f"cost.{name} is {value}; valid: above {lowest:g}")
        self._profile = ProfiledCost(surface)
        self._forget = float(np.exp(-1.0 / memory_cycles))
        self._clip = clip
        self._factors = np.ones(2)
        self._draft_factor = 1.0
        self.version = 0
        self._information = np.eye(2) * _PRIOR

    def step_s(self, num_requests: int, num_tokens: Ints) -> Floats:
        """A whole cycle but for proposing, seconds [n]."""
        return self._bent(num_requests, num_tokens, is_convex=False)

    def convex_step_s(self, num_requests: int, num_tokens: Ints) -> Floats:
        """The same on the envelope, seconds [n]."""
        return self._bent(num_requests, num_tokens, is_convex=True)

    def _bent(self, num_requests: int, num_tokens: Ints, is_convex: bool) -> Floats:
        tokens = np.array([num_requests, *num_tokens])
        base, *times = self._profile.pass_s(num_requests, tokens, is_convex)
        absorb = self._draft_factor * self._profile.absorb_s(num_requests)
        added = self._factors[1] * (np.asarray(times) - base)
        return np.asarray(self._factors[0] * base + added + absorb)

    def draft_s(self, num_requests: Floats, num_slots: int) -> Floats:
        """Proposing, seconds [n]."""
        return self._draft_factor * self._profile.draft_s(num_requests, num_slots)

    def uneven_s(self, num_requests: int) -> float:
        """More for a cycle of different lengths, seconds."""
        return float(self._factors[1]) * self._profile.uneven_s(num_requests)

    @property
    def factors(self) -> tuple[float, float, float]:
        """On the step without drafts, on what drafts add to it, on drafting; 1: as profiled."""
        return float(self._factors[0]), float(self._factors[1]), self._draft_factor

    def observe(self, records: Sequence[CycleRecord]) -> None:
        """Follow one cycle; cycles that read a prompt are left out."""
        if not records or records[0].has_prefill:
            return
        self.version += 1
        first = records[0]
        size = first.batch_size
        base, whole = self._profile.pass_s(size, np.array([size, first.batch_tokens]))
        is_uneven = len({record.verify_len for record in records}) > 1
        added = whole - base + (self._profile.uneven_s(size) if is_uneven else 0.0)
        self._follow_step(np.array([base, added]), first.duration_s - first.t_draft_s)
        expected_s = self._profile.absorb_s(size)
        num_slots = max(record.num_drafted for record in records)
        if num_slots > 0:
            total = sum(record.num_drafted for record in records)
            expected_s += float(self._profile.draft_s(np.array([total / num_slots]), num_slots)[0])
        self._follow_draft(expected_s, first.t_draft_s)

    def _follow_step(self, parts: Floats, took_s: float) -> None:
        """parts [2]: profiled seconds of the step without drafts and of what they add."""
        expected_s = float(self._factors @ parts)
        surprise = float(np.clip(took_s / expected_s - 1.0, -self._clip, self._clip))
        inputs = parts / expected_s
        # What is not seen keeps the profile's shape: a spring holds the two factors together.
        spring = (1 - self._forget) * _SPRING * _TOGETHER
        self._information = self._forget * self._information + spring + np.outer(inputs, inputs)
        pull = inputs * surprise - spring @ self._factors
        step = np.linalg.solve(self._information, pull)
        self._factors = np.clip(self._factors + step, LOWEST, HIGHEST)

    def _follow_draft(self, profiled_s: float, took_s: float) -> None:
        if profiled_s <= 0:
            return
        surprise = took_s / (self._draft_factor * profiled_s) - 1.0
        moved = 1.0 + (1 - self._forget) * float(np.clip(surprise, -self._clip, self._clip))
        self._draft_factor = float(np.clip(self._draft_factor * moved, LOWEST, HIGHEST))


_TOGETHER = np.array([[1.0, -1.0], [-1.0, 1.0]])
"""Penalty on the difference of the two factors."""
