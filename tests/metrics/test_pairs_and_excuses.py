"""Which outputs are compared with which, and what excuses a difference."""

import numpy as np
import pandas as pd
import pytest

from dspark_bench.metrics.calibration import Trials
from dspark_bench.metrics.comparison import accepted_length_ratio, speedup_ratio
from dspark_bench.metrics.lossless import check_greedy
from dspark_bench.metrics.temperature_scaling import fit_temperatures
from tests.metrics.test_lossless import _pair


def test_prompts_are_paired_by_name_whatever_the_order() -> None:
    """Each prompt takes half the time at the second point: the ratio is 2, and nothing scatters
    that an interval could be taken from.
    """
    speeds = pd.DataFrame(
        {
            "tokens": [10.0, 200.0, 30.0, 4.0, 50.0, 6.0],
            "time_s": [1.0, 7.0, 2.0, 3.0, 9.0, 4.0],
            "baseline_tokens": [10.0, 100.0, 30.0, 5.0, 60.0, 7.0],
            "baseline_time_s": [3.0, 5.0, 8.0, 2.0, 6.0, 1.0],
        },
        index=list("abcdef"),
    )
    faster = speeds.assign(time_s=speeds["time_s"] / 2)
    for shuffled in (faster, faster.iloc[::-1], faster.iloc[[3, 0, 5, 1, 4, 2]]):
        found = speedup_ratio(shuffled, speeds)
        assert (found.value, found.low, found.high) == (pytest.approx(2.0), None, None)
    counts = pd.DataFrame(
        {"cycles": [10.0, 90.0, 5.0, 40.0, 7.0, 8.0], "accepted": [3.0, 80.0, 1.0, 9.0, 7.0, 0.0]},
        index=list("abcdef"),
    )
    found = accepted_length_ratio(counts.iloc[::-1], counts)
    assert (found.value, found.low, found.high) == (pytest.approx(1.0), None, None)


@pytest.mark.parametrize("margins", [(), (1e-9, 1e-9, 1e-9)])
def test_an_output_that_ends_earlier_is_never_excused(margins: tuple[float, ...]) -> None:
    for ours, theirs in (((1, 2), (1, 2, 3)), ((1, 2, 3), (1, 2)), ((), (1,))):
        assert check_greedy(pd.DataFrame(_pair(ours, theirs, margins))).evidence == "violated"


def test_later_positions_are_fitted_behind_calibrated_ones() -> None:
    """Position 1 says 0.9 and holds in 3 of 4; 2 says 0.8, and of those reached 9 in 10 do.

    Behind 3/4, its own 0.9 needs odds of 9 from 4: T = ln 4 / ln 9. Behind an uncalibrated 0.9 it
    would look as if only three in four had held.
    """
    shown = np.tile([0.9, 0.8], (800, 1))
    accepted = np.array([0] * 200 + [1] * 60 + [2] * 540)
    found = fit_temperatures(Trials(shown, np.full(800, 2), accepted))
    assert found == pytest.approx((2.0, np.log(4) / np.log(9)), rel=0.03)
