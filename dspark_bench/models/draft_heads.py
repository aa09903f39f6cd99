"""Heads on a target's last hidden state, for inference: their blocks, and what is over them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from dspark_bench.core.errors import CheckpointError
from dspark_bench.models.head_config import TOKEN_MAP, HeadConfig
from dspark_bench.models.kernels.interface import Kernels
from dspark_bench.models.linear import Linear
from dspark_bench.models.named_tensors import Tensors, lacking, take
from dspark_bench.models.target import LoadedTarget
from dspark_bench.models.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class HeadBlock:
    """residual(x) + silu(linear(x)); without a residual matrix, x itself is added."""

    linear: Linear
    residual: Linear | None

    def __call__(self, x: Tensor) -> Tensor:
        """x [T, in] -> [T, D]."""
        turned = F.silu(self.linear(x))
        return turned.add_(x if self.residual is None else self.residual(x))


@dataclass(frozen=True, slots=True)
class DraftHead:
    """One head: its blocks, and a matrix over the tokens that can be drafted."""

    blocks: tuple[HeadBlock, ...]
    lm_head: Linear

    def state(self, x: Tensor) -> Tensor:
        """Inputs [T, in] -> what the matrix over the vocabulary reads [T, D]."""
        for block in self.blocks:
            x = block(x)
        return x


class DraftHeads:
    """All heads of a drafter, and the vocabulary that they draft from.

    is_shared: whether one matrix over the vocabulary serves them all.
    """

    def __init__(self, config: HeadConfig, tensors: Tensors, target: LoadedTarget) -> None:
        kernels = target.kernel_choice.kernels
        ids = _token_ids(config, tensors, target.config.vocab_size)
        owners: dict[str, Linear] = {}
        heads: list[DraftHead] = []
        for head in range(config.num_heads):
            blocks = _blocks(config, tensors, head, kernels)
            name = config.names.of_lm_head(head)
            if config.vocab_size is not None and name not in owners:
                owners[name] = _lm_head(config, tensors, name, ids, kernels)
            heads.append(DraftHead(blocks, owners.get(name, target.lm_head)))
        self._heads = heads
        self.is_shared = len(owners) < 2
        size = target.config.vocab_size
        self.vocabulary = Vocabulary(target.embed, heads[0].lm_head, ids, size, ())

    def __getitem__(self, head: int) -> DraftHead:
        """By what it drafts: head 0 the token behind the anchor."""
        return self._heads[head]

    def logits(self, states: Sequence[Tensor]) -> Tensor:
        """states of the first K heads, [n, D] each -> [n, K, U]."""
        if self.is_shared:
            stacked = torch.stack(list(states), dim=1)
            return self._heads[0].lm_head(stacked.flatten(0, 1)).view(*stacked.shape[:2], -1)
        each = [head.lm_head(state) for head, state in zip(self._heads, states, strict=False)]
        return torch.stack(each, dim=1)


def _blocks(
    config: HeadConfig, tensors: Tensors, head: int, kernels: Kernels | None
) -> tuple[HeadBlock, ...]:
    hidden, found = config.hidden_size, []
    for block in range(config.num_blocks):
        width = config.input_size(head) if block == 0 else hidden
        name = config.names.of_block(head, block)
        linear = _matrix(tensors, name, (hidden, width), config.has_block_bias, kernels)
        residual = None
        if config.is_grounded and block == 0:
            name = config.names.of_residual(head)
            residual = _matrix(tensors, name, (hidden, width), config.has_block_bias, kernels)
        found.append(HeadBlock(linear, residual))
    return tuple(found)


def _lm_head(
    config: HeadConfig, tensors: Tensors, name: str, ids: Tensor | None, kernels: Kernels | None
) -> Linear:
    """Of the tokens that can be drafted; a file may hold the rows of all others too."""
    assert config.vocab_size is not None, "the target's head has no name"
    weight = take(tensors, f"{name}.weight", config.vocab_size, config.hidden_size)
    bias = take(tensors, f"{name}.bias", config.vocab_size) if config.has_head_bias else None
    if ids is not None and config.vocab_size > len(ids):
        weight = weight[ids]
    return Linear(weight, bias, kernels)


def _matrix(
    tensors: Tensors, name: str, shape: tuple[int, int], has_bias: bool, kernels: Kernels | None
) -> Linear:
    bias = take(tensors, f"{name}.bias", shape[0]) if has_bias else None
    return Linear(take(tensors, f"{name}.weight", *shape), bias, kernels)


def _token_ids(config: HeadConfig, tensors: Tensors, vocab_size: int) -> Tensor | None:
    """The target's token of each logit. Raises CheckpointError for a map that is none."""
    if config.draft_vocab_size is None:
        return None
    if TOKEN_MAP not in tensors:
        raise lacking(TOKEN_MAP)
    ids = tensors[TOKEN_MAP]
    if ids.is_floating_point() or tuple(ids.shape) != (config.draft_vocab_size,):
        raise CheckpointError(
            f"tensor {TOKEN_MAP!r} has shape {tuple(ids.shape)} and dtype {ids.dtype}; expected "
            f"({config.draft_vocab_size},) and whole numbers"
        )
    ids = ids.long()
    if ids.min() < 0 or ids.max() >= vocab_size or ids.unique().numel() < ids.numel():
        raise CheckpointError(
            f"tensor {TOKEN_MAP!r} is no list of different tokens; valid: 0 to {vocab_size - 1}"
        )
    return ids
