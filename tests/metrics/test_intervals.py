"""Intervals of a point's figures: coverage, pairing, units, and the scale they are taken on."""

import numpy as np
import pandas as pd
import pytest

from dspark_bench.metrics import acceptance, speed
from dspark_bench.metrics.headline import SHARES
from dspark_bench.metrics.intervals import Interval
from dspark_bench.metrics.jackknife import Jackknife, share_intervals
from dspark_bench.metrics.sums import Pooling, Sums, collect_sums
from tests.metrics.records import both_arms, cycle, drafted, request


def _sums(**values: np.ndarray) -> Sums:
    size = next(iter(values.values())).size
    names = Sums.__dataclass_fields__
    return Sums(**{name: values.get(name, np.zeros(size)) for name in names})


@pytest.mark.parametrize("num_units", [6, 40])
def test_interval_covers_the_truth_95_times_in_100(num_units: int) -> None:
    """Prompts of uneven length that differ in how often they accept, around 0.7."""
    rng = np.random.default_rng(num_units)
    hits = 0
    for _ in range(400):
        trials = rng.integers(5, 200, size=num_units)
        accepted = rng.binomial(trials, rng.beta(7, 3, num_units)).astype(float)
        sums = _sums(
            cycles=trials.astype(float), trial_accepted=accepted, trial_rejected=trials - accepted
        )
        interval = Jackknife(sums).interval(acceptance.alpha, SHARES["alpha"])
        assert interval.low is not None
        assert interval.high is not None
        hits += interval.low <= 0.7 <= interval.high
    # standard deviation of 380: 4.4; a percentile bootstrap of 6 units covers about 348
    assert 371 <= hits <= 399


def test_a_share_never_leaves_0_to_1() -> None:
    sums = _sums(cycles=np.ones(6), met=np.array([1.0, 1, 1, 1, 1, 0]), arrived=np.ones(6))
    found = Jackknife(sums).interval(speed.slo_attainment, SHARES["slo_attainment"])
    assert found.low is not None and found.high is not None
    assert 0 < found.low < 5 / 6 < found.high < 1


def test_a_share_without_scatter_has_the_exact_interval_of_its_units() -> None:
    """All of 6: Clopper and Pearson's lower end solves p^6 = 0.025; trials count, cycles do not."""
    trials = np.array([4.0, 4, 4, 4, 4, 4, 0, 0])
    sums = _sums(cycles=np.ones(8), met=trials, arrived=trials)
    found = Jackknife(sums).interval(speed.slo_attainment, SHARES["slo_attainment"])
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(0.025 ** (1 / 6))
    none = Jackknife(_sums(cycles=np.ones(8), arrived=trials))
    found = none.interval(speed.slo_attainment, SHARES["slo_attainment"])
    assert (found.value, found.low) == (0.0, 0.0)
    assert found.high == pytest.approx(1 - 0.025 ** (1 / 6))


def test_another_figure_without_scatter_has_none() -> None:
    sums = _sums(cycles=np.full(8, 3.0), accepted=np.full(8, 6.0))
    found = Jackknife(sums).interval(acceptance.accepted_length)
    assert found == Interval(3.0, None, None, 8)
    nothing_met = Jackknife(_sums(cycles=np.ones(8), span_s=np.ones(8)))
    assert nothing_met.interval(speed.goodput_req_s) == Interval(0.0, None, None, 8)


def test_a_mean_of_equal_units_by_hand() -> None:
    """Error: the jackknife's of a mean, which is s / sqrt(U); Student's t of U - 1, widened."""
    accepted = np.array([1.0, 2, 3, 2, 1, 3, 2, 2])
    found = Jackknife(_sums(cycles=np.ones(8), accepted=accepted)).interval(
        acceptance.accepted_length
    )
    reach = 9 / 8 * 2.364624 * accepted.std(ddof=1) / np.sqrt(8) / 3
    assert found.low == pytest.approx(3 * np.exp(-reach), rel=1e-5)
    assert found.high == pytest.approx(3 * np.exp(reach), rel=1e-5)


def test_a_figure_that_rests_on_one_unit_has_no_interval() -> None:
    sums = _sums(cycles=np.ones(5), trial_accepted=np.eye(5)[0], trial_rejected=np.eye(5)[0])
    assert Jackknife(sums).interval(acceptance.alpha, SHARES["alpha"]) == Interval(
        0.5, None, None, 5
    )
    counts = np.array([[3.0, 1.0], [1.0, 0.0]])
    found = share_intervals(counts, np.array([[4.0, 2.0], [2.0, 0.0]]))
    assert found[0].low is not None and found[1] == Interval(0.5, None, None, 2)


def test_pairing_narrows_the_interval_of_a_ratio() -> None:
    rng = np.random.default_rng(2)
    difficulty = rng.lognormal(0, 1, size=50)
    shared = {
        "cycles": np.ones(50),
        "tokens": np.full(50, 100.0),
        "baseline_tokens": np.full(50, 100.0),
        "time_s": difficulty * rng.normal(1, 0.02, 50),
    }
    baseline_s = difficulty * rng.normal(2, 0.04, 50)

    def width(times_s: np.ndarray) -> float:
        sums = _sums(**shared, baseline_time_s=times_s)
        interval = Jackknife(sums).interval(speed.speedup_closed)
        assert interval.low is not None
        assert interval.high is not None
        return interval.high - interval.low

    assert width(baseline_s) < 0.2 * width(rng.permutation(baseline_s))


def test_a_prompt_is_one_unit_with_both_arms_and_all_repeats() -> None:
    rows, requests = [], []
    for repeat in range(3):
        for place in range(2):
            for arm in ("baseline", "speculative"):
                key = {"arm": arm, "repeat": repeat, "request_id": place}
                requests.append(request(**key, prompt_id=f"p{place}"))
                rows.append(cycle(**key, cycle=place))
    frames = pd.DataFrame(rows), pd.DataFrame(requests)
    alone = collect_sums(*frames, Pooling(4))
    assert alone.num_units == 2
    np.testing.assert_array_equal(alone.cycles, [3, 3])
    assert collect_sums(*frames, Pooling(4, concurrency=2)).num_units == 3


def test_one_unit_has_none() -> None:
    frame = pd.DataFrame([drafted(4, 1, True), cycle(arm="baseline")])
    sums = collect_sums(frame, both_arms(), Pooling(4))
    one = Jackknife(sums).interval(acceptance.alpha, SHARES["alpha"])
    assert (one.value, one.low, one.high, one.n) == (0.5, None, None, 1)
    none = Jackknife(_sums(cycles=np.ones(9))).interval(acceptance.alpha, SHARES["alpha"])
    assert none == Interval(None, None, None, 9)


def test_an_interval_says_what_it_has() -> None:
    assert Interval(1.156, 1.12, 1.2, 9).text() == "1.16 [1.12-1.20]"
    assert Interval(1.156, 1.12, 1.2, 9).text(3) == "1.156 [1.120-1.200]"
    assert Interval(1.156, None, None, 1).text() == "1.16"
    assert Interval(None, None, None, 0).text() == "-"
