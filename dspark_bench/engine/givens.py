"""What of a cycle stands before anything is drafted: random numbers, and tokens on record."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from dspark_bench.core.random_streams import CycleNoise, split_noise
from dspark_bench.core.types import Recorded
from dspark_bench.engine.record import recorded_tokens
from dspark_bench.engine.state import ActiveRequest
from dspark_bench.engine.widths import Widths


@dataclass(frozen=True, slots=True)
class Givens:
    """Of the B requests that emit, in their order.

    noise: keyed by request and cycle; recorded: None where the requests carry no record.
    """

    noise: CycleNoise
    recorded: Recorded | None

    def of(self, places: list[int]) -> "Givens":
        """Those of the requests at `places` alone, for drafting."""
        noise, recorded = self.noise, self.recorded
        picked = CycleNoise(noise.draft[places], noise.accept[places], noise.emit[places])
        if recorded is not None:
            recorded = replace(recorded, token_ids=recorded.token_ids[places])
        return Givens(picked, recorded)


def cycle_givens(
    states: Sequence[ActiveRequest], widths: Widths, device: torch.device, is_recorded: bool
) -> Givens:
    """The givens of `states`. Draws their next blocks of noise where the last are used up.

    is_recorded: whether the requests carry a record to follow.
    """
    rows = [state.noise_row(widths.num_draws) for state in states]
    flat = np.reshape(rows, (-1, 2 * widths.num_draws + 1))
    recorded = None
    if is_recorded and states:
        recorded = recorded_tokens(states, widths.gamma + 1, device)
    return Givens(split_noise(flat, widths.num_draws), recorded)
