"""`flat`: every step costs the same, whatever is in it. What a server without a table assumes."""

from collections.abc import Sequence

import numpy as np

from dspark_bench.core.random_streams import Floats, Ints
from dspark_bench.core.records import CycleRecord


class FlatCost:
    """One second per step and free drafts: everything pays, so everything is verified."""

    version = 0

    def step_s(self, num_requests: int, num_tokens: Ints) -> Floats:
        """Ones [n]."""
        return np.ones(num_tokens.shape)

    def convex_step_s(self, num_requests: int, num_tokens: Ints) -> Floats:
        """Ones [n]."""
        return np.ones(num_tokens.shape)

    def draft_s(self, num_requests: Floats, num_slots: int) -> Floats:
        """Zeros [n]."""
        return np.zeros(num_requests.shape)

    def uneven_s(self, num_requests: int) -> float:
        """Nothing."""
        return 0.0

    def observe(self, records: Sequence[CycleRecord]) -> None:
        """Learns nothing."""
