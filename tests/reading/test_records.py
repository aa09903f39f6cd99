"""Records of cycles that cannot be: a count larger than the one that bounds it."""

import pandas as pd
import pytest

from dspark_bench.core.errors import ResultsError
from dspark_bench.reading.records import _check_order


def cycle(**values: object) -> pd.DataFrame:
    sound: dict[str, object] = {
        "num_drafted": 4,
        "verify_len": 3,
        "num_accepted": 2,
        "is_rejected": True,
        "tree_depth": 0,
    }
    return pd.DataFrame([sound | values])


def test_counts_that_fit_one_another_are_sound() -> None:
    _check_order(cycle(), 4)
    _check_order(cycle(num_accepted=3, is_rejected=False), 4)


@pytest.mark.parametrize(
    ("values", "column"),
    [
        ({"num_drafted": 5}, "num_drafted"),
        ({"verify_len": 5}, "verify_len"),
        ({"num_accepted": 4, "is_rejected": False}, "num_accepted"),
        ({"num_accepted": 3}, "num_accepted"),
        ({"tree_depth": 2, "num_accepted": 2}, "num_accepted"),
    ],
)
def test_others_are_named_by_their_column(values: dict[str, object], column: str) -> None:
    with pytest.raises(ResultsError, match=column):
        _check_order(cycle(**values), 4)
