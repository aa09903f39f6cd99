"""What plug-ins give back is checked where it enters the engine, and named when it is wrong."""

import math
from collections.abc import Sequence

import numpy as np
import torch

from dspark_bench.core.errors import UsageError
from dspark_bench.core.protocols import Load
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
    """Raise UsageError unless tokens are [B, K] and, when sampling, probabilities [B, K, V].

    Tokens that are forced must come back as they are.
    """
    shape = (len(batch.rows), batch.num_slots)
    name = f"{type(owner).__name__}.propose"
    if tuple(proposal.token_ids.shape) != shape:
        found = tuple(proposal.token_ids.shape)
        raise UsageError(f"{name} gave token_ids of shape {found}; valid: {shape}")
    _check_forced(name, proposal, batch)
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


def _check_forced(name: str, proposal: Proposal, batch: DraftBatch) -> None:
    """Raise UsageError if a slot holds another token than the one that it was given."""
    if batch.forced is None:
        return
    wrong = proposal.token_ids != batch.forced
    lengths = torch.tensor(batch.draft_lens, device=wrong.device).unsqueeze(1)
    if (wrong & (torch.arange(batch.num_slots, device=wrong.device) < lengths)).any():
        raise UsageError(
            f"{name} drew tokens of its own where batch.forced gives them; valid: those tokens "
            "and the probabilities of drawing them"
        )


def check_places(load: Load) -> None:
    """Raise UsageError unless at least one request may run at a time."""
    places: object = load.max_concurrency
    if not (isinstance(places, int | np.integer) and places >= 1):
        raise UsageError(f"{type(load).__name__}.max_concurrency is {places!r}; valid: 1 or more")


def check_due(load: Load, due: object, num_due: int, num_requests: int) -> None:
    """Raise UsageError unless `due` is a whole number, at least num_due, at most num_requests."""
    if not (isinstance(due, int | np.integer) and num_due <= due <= num_requests):
        raise UsageError(
            f"{type(load).__name__}.due gave {due!r}; valid: a whole number that never falls, now "
            f"{num_due} to {num_requests} (the requests of the run)"
        )


def check_scheduled(load: Load, scheduled_s: object, index: int, now_s: float) -> None:
    """Raise UsageError unless a request that is due was scheduled between the start and now."""
    if not (isinstance(scheduled_s, int | float) and 0 <= scheduled_s <= now_s):
        raise UsageError(
            f"{type(load).__name__}.scheduled_s gave {scheduled_s!r} for request {index}, due at "
            f"{now_s:.3f} s; valid: 0 to that time"
        )


def check_event(load: Load, event_s: object, counts: str) -> float:
    """The time of the next arrival, seconds, while nothing else can bring one.

    Raises UsageError if there is none. counts: how many requests are due, for the message.
    """
    if not (isinstance(event_s, int | float) and math.isfinite(event_s)):
        raise UsageError(
            f"{type(load).__name__}.next_event_s gave {event_s!r} while nothing runs and {counts}; "
            "valid: seconds from the start of the run to the next request"
        )
    return float(event_s)
