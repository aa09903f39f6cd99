"""What trees promise, by hand."""

import math

import numpy as np
import pandas as pd
import pytest

from dspark_bench.metrics.foreseen import foreseen_length
from dspark_bench.metrics.theory import expected_tree_length


def test_a_tree_is_worth_the_sum_of_its_survivals() -> None:
    """0.6 and 0.3, and 0.6 * 0.5 behind the first: depth 1 stands with 0.9, depth 2 with 0.3."""
    assert expected_tree_length([0.6, 0.3, 0.3]) == pytest.approx(1 + 0.9 + 0.3)
    assert expected_tree_length([]) == 1.0


def test_verified_nodes_count_and_cycles_without_a_tree() -> None:
    cycles = pd.DataFrame(
        {"survival": [np.array([0.6, 0.3, 0.3]), (), (0.5, 0.1)], "verify_len": [2, 0, 0]}
    )
    assert foreseen_length(cycles) == pytest.approx((1.9 + 1 + 1) / 3)


def test_without_estimates_there_is_none() -> None:
    assert math.isnan(foreseen_length(pd.DataFrame({"survival": [(), ()], "verify_len": [3, 3]})))
    assert math.isnan(foreseen_length(pd.DataFrame({"verify_len": [3]})))
    assert math.isnan(foreseen_length(pd.DataFrame({"survival": [], "verify_len": []})))
