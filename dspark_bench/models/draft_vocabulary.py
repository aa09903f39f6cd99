"""A drafter's reduced vocabulary: which tokens of its target's it can draft.

`d2t` [U] holds offsets: draft token i is target token i + d2t[i]. `t2d` [V] says of each target
token whether it can be drafted. Both say the same; where they do not, nobody knows which token a
logit is for.
"""

from typing import Final

import torch
from torch import Tensor

from dspark_bench.core.errors import CheckpointError
from dspark_bench.models.draft_config import DraftConfig
from dspark_bench.models.named_tensors import Tensors, lacking

OFFSETS: Final = "d2t"
DRAFTABLE: Final = "t2d"


def read_token_ids(tensors: Tensors, config: DraftConfig) -> Tensor | None:
    """Target token [U] int64 of each draft token; None where the whole vocabulary is drafted.

    A head of its own over the whole vocabulary may have both tensors, if they say so. Raises
    CheckpointError for tables of another shape or type, for tokens outside the vocabulary or twice
    in it, and where the two disagree.
    """
    if not (config.has_own_head or config.is_reduced):
        return None
    size, vocab = config.draft_vocab_size, config.model.vocab_size
    if OFFSETS in tensors or config.is_reduced:
        offsets = _table(tensors, OFFSETS, size)
    else:
        offsets = torch.zeros(vocab, dtype=torch.int64)
    if offsets.is_floating_point() or offsets.dtype == torch.bool:
        raise _wrong_type(OFFSETS, offsets, "whole numbers")
    ids = torch.arange(size, device=offsets.device) + offsets.long()
    outside = (ids < 0) | (ids >= vocab)
    if outside.any():
        place = int(outside.nonzero()[0])
        raise CheckpointError(
            f"tensor {OFFSETS!r} maps draft token {place} to {int(ids[place])}; valid: 0 to "
            f"{vocab - 1}, as token + offset"
        )
    if ids.unique().numel() < size:
        raise CheckpointError(f"tensor {OFFSETS!r} maps two draft tokens to the same target token")
    if DRAFTABLE in tensors:
        _check_agrees(_table(tensors, DRAFTABLE, vocab), ids)
    if not config.is_reduced:
        if (offsets != 0).any():
            raise CheckpointError(
                f"tensor {OFFSETS!r} holds offsets, but draft_vocab_size is that of the target; "
                "valid: zeros, or a smaller draft_vocab_size"
            )
        return None
    return ids


def vocabulary_tables(ids: Tensor, vocab_size: int) -> dict[str, Tensor]:
    """What says that draft tokens are the target tokens ids [U], of vocab_size."""
    draftable = torch.zeros(vocab_size, dtype=torch.bool)
    draftable[ids.cpu()] = True
    return {OFFSETS: ids.cpu() - torch.arange(ids.numel()), DRAFTABLE: draftable}


def _check_agrees(draftable: Tensor, ids: Tensor) -> None:
    if draftable.is_floating_point():
        raise _wrong_type(DRAFTABLE, draftable, "true or false")
    expected = torch.zeros_like(draftable, dtype=torch.bool)
    expected[ids] = True
    if not torch.equal(draftable.bool(), expected):
        token = int((draftable.bool() != expected).nonzero()[0])
        raise CheckpointError(
            f"tensors {OFFSETS!r} and {DRAFTABLE!r} disagree about target token {token}; they must "
            "say the same"
        )


def _table(tensors: Tensors, name: str, size: int) -> Tensor:
    if name not in tensors:
        raise lacking(name)
    found = tensors[name]
    if tuple(found.shape) != (size,):
        raise CheckpointError(f"tensor {name!r} has shape {tuple(found.shape)}; expected ({size},)")
    return found


def _wrong_type(name: str, table: Tensor, wanted: str) -> CheckpointError:
    kind = str(table.dtype).removeprefix("torch.")
    return CheckpointError(f"tensor {name!r} has dtype {kind}; expected {wanted}")
