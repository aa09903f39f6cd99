"""The paired ratio by hand, and what cannot be paired."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dspark_bench.core.errors import ResultsError
from dspark_bench.metrics.comparison import (
    accepted_length_ratio,
    arm_sums,
    speed_by_prompt,
    speed_by_round,
    speedup_ratio,
)
from dspark_bench.metrics.student import two_sided
from tests.metrics.records import cycle, request
from tests.report.folders import write_times


def sums(**prompts: tuple[int, int]) -> pd.DataFrame:
    frame = pd.DataFrame.from_dict(prompts, orient="index", columns=["cycles", "accepted"])
    return frame.astype(float)


def test_ratio_of_pooled_accepted_lengths() -> None:
    first, second = sums(a=(10, 20), b=(30, 20)), sums(b=(40, 10), a=(20, 10))
    found = accepted_length_ratio(first, second)
    assert found.value == pytest.approx((1 + 40 / 40) / (1 + 20 / 60))
    assert found.n == 2 and found.low is not None and found.high is not None
    # a prompt left out each time: two of the same size have Student's t of one degree
    assert found.low < found.value < found.high


def test_pairing_removes_what_prompts_share() -> None:
    """Prompts differ by far more than the drafters do; the paired interval is narrow anyway."""
    first = sums(**{f"p{i}": (100, 50 * i) for i in range(1, 9)})
    second = sums(**{f"p{i}": (110, 50 * i) for i in range(1, 9)})
    found = accepted_length_ratio(first, second)
    assert found.low is not None and found.high is not None
    assert found.low > 1.05 and found.high < 1.1


def test_other_prompts_are_refused() -> None:
    with pytest.raises(ResultsError, match="different prompts"):
        accepted_length_ratio(sums(a=(1, 1)), sums(b=(1, 1)))


def test_speed_is_paired_by_prompt_over_both_arms(tmp_path: Path) -> None:
    write_times(tmp_path, {"p": (2.0, 5.0), "q": (4.0, 5.0)})
    cycles = pd.read_parquet(tmp_path / "cycles.parquet")
    requests = pd.read_parquet(tmp_path / "requests.parquet")
    first = speed_by_prompt(cycles, requests)
    assert first.loc["p"].tolist() == [10.0, 2.0, 10.0, 5.0]
    second = first.assign(time_s=[3.0, 9.0])
    ratio = speedup_ratio(first, second)
    # without a prompt: 9/4 and 3/2, so that half the distance of their logarithms is the error
    reach = np.exp(1.5 * two_sided(0.95, ratio.n - 1) * np.log(1.5) / 2)
    assert (ratio.value, ratio.n) == (pytest.approx(2.0), 2)
    assert (ratio.low, ratio.high) == pytest.approx((2 / reach, 2 * reach), rel=1e-6)
    with pytest.raises(ResultsError, match="different prompts"):
        speedup_ratio(first, second.drop("p"))
    with pytest.raises(ResultsError, match="shared a batch"):
        speed_by_prompt(cycles.assign(batch_size=2), requests)


def test_several_points_become_arms_in_one_order_of_prompts(tmp_path: Path) -> None:
    write_times(tmp_path, {"p": (2.0, 5.0), "q": (4.0, 5.0)})
    cycles = pd.read_parquet(tmp_path / "cycles.parquet")
    first = speed_by_prompt(cycles, pd.read_parquet(tmp_path / "requests.parquet"))
    arms = arm_sums({"fast": first, "slow": first.assign(time_s=first["time_s"] + 5).iloc[::-1]})
    assert arms.labels == ("fast", "slow")
    assert arms.table[:, :, 1].tolist() == [[2.0, 4.0], [7.0, 9.0]]
    with pytest.raises(ResultsError, match="different prompts"):
        arm_sums({"fast": first, "slow": first.drop("p")})
    with pytest.raises(ResultsError, match="no time"):
        arm_sums({"fast": first.assign(time_s=0.0)})


def test_rounds_are_units_where_requests_share_a_batch() -> None:
    """One row per round; cycles below the full batch are ramp-up or drain."""
    rows = [
        cycle(arm=arm, repeat=block, block=block, cycle=n, batch_size=size, t_verify_s=taken_s)
        for block in range(2)
        for arm, taken_s in (("baseline", 3.0), ("speculative", 1.0 + block))
        for n, size in enumerate((2, 1))
    ]
    requests = [
        request(arm=arm, repeat=block, block=block)
        for block in range(2)
        for arm in ("baseline", "speculative")
    ]
    found = speed_by_round(pd.DataFrame(rows), pd.DataFrame(requests), concurrency=2)
    assert list(found.columns) == ["tokens", "time_s", "baseline_tokens", "baseline_time_s"]
    assert sorted(found["time_s"]) == [1.0, 2.0] and found["baseline_time_s"].tolist() == [3.0, 3.0]
