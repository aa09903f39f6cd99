"""What a cycle needs to walk along the outputs that requests carry on record."""

from collections.abc import Sequence

import torch

from dspark_bench.core.errors import UsageError
from dspark_bench.core.types import Recorded, Request
from dspark_bench.engine.state import ActiveRequest


def carry_record(requests: Sequence[Request], gamma: int, eos_token_ids: tuple[int, ...]) -> bool:
    """Whether the requests carry a record.

    Raises UsageError if only some do, or if a record stops before the last draft without an end of
    sequence: what comes behind it would be made up.
    """
    carrying = [request for request in requests if request.continuation]
    if not carrying:
        return False
    if len(carrying) < len(requests):
        raise UsageError(
            f"{len(requests) - len(carrying)} of {len(requests)} requests have no recorded "
            "continuation; valid: all or none"
        )
    for request in carrying:
        needed = request.max_new_tokens + gamma
        has_ended = not set(eos_token_ids).isdisjoint(request.continuation)
        if len(request.continuation) < needed and not has_ended:
            raise UsageError(
                f"the recorded continuation of {request.prompt_id} has "
                f"{len(request.continuation)} tokens; valid: {needed} or more, or an end of "
                "sequence"
            )
    return True


def recorded_tokens(
    states: Sequence[ActiveRequest], num_tokens: int, device: torch.device
) -> Recorded:
    """The next `num_tokens` recorded tokens of each request."""
    rows = []
    for state in states:
        place, known = len(state.output), state.request.continuation
        row = known[place : place + num_tokens]
        rows.append(row + known[-1:] * (num_tokens - len(row)))
    return Recorded(
        torch.tensor(rows, device=device),
        tuple(state.key for state in states),
        tuple(len(state.output) for state in states),
    )
