"""Log-normal lengths: their law, their cap, and values out of range."""

import re

import numpy as np
import pytest
from scipy import stats

from dspark_bench.core.errors import UsageError
from dspark_bench.loads.lengths.lognormal import LognormalLengths

MANY = 5_000


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("cv", [0.5, 1.5])
def test_mean_and_spread(seed: int, cv: float) -> None:
    tokens = np.array(LognormalLengths(400.0, cv, seed).plan(MANY, 10**6).tokens)
    assert tokens.mean() == pytest.approx(400, abs=5 * 400 * cv / MANY**0.5)
    sigma = np.log1p(cv**2) ** 0.5
    median = 400 * np.exp(-(sigma**2) / 2)

    def pvalue(spread: float) -> float:
        jittered = tokens + np.random.default_rng(9).uniform(-0.5, 0.5, MANY)
        return float(stats.kstest(jittered, stats.lognorm(spread, scale=median).cdf).pvalue)

    assert pvalue(sigma) > 1e-3
    assert pvalue(1.3 * sigma) < 1e-6


def test_equal_seeds_give_equal_lengths_and_more_change_no_earlier_one() -> None:
    first, again, other = (LognormalLengths(30.0, 1.0, s).plan(20, 99).tokens for s in (1, 1, 2))
    assert first == again != other
    assert LognormalLengths(30.0, 1.0, 1).plan(50, 99).tokens[:20] == first


def test_no_spread_is_one_length_and_the_cap_is_noted() -> None:
    assert LognormalLengths(30.0, 0.0, 0).plan(3, 99).tokens == (30, 30, 30)
    plan = LognormalLengths(30.0, 0.0, 0).plan(3, 8)
    assert plan.tokens == (8, 8, 8)
    assert plan.notes == (
        "lengths=lognormal: 3 of 3 lengths were above max_new_tokens=8 and capped there",
    )
    assert min(LognormalLengths(1.0, 3.0, 0).plan(100, 8).tokens) == 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((0.5, 1.0, 0), "lengths.mean is 0.5"),
        ((float("inf"), 1.0, 0), "lengths.mean is inf"),
        ((9.0, -1.0, 0), "lengths.cv is -1.0"),
        ((9.0, 1.0, -1), "lengths.seed is -1"),
    ],
)
def test_bad_values_are_named(values: tuple[float, float, int], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        LognormalLengths(*values)
