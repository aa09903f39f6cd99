"""Drawn gaps against the law they are said to follow (Kolmogorov-Smirnov), and against others."""

import numpy as np
import pytest
from scipy import stats

from dspark_bench.loads.gamma import GammaLoad
from dspark_bench.loads.open_loop import FloatArray, OpenLoop
from dspark_bench.loads.poisson import PoissonLoad
from dspark_bench.loads.ramp import RampLoad

MANY = 10_000
RATE = 4.0
SEEDS = (1, 2, 3)
KEPT, REFUSED = 1e-3, 1e-6


def gaps(load: OpenLoop) -> FloatArray:
    load.start(MANY)
    return np.diff([load.scheduled_s(index, 0.0) for index in range(MANY)], prepend=0.0)


def gamma_law(burstiness: float, rate: float = RATE) -> stats.rv_continuous:
    shape = burstiness**-2
    return stats.gamma(shape, scale=1 / (rate * shape))


@pytest.mark.parametrize("seed", SEEDS)
def test_poisson_gaps_are_exponential(seed: int) -> None:
    drawn = gaps(PoissonLoad(RATE, 1, seed))
    assert stats.kstest(drawn, stats.expon(scale=1 / RATE).cdf).pvalue > KEPT
    assert stats.kstest(drawn, stats.expon(scale=1 / (1.2 * RATE)).cdf).pvalue < REFUSED
    assert stats.kstest(drawn, gamma_law(1.3).cdf).pvalue < REFUSED


# At 3 and above one gap in thirty is below what a sum of gaps can resolve, and reads as 0.
@pytest.mark.parametrize("burstiness", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("seed", SEEDS)
def test_gamma_gaps_follow_their_burstiness(burstiness: float, seed: int) -> None:
    drawn = gaps(GammaLoad(RATE, burstiness, 1, seed))
    assert stats.kstest(drawn, gamma_law(burstiness).cdf).pvalue > KEPT
    assert stats.kstest(drawn, gamma_law(1.5 * burstiness).cdf).pvalue < REFUSED
    assert stats.kstest(drawn, gamma_law(burstiness, 1.5 * RATE).cdf).pvalue < REFUSED


@pytest.mark.parametrize("seed", SEEDS)
def test_successive_gaps_are_independent(seed: int) -> None:
    drawn = gaps(PoissonLoad(RATE, 1, seed))
    assert stats.spearmanr(drawn[:-1], drawn[1:]).pvalue > KEPT
    rising = np.sort(drawn)
    assert stats.spearmanr(rising[:-1], rising[1:]).pvalue < REFUSED


@pytest.mark.parametrize("seed", SEEDS)
def test_a_ramp_is_poisson_on_its_own_clock(seed: int) -> None:
    start, end, duration_s = 2.0, 10.0, 300.0
    times = np.cumsum(gaps(RampLoad(start, end, duration_s, 1, seed)))
    inside = np.minimum(times, duration_s)
    expected = start * inside + (end - start) / (2 * duration_s) * inside**2
    expected += end * np.maximum(times - duration_s, 0.0)
    assert stats.kstest(np.diff(expected, prepend=0.0), stats.expon().cdf).pvalue > KEPT
    assert stats.kstest(times / times[-1], "uniform").pvalue < REFUSED
