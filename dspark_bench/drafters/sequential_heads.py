"""The light sequential heads of DSpark: a bias on slot k's logits from what slot k-1 drew.

With e = W1[x_{k-1}] (rank r) and h_k the backbone's hidden state (DSpark section 3.2):
  vanilla  bias = W2 e
  gated    bias = W2 (sigmoid(Wg [h; e] + b) * e)
  rnn      [g, c, o] = Wj [s; e; h] + b;  s' = sigmoid(g) s + (1 - sigmoid(g)) tanh(c);
           bias = W2 tanh(o);  s starts at zero

A head runs once per slot, on very few rows: what it costs is the number of small products.
"""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from dspark_bench.models.draft_config import DraftConfig
from dspark_bench.models.kernels.interface import Kernels
from dspark_bench.models.linear import Linear
from dspark_bench.models.named_tensors import Tensors, take

State = Tensor | None

TABLE_MAX_BYTES = 64 * 2**20


class SequentialHead(Protocol):
    """Bias of one slot. Pure: the state goes in and comes out."""

    def bias(self, previous: Tensor, hidden: Tensor, state: State) -> tuple[Tensor, State]:
        """previous tokens [B], a slot's hidden [B, D] -> bias [B, U] and the next state [B, r]."""
        ...


class VanillaHead:
    """First-order Markov bias; of a small vocabulary, W1 W2^T is multiplied out once."""

    def __init__(self, config: DraftConfig, tensors: Tensors, kernels: Kernels | None) -> None:
        self._rows = load_rows(config, tensors)
        size = config.model.vocab_size * config.draft_vocab_size
        is_small = size * self._rows.element_size() <= TABLE_MAX_BYTES
        self._table = self._rows @ _out_weight(config, tensors).T if is_small else None
        self._out = None if is_small else load_out(config, tensors, kernels)

    def bias(self, previous: Tensor, hidden: Tensor, state: State) -> tuple[Tensor, State]:
        """See the module's formula."""
        if self._table is not None:
            return F.embedding(previous, self._table), None
        assert self._out is not None
        return self._out(F.embedding(previous, self._rows)), None


class GatedHead:
    """Markov bias whose embedding is gated by the slot's hidden state."""

    def __init__(self, config: DraftConfig, tensors: Tensors, kernels: Kernels | None) -> None:
        rank, hidden = config.markov_rank, config.model.hidden_size
        self._rows = load_rows(config, tensors)
        self._out = load_out(config, tensors, kernels)
        self._gate = Linear(
            take(tensors, "markov_head.gate_proj.weight", rank, hidden + rank),
            take(tensors, "markov_head.gate_proj.bias", rank),
            kernels,
        )

    def bias(self, previous: Tensor, hidden: Tensor, state: State) -> tuple[Tensor, State]:
        """See the module's formula."""
        embedded = F.embedding(previous, self._rows)
        gate = torch.sigmoid(self._gate(torch.cat([hidden, embedded], dim=-1)))
        return self._out(gate * embedded), None


class RnnHead:
    """Recurrent bias that remembers the whole drafted prefix."""

    def __init__(self, config: DraftConfig, tensors: Tensors, kernels: Kernels | None) -> None:
        rank, hidden = config.markov_rank, config.model.hidden_size
        self._rows = load_rows(config, tensors)
        self._out = load_out(config, tensors, kernels)
        self._joint = Linear(
            take(tensors, "markov_head.joint_proj.weight", 3 * rank, 2 * rank + hidden),
            take(tensors, "markov_head.joint_proj.bias", 3 * rank),
            kernels,
        )

    def bias(self, previous: Tensor, hidden: Tensor, state: State) -> tuple[Tensor, State]:
        """See the module's formula."""
        embedded = F.embedding(previous, self._rows)
        before = torch.zeros_like(embedded) if state is None else state
        joint = self._joint(torch.cat([before, embedded, hidden], dim=-1))
        gate, candidate, out = joint.chunk(3, dim=-1)
        keep = torch.sigmoid(gate)
        after = keep * before + (1 - keep) * torch.tanh(candidate)
        return self._out(torch.tanh(out)), after


def load_head(config: DraftConfig, tensors: Tensors, kernels: Kernels | None) -> SequentialHead:
    """The head that a checkpoint's `markov_head_type` names."""
    if config.head_type == "gated":
        return GatedHead(config, tensors, kernels)
    if config.head_type == "rnn":
        return RnnHead(config, tensors, kernels)
    return VanillaHead(config, tensors, kernels)


def load_rows(config: DraftConfig, tensors: Tensors) -> Tensor:
    """W1 [V, r]: one row per previous token."""
    shape = (config.model.vocab_size, config.markov_rank)
    return take(tensors, "markov_head.markov_w1.weight", *shape)


def load_out(config: DraftConfig, tensors: Tensors, kernels: Kernels | None) -> Linear:
    """W2 [U, r]: one row per token that can be drafted."""
    return Linear(_out_weight(config, tensors), None, kernels)


def _out_weight(config: DraftConfig, tensors: Tensors) -> Tensor:
    shape = (config.draft_vocab_size, config.markov_rank)
    return take(tensors, "markov_head.markov_w2.weight", *shape)
