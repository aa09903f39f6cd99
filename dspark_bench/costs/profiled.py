"""`profiled`: step times measured on this machine before the run, then taken as they are."""

from collections.abc import Sequence

import numpy as np

from dspark_bench.core.cost_surface import CostSurface, evaluate
from dspark_bench.core.random_streams import Floats, Ints
from dspark_bench.core.records import CycleRecord


class ProfiledCost:
    """Reads a measured surface; learns nothing from the run."""

    version = 0

    def __init__(self, surface: CostSurface) -> None:
        self._surface = surface
        self._curves: dict[tuple[int, bool], tuple[Floats, Floats]] = {}
        self._drafts: dict[int, tuple[Floats, Floats]] = {}
        self._absorb: dict[int, float] = {}
        self._uneven: dict[int, float] = {}

    def step_s(self, num_requests: int, num_tokens: Ints) -> Floats:
        """A whole cycle but for proposing, seconds [n]."""
        return self.pass_s(num_requests, num_tokens) + self.absorb_s(num_requests)

    def convex_step_s(self, num_requests: int, num_tokens: Ints) -> Floats:
        """The same on the envelope, seconds [n]."""
        times = self.pass_s(num_requests, num_tokens, is_convex=True)
        return times + self.absorb_s(num_requests)

    def draft_s(self, num_requests: Floats, num_slots: int) -> Floats:
        """Proposing, seconds [n]; 0 for no requests."""
        if num_slots not in self._drafts:
            self._drafts[num_slots] = self._surface.draft_curve(num_slots)
        times = evaluate(self._drafts[num_slots], num_requests)
        return np.asarray(np.where(num_requests > 0, times, 0.0))

    def pass_s(self, num_requests: int, num_tokens: Ints, is_convex: bool = False) -> Floats:
        """The target's pass and what follows it, seconds [n]."""
        key = (num_requests, is_convex)
        if key not in self._curves:
            self._curves[key] = self._surface.step_curve(num_requests, not is_convex)
        wanted = (num_tokens - num_requests) / num_requests
        return evaluate(self._curves[key], wanted)

    def absorb_s(self, num_requests: int) -> float:
        """The drafter's reading of what was committed, seconds."""
        if num_requests not in self._absorb:
            self._absorb[num_requests] = self._surface.absorb_at(num_requests)
        return self._absorb[num_requests]

    def uneven_s(self, num_requests: int) -> float:
        """More for a cycle of different lengths, seconds."""
        if num_requests not in self._uneven:
            self._uneven[num_requests] = self._surface.uneven_at(num_requests)
        return self._uneven[num_requests]

    def observe(self, records: Sequence[CycleRecord]) -> None:
        """Learns nothing."""
