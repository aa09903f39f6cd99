"""`lognormal`: many short answers and a few long ones.

With coefficient of variation v and mean m: sigma^2 = ln(1 + v^2), mu = ln(m) - sigma^2/2.
"""

import math

import numpy as np

from dspark_bench.core.errors import UsageError
from dspark_bench.loads.lengths.plan import LengthPlan, capped


class LognormalLengths:
    """Rounded draws of a log-normal law with mean `mean` tokens and coefficient of variation `cv`.

    Mean and cv are those before rounding and capping.
    """

    def __init__(self, mean: float, cv: float, seed: int) -> None:
        """Raises UsageError for values out of range."""
        if not (math.isfinite(mean) and mean >= 1):
            raise UsageError(f"lengths.mean is {mean}; valid: 1 or more tokens")
        if not (math.isfinite(cv) and cv >= 0):
            raise UsageError(f"lengths.cv is {cv}; valid: 0 or more")
        if seed < 0:
            raise UsageError(f"lengths.seed is {seed}; valid: 0 or more")
        self._variance = math.log1p(cv**2)
        self._mu = math.log(mean) - self._variance / 2
        self._seed = seed

    def plan(self, num_requests: int, cap: int) -> LengthPlan:
        """The first draws of the seed; more requests change no earlier length."""
        normal = np.random.default_rng(self._seed).standard_normal(num_requests)
        drawn = np.exp(self._mu + math.sqrt(self._variance) * normal)
        wanted = np.maximum(np.rint(np.minimum(drawn, cap + 1)), 1).astype(int)
        return capped(wanted.tolist(), cap, "lengths=lognormal")
