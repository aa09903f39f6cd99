"""`online`: the profiled surface, bent to what the cycles of this run really take.

Three factors follow the machine: on a whole step, on what each draft token adds to it beside the
rest (the step's shape), and on drafting. The first and the last follow within `memory_cycles`. The
shape shows only in how cycles of more tokens differ from ones of fewer, which is less than what
any two cycles differ by, so it is learned from hundreds of them. One cycle can move the factors
only so far, so a single stall is not believed.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from dspark_bench.core.cost_surface import CostSurface
from dspark_bench.core.errors import UsageError
from dspark_bench.core.random_streams import Floats, Ints
from dspark_bench.core.records import CycleRecord
from dspark_bench.costs.profiled import ProfiledCost

Key = TypeVar("Key")
Value = TypeVar("Value")

LOWEST, HIGHEST = 0.05, 200.0
"""Bounds of every factor."""
MOST_KNOWN = 4096
_SHAPE_GAIN = 12.0
"""Of the step's shape, in gains of the level; times how far a cycle's share is from the usual."""
_SHAPE_PULL = 0.004
"""Back to the profile's shape, in gains of the level: what is no longer seen is forgotten."""


@dataclass(slots=True)
class _StepFactors:
    """Factors on the whole step (level) and, beside it, on what drafts add (e^log_shape).

    Numbers, not arrays: one request's cycle takes 13 ms, and array operations between two passes
    of a model take 0.02 ms each. gain: how far a cycle's surprise moves the level. usual: batch
    size -> profiled share of drafts in a step, running mean. Shapes are compared within one batch
    size only: what a profile has wrong about a size is no fault of the drafts'.
    """

    gain: float
    clip: float
    level: float = 1.0
    log_shape: float = 0.0
    usual: dict[int, float] = field(default_factory=dict)

    @property
    def added(self) -> float:
        """On what drafts add."""
        return _bounded(self.level * math.exp(self.log_shape))

    def follow(self, size: int, base_s: float, added_s: float, took_s: float) -> None:
        """A step of `size` requests and of these profiled parts took so long."""
        surprise = _clipped(took_s / (self.level * base_s + self.added * added_s) - 1.0, self.clip)
        share = added_s / (base_s + added_s)
        usual = self.usual.get(size, share)
        self.usual[size] = usual + self.gain * (share - usual)
        unusual = self._share(share) - self._share(usual)
        moved = _SHAPE_GAIN * unusual * surprise - _SHAPE_PULL * self.log_shape
        self.log_shape = _clipped(self.log_shape + self.gain * moved, math.log(HIGHEST))
        self.level = _bounded(self.level * (1.0 + self.gain * surprise))

    def _share(self, profiled: float) -> float:
        """Share of drafts in a step of such a profiled share, by the present shape."""
        drafts = profiled * math.exp(self.log_shape)
        return drafts / (1.0 - profiled + drafts)


class OnlineCost:
    """Learned from finished cycles only, so a cycle's own draws never reach its own decision."""

    def __init__(self, surface: CostSurface, memory_cycles: float = 12.0, clip: float = 0.5):
        """memory_cycles: after how many cycles an observation has lost two thirds of its weight
        on the level and on drafting; on the shape it lasts longer. clip: largest relative surprise
        that one cycle may contribute. Raises UsageError.
        """
        for name, value, lowest in (("memory_cycles", memory_cycles, 1.0), ("clip", clip, 0.0)):
            if not (np.isfinite(value) and value > lowest):
                raise UsageError(f"cost.{name} is {value}; valid: above {lowest:g}")
        self._profile = ProfiledCost(surface)
        self._gain = 1.0 - math.exp(-1.0 / memory_cycles)
        self._clip = clip
        self._step = _StepFactors(self._gain, clip)
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
        return np.asarray(self._step.level * base + added + absorb)

    def draft_s(self, num_requests: Floats, num_slots: int) -> Floats:
        """Proposing, seconds [n]."""
        return self._draft_factor * self._profile.draft_s(num_requests, num_slots)

    def uneven_s(self, num_requests: int) -> float:
        """More for a cycle of different lengths, seconds."""
        return self._step.added * self._profile.uneven_s(num_requests)

    @property
    def factors(self) -> tuple[float, float, float]:
        """On the step without drafts, on what drafts add to it, on drafting; 1: as profiled."""
        return self._step.level, self._step.added, self._draft_factor

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
        self._step.follow(size, base_s, added_s, first.duration_s - first.t_draft_s)
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
        moved = 1.0 + self._gain * _clipped(surprise, self._clip)
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
