"""What plug-ins give back is checked where it enters the engine, and named when it is wrong."""

from collections.abc import Sequence

from dspark_bench.core.errors import UsageError
from dspark_bench.core.types import DraftBatch, Proposal


def check_lengths(
    owner: object, method: str, lengths: Sequence[int], limits: Sequence[int]
) -> None:
    """Raise UsageError unless there is one whole number per request, from 0 to its limit."""
    is_fit = len(lengths) == len(limits) and all(
        isinstance(length, int) and 0 <= length <= limit
        for length, limit in zip(lengths, limits, strict=True)
    )
    if not is_fit:
        raise UsageError(
            f"{type(owner).__name__}.{method} gave {list(lengths)!r}; valid: a whole number per "
            f"request, at least 0 and at most {list(limits)!r}"
        )


def check_proposal(owner: object, proposal: Proposal, batch: DraftBatch) -> None:
    """Raise UsageError unless tokens are [B, K] and, when sampling, probabilities [B, K, V]."""
    shape = (len(batch.rows), batch.num_slots)
    name = f"{type(owner).__name__}.propose"
    if tuple(proposal.token_ids.shape) != shape:
        found = tuple(proposal.token_ids.shape)
        raise UsageError(f"{name} gave token_ids of shape {found}; valid: {shape}")
    if batch.sampling.is_greedy:
        return
    if proposal.probs is None:
        raise UsageError(
            f"{name} gave no probs; valid when sampling: the [B, K, V] probabilities that the "
            "tokens were drawn from"
        )
    if tuple(proposal.probs.shape[:2]) != shape:
        found = tuple(proposal.probs.shape)
        raise UsageError(f"{name} gave probs of shape {found}; valid: ({shape[0]}, {shape[1]}, V)")
