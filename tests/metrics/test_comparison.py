"""The paired ratio by hand, and what cannot be paired."""

import pandas as pd
import pytest

from dspark_bench.core.errors import ResultsError
from dspark_bench.metrics.comparison import accepted_length_ratio


def sums(**prompts: tuple[int, int]) -> pd.DataFrame:
    frame = pd.DataFrame.from_dict(prompts, orient="index", columns=["cycles", "accepted"])
    return frame.astype(float)


def test_ratio_of_pooled_accepted_lengths() -> None:
    first, second = sums(a=(10, 20), b=(30, 20)), sums(b=(40, 10), a=(20, 10))
    found = accepted_length_ratio(first, second)
    assert found.value == pytest.approx((1 + 40 / 40) / (1 + 20 / 60))
    assert found.n == 2 and found.low is not None and found.high is not None
    only_a, only_b = 3 / 1.5, (1 + 20 / 30) / 1.25
    assert found.low == pytest.approx(min(only_a, only_b))
    assert found.high == pytest.approx(max(only_a, only_b))


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
