"""The common baseline of points that were measured at one load."""

import pandas as pd
import pytest

from dspark_bench.plots.kinds.frontier import normalised


def test_it_is_the_median_which_one_disturbed_baseline_does_not_move() -> None:
    speeds = [100.0, 104.0, 10.0, 50.0]
    rows = pd.DataFrame(
        {
            "panel": "mixed",
            "level": [1, 1, 1, 2],
            "load_axis": "concurrency",
            "throughput_tok_s": [150.0, 208.0, 15.0, 60.0],
            "baseline_tok_s": speeds,
            "tok_s_per_user": [150.0, 208.0, 15.0, 30.0],
            "baseline_tok_s_per_user": speeds,
            "speedup_ci_low": 1.1,
            "speedup_ci_high": 1.6,
        }
    )
    found = normalised(rows)
    assert found["common_baseline_tok_s"].tolist() == [100.0, 100.0, 100.0, 50.0]
    assert found["normalised_throughput_tok_s"].tolist() == pytest.approx([150, 200, 150, 60])
    assert found["normalised_throughput_tok_s_ci_low"].tolist() == pytest.approx([110] * 3 + [55])
