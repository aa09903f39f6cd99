"""One run over time, by hand."""

import pandas as pd
import pytest

from dspark_bench.metrics.timeline import MOST_ROWS, turn_timeline
from tests.metrics.records import cycle, drafted, numbered


def test_the_first_turn_of_each_arm_is_kept() -> None:
    two = {"batch_size": 2}
    rows = pd.DataFrame(
        [
            drafted(4, 2, True, cycle=0, request_id=0, started_s=5.0, num_waiting=3, **two),
            drafted(2, 0, True, cycle=0, request_id=1, started_s=5.0, num_waiting=3, **two),
            drafted(4, 4, cycle=1, request_id=0, started_s=6.4),
            drafted(4, 4, cycle=0, block=1, started_s=9.0),
            cycle(cycle=0, arm="baseline", is_prefill=True, started_s=1.0),
            cycle(cycle=0, is_warmup=True, num_waiting=99),
        ]
    )
    table = turn_timeline(rows)
    assert table["arm"].tolist() == ["baseline", "speculative", "speculative"]
    own = table[table["arm"] == "speculative"]
    assert own["time_s"].tolist() == pytest.approx([0, 1.4])
    assert own["duration_s"].tolist() == pytest.approx([1.4, 1.4])
    assert own["num_waiting"].tolist() == pytest.approx([3, 0])
    assert own["batch_size"].tolist() == [2, 1]
    assert own["verify_budget"].tolist() == [4, 5]  # 1 + (4 + 2)/2, 1 + 4
    assert own["tok_s"].tolist() == pytest.approx([4 / 1.4, 5 / 1.4])
    assert table["verify_budget"].isna().tolist() == [True, False, False]  # prefill only


def test_long_runs_are_pooled_over_time() -> None:
    rows = [
        cycle(batch_size=2, num_waiting=place % 2, started_s=float(place), t_verify_s=1.0)
        for place in range(3 * MOST_ROWS)
    ]
    table = turn_timeline(numbered(rows))
    assert len(table) == MOST_ROWS
    assert table["num_cycles"].tolist() == [3] * MOST_ROWS
    assert table["duration_s"].tolist() == [3.0] * MOST_ROWS
    assert table["num_waiting"].iloc[:2].tolist() == pytest.approx([1 / 3, 2 / 3])


def test_one_user_alone_has_no_timeline() -> None:
    assert turn_timeline(numbered([drafted(4, 4), drafted(4, 4, block=1)])).empty
