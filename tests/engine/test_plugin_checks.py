"""What a plug-in gives back wrongly is named with its class, method and what is valid."""

import pytest
import torch

from dspark_bench.core.errors import UsageError
from dspark_bench.core.types import DraftBatch, Proposal, SamplingParams
from dspark_bench.engine.plugin_checks import check_lengths, check_proposal

TOKENS = torch.tensor([[1, 2, 3]])


class Mine:
    pass


def sampled_batch(forced: torch.Tensor | None = None) -> DraftBatch:
    uniform = torch.zeros(1, 3, dtype=torch.float64)
    anchors = torch.zeros(1).long()
    return DraftBatch((0,), (4,), anchors, (3,), SamplingParams(), uniform, forced)


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
    with pytest.raises(UsageError, match=message):
        check_proposal(Mine(), Proposal(tokens.long(), probs, None), sampled_batch())


@pytest.mark.parametrize(
    ("proposal", "message"),
    [
        (Proposal(TOKENS, None, None, (4,), TOKENS), r"Mine\.propose \(draft_lens\) gave \[4\]"),
        (Proposal(TOKENS, None, None, None, TOKENS[:, :2]), r"certain of shape \(1, 2\); valid"),
        (Proposal(TOKENS, torch.ones(1, 3, 9), None, None, TOKENS), "certain tokens and probs"),
        (Proposal(TOKENS, None, None, (2,), TOKENS + 1), "certain of other tokens than it"),
    ],
    ids=["too many", "another shape", "both", "others"],
)
def test_unfit_certain_drafts_are_named(proposal: Proposal, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_proposal(Mine(), proposal, sampled_batch())


def test_fit_certain_drafts_pass_and_slots_without_a_draft_may_hold_anything() -> None:
    check_proposal(Mine(), Proposal(TOKENS, None, None, (0,), TOKENS + 1), sampled_batch())
    forced = sampled_batch(torch.tensor([[5, 6, 7]]))
    check_proposal(Mine(), Proposal(torch.tensor([[5, 6, 0]]), None, None, (2,), TOKENS), forced)
    with pytest.raises(UsageError, match="drew tokens of its own"):
        check_proposal(Mine(), Proposal(TOKENS, None, None, (2,), TOKENS), forced)
