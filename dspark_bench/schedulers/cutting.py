"""Whether reading confidences before verifying is worth the time that it takes.

A slot k of a draft adds slot_s[k] to a cycle and gives its survival a_k in tokens, each worth
1 / throughput seconds. Leaving out the slots that cost more than they give gains, per cycle, the
sum of max(0, slot_s[k] - a_k / throughput). Where that is less than what choosing takes, as with
few requests on an idle machine, everything drafted is verified. Judged by finished cycles, so no
token of the cycle at hand has a say.
"""

import numpy as np

from dspark_bench.core.random_streams import Floats
from dspark_bench.schedulers.survival import DraftedSlots

CHOOSING_S = 1e-4
"""Seconds of a cycle that choosing takes: 0.09 ms for one request, beside models of 13 M weights on
a core of an AMD EPYC (Zen 4). Three in four of them are cache misses, so it hardly grows.
"""
MEMORY = 0.75
"""Share of the estimate that a new look leaves."""


class CuttingGain:
    """What cutting drafts short has been worth lately, in seconds per cycle."""

    def __init__(self) -> None:
        self._gain_s: float | None = None

    @property
    def is_worth_it(self) -> bool:
        """Whether it gains more than it takes; as long as nothing is known, yes."""
        return self._gain_s is None or self._gain_s > CHOOSING_S

    def observe(self, drafts: DraftedSlots, slot_s: Floats, throughput: float) -> None:
        """slot_s [K]: seconds that slot k adds to a cycle; throughput: tokens per second."""
        lost_s = drafts.passed / throughput
        saved_s = np.where(drafts.is_slot, slot_s[: lost_s.shape[1]] - lost_s, 0.0)
        found_s = float(np.maximum(saved_s, 0.0).sum()) / drafts.num_cycles
        known_s = found_s if self._gain_s is None else self._gain_s
        self._gain_s = MEMORY * known_s + (1 - MEMORY) * found_s
