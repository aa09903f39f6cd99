"""Drafts of unequal length in one batch: slot after slot, only the rows that still draft.

Rows of all requests lie flattened in one [T, ...] tensor, each request's slots together. What
leaves a drafter is padded to [B, K, ...]; entries past a request's draft length are zeros.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class SlotRows:
    """Who drafts slot k. rows [n]: in the flat batch; requests [n], or None for all of them."""

    rows: Tensor | slice
    requests: Tensor | None


def slot_rows(draft_lens: Sequence[int], device: torch.device) -> list[SlotRows]:
    """For each of the K slots, the requests whose draft reaches it and their flat rows."""
    width = max(draft_lens)
    if all(length == width for length in draft_lens):
        total = width * len(draft_lens)
        return [SlotRows(slice(slot, total, width), None) for slot in range(width)]
    starts = [sum(draft_lens[:place]) for place in range(len(draft_lens))]
    found = []
    for slot in range(width):
        reaching = [place for place, length in enumerate(draft_lens) if length > slot]
        index = torch.tensor([[starts[p] + slot for p in reaching], reaching], device=device)
        found.append(SlotRows(index[0], index[1]))
    return found


def pick(values: Tensor, rows: SlotRows) -> Tensor:
    """values [B, ...] of the requests that draft this slot."""
    return values if rows.requests is None else values[rows.requests]


def pad(flat: Tensor, draft_lens: Sequence[int]) -> Tensor:
    """[T, ...] -> [B, K, ...], zeros past each request's draft length."""
    size, width = len(draft_lens), max(draft_lens)
    if flat.shape[0] == size * width:
        return flat.view(size, width, *flat.shape[1:])
    padded = flat.new_zeros(size * width, *flat.shape[1:])
    padded[flat_index(draft_lens, flat.device)] = flat
    return padded.view(size, width, *flat.shape[1:])


def unpad(table: Tensor, draft_lens: Sequence[int]) -> Tensor:
    """[B, K] -> [T], the slots that are drafted."""
    flat = table.flatten(0, 1)
    if sum(draft_lens) == flat.shape[0]:
        return flat
    return flat[flat_index(draft_lens, flat.device)]


def flat_index(draft_lens: Sequence[int], device: torch.device) -> Tensor:
    """[T]: where each drafted slot lies in a flattened [B, K] table."""
    width = max(draft_lens)
    places = [place * width + slot for place, n in enumerate(draft_lens) for slot in range(n)]
    return torch.tensor(places, dtype=torch.int64, device=device)
