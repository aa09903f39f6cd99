"""What a plug-in gives back wrongly is named with its class, method and what is valid."""

import pytest
import torch

from dspark_bench.core.errors import UsageError
from dspark_bench.core.types import DraftBatch, Proposal, SamplingParams
from dspark_bench.engine.plugin_checks import check_lengths, check_proposal


class Mine:
    pass


@pytest.mark.parametrize("lengths", [[5], [-1], [1.0], [1, 1], []])
def test_unfit_lengths_are_named(lengths: list[int]) -> None:
    with pytest.raises(UsageError, match=r"Mine\.plan_verify gave .*at most \[4\]"):
        check_lengths(Mine(), "plan_verify", lengths, [4])


def test_fit_lengths_pass() -> None:
    for lengths in ([0, 4], [4, 0]):
        check_lengths(Mine(), "plan_draft", lengths, [4, 4])
    with pytest.raises(UsageError):
        check_lengths(Mine(), "plan_draft", [0, 5], [4, 4])


@pytest.mark.parametrize(
    ("tokens", "probs", "message"),
    [
        (torch.zeros(1, 2), None, r"token_ids of shape \(1, 2\); valid: \(1, 3\)"),
        (torch.zeros(1, 3), None, "gave no probs"),
        (torch.zeros(1, 3), torch.zeros(1, 2, 9), r"probs of shape \(1, 2, 9\)"),
    ],
)
def test_unfit_proposals_are_named(
    tokens: torch.Tensor, probs: torch.Tensor | None, message: str
) -> None:
    uniform = torch.zeros(1, 3, dtype=torch.float64)
    batch = DraftBatch((0,), (4,), torch.zeros(1).long(), (3,), SamplingParams(), uniform)
    with pytest.raises(UsageError, match=message):
        check_proposal(Mine(), Proposal(tokens.long(), probs, None), batch)
