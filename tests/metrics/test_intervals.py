"""The bootstrap: coverage, pairing, units."""

import numpy as np
import pandas as pd

from dspark_bench.metrics import acceptance, speed
from dspark_bench.metrics.intervals import Bootstrap, Interval
from dspark_bench.metrics.sums import Pooling, Sums, collect_sums
from tests.metrics.records import both_arms, cycle, drafted, request


def _sums(**values: np.ndarray) -> Sums:
    size = next(iter(values.values())).size
    names = Sums.__dataclass_fields__
    return Sums(**{name: values.get(name, np.zeros(size)) for name in names})


def test_interval_covers_the_truth_nearly_95_times_in_100() -> None:
    rng = np.random.default_rng(1)
    hits = 0
    for trial in range(300):
        trials = rng.integers(5, 40, size=40)
        accepted = rng.binomial(trials, 0.7).astype(float)
        sums = _sums(cycles=np.ones(40), trial_accepted=accepted, trial_rejected=trials - accepted)
        interval = Bootstrap(sums, trial, 400).interval(acceptance.alpha)
        assert interval.low is not None
        assert interval.high is not None
        hits += interval.low <= 0.7 <= interval.high
    # 95 % of 300 is 285, standard deviation 3.8; the percentile bootstrap errs a little low.
    assert 270 <= hits <= 299


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
        interval = Bootstrap(sums, 0).interval(speed.speedup_closed)
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


def test_same_seed_same_interval_and_one_unit_has_none() -> None:
    frame = pd.DataFrame([drafted(4, 1, True), cycle(arm="baseline")])
    one = Bootstrap(collect_sums(frame, both_arms(), Pooling(4)), 0).interval(acceptance.alpha)
    assert (one.value, one.low, one.high, one.n) == (0.5, None, None, 1)
    sums = _sums(cycles=np.ones(9), accepted=np.arange(9.0))
    first, second = (Bootstrap(sums, 3).interval(acceptance.accepted_length) for _ in range(2))
    assert first == second
    assert Bootstrap(sums, 3).interval(acceptance.alpha).value is None


def test_an_interval_says_what_it_has() -> None:
    assert Interval(1.156, 1.12, 1.2, 9).text() == "1.16 [1.12-1.20]"
    assert Interval(1.156, 1.12, 1.2, 9).text(3) == "1.156 [1.120-1.200]"
    assert Interval(1.156, None, None, 1).text() == "1.16"
    assert Interval(None, None, None, 0).text() == "-"
