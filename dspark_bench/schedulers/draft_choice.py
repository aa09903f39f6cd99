"""How much to draft, decided before anything is drafted, from earlier cycles only.

For every longest draft K and every number n of drafts, taken in order of forecast survival, the
throughput (B + survivals) / (proposing + step) is compared; drafting nothing is one of the choices.
So is an even batch, K drafts for everyone: where attention pads, being uneven has its own price.
"""

from dataclasses import dataclass

import numpy as np

from dspark_bench.core.errors import UsageError
from dspark_bench.core.random_streams import Floats
from dspark_bench.core.types import PlanContext
from dspark_bench.schedulers.admission import rank
from dspark_bench.schedulers.cycle_times import DraftTimes

LONGER_GAIN = 0.01
"""Share by which a longer draft must be forecast to beat a shorter one: the best of several
forecasts is too good on average, and what is not drafted is not waited for.
"""


@dataclass(frozen=True, slots=True)
class DraftRule:
    """Which drafts to make: those with at least this survival, of requests whose first has `least`.

    longest: no draft is longer, 0 for none at all; reserve: see `choose_rule`; is_even: everyone
    drafts the longest, and verifies it, because leaving some out would cost more than it saves;
    throughput: tokens per second that it is forecast to give.
    """

    longest: int
    least: float
    reserve: float
    throughput: float
    is_even: bool = False

    def lens(self, forecast: Floats) -> list[int]:
        """Draft length of each request by its forecast survival [B, gamma]."""
        if self.longest == 0 or self.is_even:
            return [self.longest] * forecast.shape[0]
        within = forecast[:, : self.longest]
        lens = (within >= self.least * self.reserve).sum(1)
        found: list[int] = np.where(within[:, 0] >= self.least, lens, 0).tolist()
        return found


def choose_rule(
    forecast: Floats, context: PlanContext, times: DraftTimes, min_gain: float, reserve: float
) -> DraftRule:
    """The rule with the highest forecast throughput for this batch.

    forecast [B, gamma]: expected survival; min_gain: share by which drafting must beat not drafting
    to be done at all; reserve: drafts whose forecast is this share of the least one that pays are
    made too, because this time they may turn out better.
    """
    size, gamma = forecast.shape
    candidates = rank(forecast, [gamma] * size)
    seconds = times.of(context, gamma)
    is_within = candidates.places < np.arange(gamma + 1)[:, None]
    made = np.cumsum(is_within, axis=1, dtype=np.int64)
    expected = context.num_requests + np.cumsum(is_within * candidates.survival, axis=1)
    theta = np.where(is_within, expected / np.take_along_axis(seconds, made, axis=1), 0.0)
    places = theta.argmax(axis=1)
    idle = best = context.num_requests / float(seconds[0, 0])
    none = rule = DraftRule(0, 1.0, reserve, idle)
    for longest in range(1, gamma + 1):
        place = places[longest]
        found = float(theta[longest, place])
        if found > best * (1 + LONGER_GAIN if rule.longest else 1):
            is_even = made[longest, place] == size * longest
            is_even = bool(is_even) and times.cost.uneven_s(context.num_requests) > 0
            best = found
            rule = DraftRule(longest, float(candidates.survival[place]), reserve, best, is_even)
    return rule if best >= idle * (1 + min_gain) else none


def equal_lens(context: PlanContext, length: int) -> list[int]:
    """The same draft length for every request, gamma at most."""
    return [min(length, context.gamma)] * len(context.request_ids)


def check_period(exploration_period: int) -> None:
    """Raise UsageError for a negative period."""
    if exploration_period < 0:
        raise UsageError(f"scheduler.exploration_period is {exploration_period}; valid: 0 or more")
