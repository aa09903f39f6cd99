"""Arrivals: reproducible, at the stated rate and burstiness, and never waiting for answers."""

import re
from collections.abc import Callable

import numpy as np
import pytest

from dspark_bench.core.errors import UsageError
from dspark_bench.loads.constant import ConstantLoad
from dspark_bench.loads.gamma import GammaLoad
from dspark_bench.loads.open_loop import FloatArray, OpenLoop
from dspark_bench.loads.poisson import PoissonLoad
from dspark_bench.loads.ramp import RampLoad

MANY = 20_000


def arrivals(load: OpenLoop, count: int = MANY) -> FloatArray:
    load.start(count)
    return np.array([load.scheduled_s(index, 0.0) for index in range(count)])


def test_constant_by_hand() -> None:
    load = ConstantLoad(4.0, 2)
    assert arrivals(load, 4).tolist() == [0.0, 0.25, 0.5, 0.75]
    assert [load.due(now, 0) for now in (0.0, 0.24, 0.25, 9.0)] == [1, 1, 2, 4]
    assert load.next_event_s(0.3, 2) == 0.5
    assert load.next_event_s(0.8, 4) is None


@pytest.mark.parametrize(("burstiness", "expected"), [(None, 1.0), (0.5, 0.5), (3.0, 3.0)])
def test_rate_and_burstiness(burstiness: float | None, expected: float) -> None:
    made = PoissonLoad(5.0, 1, 7) if burstiness is None else GammaLoad(5.0, burstiness, 1, 7)
    gaps = np.diff(arrivals(made), prepend=0.0)
    # Standard error of the mean: cv / (rate sqrt(n)); five of them.
    assert gaps.mean() == pytest.approx(0.2, abs=5 * expected * 0.2 / MANY**0.5)
    assert gaps.std() / gaps.mean() == pytest.approx(expected, rel=0.1)


def test_burstiness_one_is_the_exponential_law() -> None:
    gaps = np.sort(np.diff(arrivals(GammaLoad(2.0, 1.0, 1, 3)), prepend=0.0))
    law = 1 - np.exp(-2.0 * gaps)
    distance = np.abs(law - (np.arange(MANY) + 0.5) / MANY).max()
    assert distance < 1.63 / MANY**0.5  # Kolmogorov-Smirnov at 1 %


@pytest.mark.parametrize(("start", "end"), [(2.0, 10.0), (10.0, 2.0), (4.0, 4.0)])
def test_a_ramp_follows_its_rate(start: float, end: float) -> None:
    times = arrivals(RampLoad(start, end, 1000.0, 1, 5))
    assert (np.diff(times) >= 0).all()
    for low, high in ((0.0, 500.0), (500.0, 1000.0), (1000.0, 1400.0)):
        share = [min(1.0, edge / 1000.0) for edge in (low, high)]
        rates = [start + (end - start) * part for part in share]
        expected = (rates[0] + rates[1]) / 2 * (high - low)
        counted = ((times >= low) & (times < high)).sum()
        assert counted == pytest.approx(expected, abs=5 * expected**0.5)


@pytest.mark.parametrize(
    "make",
    [
        lambda seed: PoissonLoad(3.0, 1, seed),
        lambda seed: GammaLoad(3.0, 2.0, 1, seed),
        lambda seed: RampLoad(1.0, 3.0, 5.0, 1, seed),
    ],
)
def test_equal_seeds_give_equal_arrivals(make: Callable[[int], OpenLoop]) -> None:
    first, again, other = (arrivals(make(seed), 50) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).all()
    longer = arrivals(make(1), 80)
    assert (longer[:50] == first).all()  # more requests change no earlier arrival


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PoissonLoad(0.0, 1, 0), "load.rate is 0.0"),
        (lambda: PoissonLoad(float("nan"), 1, 0), "load.rate is nan"),
        (lambda: PoissonLoad(1.0, 0, 0), "load.max_concurrency is 0"),
        (lambda: PoissonLoad(1.0, 1, -1), "load.seed is -1"),
        (lambda: ConstantLoad(-2.0, 1), "load.rate is -2.0"),
        (lambda: GammaLoad(1.0, 0.0, 1, 0), "load.burstiness is 0.0"),
        (lambda: RampLoad(1.0, 0.0, 5.0, 1, 0), "load.end_rate is 0.0"),
        (lambda: RampLoad(1.0, 2.0, 0.0, 1, 0), "load.duration_s is 0.0"),
    ],
)
def test_bad_values_are_named(make: Callable[[], OpenLoop], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        make()
