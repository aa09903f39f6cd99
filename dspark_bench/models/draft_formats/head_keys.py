"""Counting heads in the names of their tensors, for the formats of drafters made of heads."""

import re
from collections.abc import Mapping
from typing import Final

from dspark_bench.core.errors import CheckpointError
from dspark_bench.models.checkpoint import Header
from dspark_bench.models.config_keys import HARMLESS, KnownKeys
from dspark_bench.models.head_config import HeadNames

Headers = Mapping[str, Header]
SIZES: Final = ("hidden_size", "vocab_size")
"""Keys that some writers add; what they say must be what the tensors are."""
COMMON: Final = HARMLESS | {
    *("base_model_name_or_path", "model_type", "architectures", "version", "eos_token_id"),
}


def head_keys(*read: str, **bound: tuple[object, ...]) -> KnownKeys:
    """Of a `config.json`: read, bound to values, and those that change nothing."""
    return KnownKeys(frozenset((*read, *SIZES)), bound, COMMON)


def count_blocks(headers: Headers, names: HeadNames, source: str) -> tuple[int, int]:
    """How many heads there are, and how many blocks each has, by the names of their tensors.

    Raises CheckpointError where there is none, where one is left out, or where heads differ.
    """
    pattern = re.escape(f"{names.block}.weight")
    pattern = pattern.replace(r"\{head\}", r"(\d+)").replace(r"\{block\}", r"(\d+)")
    found = sorted(
        (int(match[1]), int(match[2])) for name in headers if (match := re.fullmatch(pattern, name))
    )
    if not found:
        wanted = f"{names.of_block(0, 0)}.weight"
        raise CheckpointError(
            f"{source}: the files hold no head; valid: tensors from {wanted!r} on"
        )
    heads, blocks = found[-1][0] + 1, max(block for _, block in found) + 1
    missing = {(head, block) for head in range(heads) for block in range(blocks)} - set(found)
    if missing:
        name = f"{names.of_block(*min(missing))}.weight"
        raise CheckpointError(
            f"{source}: the files hold heads up to {heads - 1} of {blocks} blocks, but not {name!r}"
        )
    return heads, blocks


def shape_of(headers: Headers, name: str, source: str) -> tuple[int, int]:
    """Of a matrix. Raises CheckpointError for anything else."""
    shape = headers[name].shape
    if len(shape) != 2 or min(shape) < 1:
        raise CheckpointError(f"{source}: tensor {name!r} has shape {shape}; expected a matrix")
    return shape[0], shape[1]


def miscounted(said: int | None, heads: int) -> str | None:
    """A note where a configuration counts other heads than the files hold."""
    if said in (None, heads):
        return None
    return f"the drafter's config.json says {said} heads, its files hold {heads}, which are used"
