"""`online`: the profiled surface, bent to what the cycles of this run really take.

Three factors follow the machine: on what a step costs with nothing drafted, on what each draft
token adds to it, and on drafting. Each cycle's measured times correct them by recursive least
squares with forgetting; one cycle can move them only so far, so a single stall is not believed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from dspark_bench.core.cost_surface import CostSurface
from dspark_bench.core.errors import UsageError
from dspark_bench.core.random_streams import Floats, Ints
from dspark_bench.core.types import CycleRecord
from dspark_bench.costs.profiled import ProfiledCost

Key = TypeVar("Key")
Value = TypeVar("Value")

LOWEST, HIGHEST = 0.05, 200.0
"""Bounds of every factor."""
MOST_KNOWN = 4096
_PRIOR = 0.05
_SPRING = 0.01


@dataclass(slots=True)
class _StepFactors:
    """Factors on the step without drafts (base) and on what drafts add to it (added).

    Numbers, not arrays: one request's cycle takes 13 ms, and array operations between two passes
    of a model take 0.02 ms each. by_*: the information matrix [2, 2].
    """

    forget: float
    clip: float
    base: float = 1.0
    added: float = 1.0
    by_base: float = _PRIOR
    by_both: float = 0.0
    by_added: float = _PRIOR

    def follow(self, base_s: float, added_s: float, took_s: float) -> None:
        """A step of these profiled parts took so long.

        What is not seen keeps the profile's shape: a spring holds the two factors together.
        """
        expected_s = self.base * base_s + self.added * added_s
        surprise = _clipped(took_s / expected_s - 1.0, self.clip)
        x, y = base_s / expected_s, added_s / expected_s
        spring = (1 - self.forget) * _SPRING
        self.by_base = self.forget * self.by_base + spring + x * x
        self.by_both = self.forget * self.by_both - spring + x * y
        self.by_added = self.forget * self.by_added + spring + y * y
        apart = spring * (self.base - self.added)
        pull_base, pull_added = x * surprise - apart, y * surprise + apart
        determinant = self.by_base * self.by_added - self.by_both**2
        base = (self.by_added * pull_base - self.by_both * pull_added) / determinant
        added = (self.by_base * pull_added - self.by_both * pull_base) / determinant
        self.base = _bounded(self.base + base)
        self.added = _bounded(self.added + added)


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
        self._step = _StepFactors(self._forget, clip)
        self._draft_factor = 1.0
        self._parts: dict[tuple[int, int], tuple[float, float]] = {}
        self._drafts: dict[tuple[int, int, int], float] = {}
        self.version = 0

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
        added = self._step.added * (np.asarray(times) - base)
        return np.asarray(self._step.base * base + added + absorb)

    def draft_s(self, num_requests: Floats, num_slots: int) -> Floats:
        """Proposing, seconds [n]."""
        return self._draft_factor * self._profile.draft_s(num_requests, num_slots)

    def uneven_s(self, num_requests: int) -> float:
        """More for a cycle of different lengths, seconds."""
        return self._step.added * self._profile.uneven_s(num_requests)

    @property
    def factors(self) -> tuple[float, float, float]:
        """On the step without drafts, on what drafts add to it, on drafting; 1: as profiled."""
        return self._step.base, self._step.added, self._draft_factor

    def observe(self, records: Sequence[CycleRecord]) -> None:
        """Follow one cycle; cycles that read a prompt are left out."""
        if not records or records[0].has_prefill:
            return
        self.version += 1
        first = records[0]
        size = first.batch_size
        base_s, added_s = self._step_parts_s(size, first.batch_tokens)
        if len({record.verify_len for record in records}) > 1:
            added_s += self._profile.uneven_s(size)
        self._step.follow(base_s, added_s, first.duration_s - first.t_draft_s)
        lens = [record.num_drafted for record in records]
        self._follow_draft(self._drafting_s(size, sum(lens), max(lens)), first.t_draft_s)

    def _step_parts_s(self, size: int, num_tokens: int) -> tuple[float, float]:
        """Profiled seconds of a pass without drafts, and what these tokens add to it."""

        def compute() -> tuple[float, float]:
            base, whole = self._profile.pass_s(size, np.array([size, num_tokens])).tolist()
            return base, whole - base

        return _known(self._parts, (size, num_tokens), compute)

    def _drafting_s(self, size: int, num_drafted: int, longest: int) -> float:
        """Profiled seconds of all that the drafter does in a cycle."""

        def compute() -> float:
            absorb_s = self._profile.absorb_s(size)
            if longest == 0:
                return absorb_s
            made_s = self._profile.draft_s(np.array([num_drafted / longest]), longest)
            return absorb_s + float(made_s[0])

        return _known(self._drafts, (size, num_drafted, longest), compute)

    def _follow_draft(self, profiled_s: float, took_s: float) -> None:
        if profiled_s <= 0:
            return
        surprise = took_s / (self._draft_factor * profiled_s) - 1.0
        moved = 1.0 + (1 - self._forget) * _clipped(surprise, self._clip)
        self._draft_factor = _bounded(self._draft_factor * moved)


def _clipped(value: float, limit: float) -> float:
    return min(max(value, -limit), limit)


def _bounded(factor: float) -> float:
    return min(max(factor, LOWEST), HIGHEST)


def _known(known: dict[Key, Value], key: Key, compute: Callable[[], Value]) -> Value:
    """The value of a key, computed once; all are forgotten when there are too many."""
    if key not in known:
        if len(known) >= MOST_KNOWN:
            known.clear()
        known[key] = compute()
    return known[key]
