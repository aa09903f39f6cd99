"""What rounding explains, by type and by size of the logit."""

import pytest
import torch

from dspark_bench.core.near_tie import FLOAT32_LIMIT, is_near_tie, tie_limit


@pytest.mark.parametrize("logit", [0.0, 5.0, -40.0, 1e4])
def test_float32_is_strict_whatever_the_size(logit: float) -> None:
    assert tie_limit(torch.float32, logit) == FLOAT32_LIMIT == 1e-3


@pytest.mark.parametrize("logit", [0.0, 5.0, 1e4])
def test_where_bits_are_the_same_in_every_batch_nothing_is_a_tie(logit: float) -> None:
    assert tie_limit(None, logit) == 0
    assert not is_near_tie([1e-7, 1e-7], [tie_limit(None, logit)] * 2)


@pytest.mark.parametrize("logit", [4.0, 7.9, 20.0, -20.0])
def test_bfloat16_may_move_by_a_few_of_its_own_steps(logit: float) -> None:
    here = torch.tensor(abs(logit), dtype=torch.bfloat16)
    step = float(torch.nextafter(here, torch.tensor(1e6, dtype=torch.bfloat16)) - here)
    assert 2 * step <= tie_limit(torch.bfloat16, logit) <= 8 * step
    assert tie_limit(torch.float16, logit) == tie_limit(torch.bfloat16, logit) / 8
    assert tie_limit(torch.bfloat16, 0.0) == FLOAT32_LIMIT


@pytest.mark.parametrize(
    ("margins", "limits", "expected"),
    [
        ([0.0, 0.0], [], True),
        ([5e-4, 9e-4], [], True),
        ([5e-4, 2e-3], [], False),
        ([0.1, 0.2], [0.25, 0.25], True),
        ([0.1, 0.3], [0.25, 0.25], False),
        ([0.0, 3.0], [0.25, 0.25], False),
        ([-1e-6, 0.0], [], False),
        ([-5.0, 0.0], [0.25, 0.25], False),
        ([0.2], [0.25], True),
        ([], [0.25], False),
        ([], [], False),
    ],
)
def test_both_margins_must_be_small_and_of_the_largest(
    margins: list[float], limits: list[float], expected: bool
) -> None:
    assert is_near_tie(margins, limits) is expected
