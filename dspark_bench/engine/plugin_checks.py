"""What plug-ins give back is checked where it enters the engine, and named when it is wrong."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor

from dspark_bench.core.errors import UsageError
from dspark_bench.core.protocols import Acceptance, Load, Scheduler
from dspark_bench.core.types import DraftBatch, DrafterSpec, Proposal
from dspark_bench.engine.rules import judges_trees, needs_drawn_trees

SCHEDULERS_OF_TREES: Final = "fixed, goodput, hardware_aware, hardware_aware_async, threshold"


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
    """Raise UsageError unless tokens are [B, K] and, when sampling, either probabilities [B, K, V]
    or certain tokens [B, K] say how they were drawn.

    Tokens that are forced must come back as they are.
    """
    shape = (len(batch.rows), batch.num_slots)
    name = f"{type(owner).__name__}.propose"
    if proposal.parents is not None:
        _check_tree(owner, name, proposal, shape[0])
        return
    if tuple(proposal.token_ids.shape) != shape:
        found = tuple(proposal.token_ids.shape)
        raise UsageError(f"{name} gave token_ids of shape {found}; valid: {shape}")
    if proposal.draft_lens is not None:
        check_lengths(owner, "propose (draft_lens)", proposal.draft_lens, batch.draft_lens)
    _check_forced(name, proposal, batch)
    if proposal.certain is not None:
        _check_certain(name, proposal, batch)
        return
    if batch.sampling.is_greedy:
        return
    if proposal.probs is None:
        raise UsageError(
            f"{name} gave no probs; valid when sampling: the [B, K, V] probabilities that the "
            "tokens were drawn from, or certain tokens that were not drawn at all"
        )
    if tuple(proposal.probs.shape[:2]) != shape:
        found = tuple(proposal.probs.shape)
        raise UsageError(f"{name} gave probs of shape {found}; valid: ({shape[0]}, {shape[1]}, V)")


def check_knows_trees(scheduler: Scheduler, acceptance: Acceptance, drafter: DrafterSpec) -> None:
    """Raise UsageError for a scheduler or a rule that does not know the trees of this drafter."""
    if not scheduler.spec.knows_trees:
        raise UsageError(
            f"{scheduler.spec.name} schedules chains only; valid with a tree: {SCHEDULERS_OF_TREES}"
        )
    if not judges_trees(acceptance):
        name = type(acceptance).__name__
        raise UsageError(f"{name} judges chains only; valid with a tree: match")
    if needs_drawn_trees(acceptance) and not drafter.draws_nodes:
        name = type(acceptance).__name__
        raise UsageError(f"{name} judges drawn trees only; valid: tree=sampled")


def _check_tree(owner: object, name: str, proposal: Proposal, num_requests: int) -> None:
    """Raise UsageError unless trees were announced, and tokens, lengths and parents are of the same
    nodes.
    """
    spec: DrafterSpec | None = getattr(owner, "spec", None)
    if spec is None or spec.num_nodes is None:
        raise UsageError(f"{name} gave a tree; valid: chains, or `branch` for tree= to grow from")
    tokens, lens, parents = proposal.token_ids, proposal.draft_lens, proposal.parents
    assert parents is not None
    if lens is None or not len(parents) == len(lens) == tokens.shape[0] == num_requests:
        raise UsageError(f"{name} gave a tree without parents and draft_lens of each request")
    if tuple(len(own) for own in parents) != lens or tokens.shape[1] < max(lens):
        found = [len(own) for own in parents]
        raise UsageError(f"{name} gave parents of {found} nodes; valid: draft_lens, {list(lens)}")


def _check_forced(name: str, proposal: Proposal, batch: DraftBatch) -> None:
    """Raise UsageError if a slot holds another token than the one that it was given."""
    if batch.forced is None:
        return
    if _differ(proposal, batch, proposal.token_ids, batch.forced):
        raise UsageError(
            f"{name} drew tokens of its own where batch.forced gives them; valid: those tokens "
            "and the probabilities of drawing them"
        )


def _check_certain(name: str, proposal: Proposal, batch: DraftBatch) -> None:
    """Raise UsageError if certain tokens are not what was proposed, or come with probabilities."""
    certain = proposal.certain
    assert certain is not None
    if certain is proposal.token_ids and proposal.probs is None:
        return
    if certain.shape != proposal.token_ids.shape:
        shape = tuple(proposal.token_ids.shape)
        raise UsageError(f"{name} gave certain of shape {tuple(certain.shape)}; valid: {shape}")
    if proposal.probs is not None:
        raise UsageError(f"{name} gave certain tokens and probs; valid: one of them")
    if batch.forced is None and _differ(proposal, batch, proposal.token_ids, certain):
        raise UsageError(
            f"{name} is certain of other tokens than it proposes; valid: the same where "
            "batch.forced gives none"
        )


def _differ(proposal: Proposal, batch: DraftBatch, first: Tensor, second: Tensor) -> bool:
    """Whether two tables [B, K] differ within the drafts."""
    lens = batch.draft_lens if proposal.draft_lens is None else proposal.draft_lens
    lengths = torch.tensor(lens, device=first.device).unsqueeze(1)
    is_drafted = torch.arange(batch.num_slots, device=first.device) < lengths
    return bool(((first != second) & is_drafted).any())


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
