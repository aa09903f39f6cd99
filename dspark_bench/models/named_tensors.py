"""Tensors of a checkpoint, by name: taken, and checked for what is expected of them."""

from collections.abc import Mapping

import torch
from torch import Tensor

from dspark_bench.core.errors import CheckpointError

Tensors = Mapping[str, Tensor]
_WANTED = {
    "lm_head.weight": (
        ", and its config.json does not say tie_word_embeddings=true; valid: the tensor in its "
        "files, or a tied head"
    )
}
"""Why a tensor must be there, where a configuration could say otherwise."""


def take(tensors: Tensors, name: str, *shape: int) -> Tensor:
    """The named tensor. Raises CheckpointError if it is absent or has another shape."""
    if name not in tensors:
        raise lacking(name)
    tensor = tensors[name]
    check_tensor(name, tuple(tensor.shape), tensor.dtype, shape)
    return tensor


def lacking(name: str) -> CheckpointError:
    """The error for a tensor that is not there."""
    return CheckpointError(f"checkpoint lacks the tensor {name!r}{_WANTED.get(name, '')}")


def check_tensor(
    name: str, found: tuple[int, ...], dtype: torch.dtype, expected: tuple[int, ...]
) -> None:
    """Raise CheckpointError for a tensor of another shape, or of whole numbers."""
    if found != expected:
        raise CheckpointError(f"tensor {name!r} has shape {found}; expected {expected}")
    if not dtype.is_floating_point:
        kind = str(dtype).removeprefix("torch.")
        raise CheckpointError(f"tensor {name!r} has dtype {kind}; expected floating point numbers")
