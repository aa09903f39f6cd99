"""Whether a drafter answers `DraftBatch.forced` as it must.

Where tokens are forced, a drafter gives back those tokens and the probabilities with which it would
have drawn them. Agreement curves and recorded outputs rest on that; speculation itself never forces
a token, so a drafter that gets this wrong may still be exact.
"""

from dataclasses import replace

import torch
from torch import Tensor

from dspark_bench.core.errors import UsageError
from dspark_bench.core.protocols import Drafter
from dspark_bench.core.types import DraftBatch, Proposal, SamplingParams
from dspark_bench.engine.exactness import CheckResult
from dspark_bench.engine.plugin_checks import check_proposal
from dspark_bench.engine.teacher_forcing import (
    Sequences,
    allocate_along,
    extend_to,
    record_text,
)
from dspark_bench.models.target import Target

NAME = "contract: forced"
_TOLERANCE = 1e-3
_MOST = 8


def forced_contract(
    target: Target, drafter: Drafter, texts: Sequences, gamma: int, sampling: SamplingParams
) -> CheckResult:
    """Draft after a few prompts freely, with the same tokens forced, and with others forced: those
    of another free draft, whose probabilities must come back though the noise is the first one's.

    Reallocates the drafter's cache. Raises UsageError for a free draft of the wrong shape.
    """
    if sampling.is_greedy:
        sampling = SamplingParams()
    chosen = [item for item in texts if item[1]][:_MOST]
    if not chosen:
        return CheckResult(NAME, True, "no text to draft along")
    with torch.inference_mode():
        batch = batch_behind(target, drafter, chosen, gamma, sampling)
        free = _proposed(drafter, batch)
        other = _proposed(drafter, replace(batch, uniform=1 - batch.uniform))
        others = (free.token_ids + 1) % target.config.vocab_size
        try:
            same = _proposed(drafter, replace(batch, forced=free.token_ids))
            moved = _proposed(drafter, replace(batch, forced=others))
            along = _proposed(drafter, replace(batch, forced=other.token_ids))
        except UsageError as error:
            return CheckResult(NAME, False, str(error))
    owner = f"{type(drafter).__name__}.propose"
    if _distance(same, free) > _TOLERANCE:
        detail = (
            f"{owner} gives other probs when batch.forced holds the very tokens that it drew; "
            "valid: the probs that they are drawn with"
        )
        return CheckResult(NAME, False, detail)
    if _distance(moved, free, 1) > _TOLERANCE:
        detail = (
            f"{owner} lets batch.forced change the probs of the first slot, which follows the "
            "anchor alone; valid: the probs that it would draw with"
        )
        return CheckResult(NAME, False, detail)
    if _distance(along, other) > _TOLERANCE:
        detail = (
            f"{owner} gives the probs of a later slot after tokens of its own, not after those in "
            "batch.forced before it; valid: the probs that it would draw with there"
        )
        return CheckResult(NAME, False, detail)
    return CheckResult(NAME, True, f"probs of {len(chosen)} drafts are those of the free draw")


def batch_behind(
    target: Target, drafter: Drafter, texts: Sequences, gamma: int, sampling: SamplingParams
) -> DraftBatch:
    """A batch right after each prompt, its context given to the drafter."""
    recorded = [record_text(target, drafter, *text, sampling) for text in texts]
    rows = tuple(range(len(recorded)))
    anchor = [item.num_prompt for item in recorded]
    allocate_along(target, drafter, recorded, gamma)
    extend_to(drafter, recorded, rows, [0] * len(rows), anchor)
    generator = torch.Generator().manual_seed(0)
    uniform = torch.rand(len(rows), gamma, generator=generator, dtype=torch.float64)
    anchors = torch.stack([item.tokens[item.num_prompt] for item in recorded])
    return DraftBatch(
        rows=rows,
        context_lens=tuple(anchor),
        anchors=anchors,
        draft_lens=(gamma,) * len(rows),
        sampling=sampling,
        uniform=uniform.to(target.device),
        target_rows=rows,
    )


def _proposed(drafter: Drafter, batch: DraftBatch) -> Proposal:
    proposal = drafter.propose(batch)
    check_proposal(drafter, proposal, batch)
    return proposal


def _distance(first: Proposal, second: Proposal, num_slots: int | None = None) -> float:
    """Largest difference of a probability in the first slots."""
    ours, theirs = (_law(proposal)[:, :num_slots] for proposal in (first, second))
    is_certain = first.is_deterministic, second.is_deterministic
    if is_certain == (False, False):
        return float((ours - theirs).abs().max())
    is_same = is_certain == (True, True) and torch.equal(ours, theirs)
    return 0.0 if is_same else 1.0


def _law(proposal: Proposal) -> Tensor:
    """probs [B, K, V], or the tokens [B, K] that stand for them, -1 where there is no draft."""
    certain = proposal.certain
    if certain is None:
        assert proposal.probs is not None  # check_proposal
        return proposal.probs.float()
    size, width = certain.shape
    lens = torch.tensor(proposal.draft_lens or (width,) * size, device=certain.device)
    is_draft = torch.arange(width, device=certain.device) < lens.unsqueeze(1)
    return torch.where(is_draft, certain, -1)
