"""How much to draft, decided before anything is drafted, from earlier cycles only.

For every longest draft K and every number n of drafts, taken in order of forecast survival, the
throughput (B + survivals) / (proposing + step) is compared; drafting nothing is one of the choices.
"""

import numpy as np

from dspark_bench.core.protocols import StepCost
from dspark_bench.core.random_streams import Floats
from dspark_bench.core.types import PlanContext
from dspark_bench.schedulers.admission import rank


def choose_draft_lens(
    forecast: Floats, context: PlanContext, cost: StepCost, min_gain: float, reserve: float
) -> list[int]:
    """Draft length of each request, 0..gamma.

    forecast [B, gamma]: expected survival; min_gain: share by which drafting must beat not drafting
    to be done at all; reserve: drafts whose forecast is this share of the least one that pays are
    drafted too, because this time they may turn out better.
    """
    size, gamma = forecast.shape
    candidates = rank(forecast, [gamma] * size)
    counts = np.arange(candidates.survival.size + 1)
    step_s = cost.step_s(context.num_requests, context.num_fixed_tokens + counts)
    idle = context.num_requests / step_s[0]
    best, best_k, best_n = idle, 0, 0
    for longest in range(1, gamma + 1):
        is_short = candidates.places < longest
        gained = np.cumsum(candidates.survival[is_short])
        admitted = counts[1 : gained.size + 1]
        draft_s = cost.draft_s(admitted / longest, longest)
        theta = (context.num_requests + gained) / (draft_s + step_s[admitted])
        place = int(np.argmax(theta))
        if theta[place] > best:
            best, best_k, best_n = float(theta[place]), longest, place
    if best_k == 0 or best < idle * (1 + min_gain):
        return [0] * size
    least = candidates.survival[candidates.places < best_k][best_n]
    return _reaching(forecast, least, reserve)


def _reaching(forecast: Floats, least: float, reserve: float) -> list[int]:
    """Drafts that pay, with those in reserve behind them; nothing for requests where none pays."""
    pays = forecast[:, 0] >= least
    lens = (forecast >= least * reserve).sum(1)
    found: list[int] = np.where(pays, lens, 0).tolist()
    return found


def equal_lens(context: PlanContext, length: int) -> list[int]:
    """The same draft length for every request, gamma at most."""
    return [min(length, context.gamma)] * len(context.request_ids)
