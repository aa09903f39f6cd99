"""Training a layer whose output is fed back: run as drafting runs it, teacher-forced in its tokens.

Step 0 runs over the whole sequence with the target's true states. Each further step runs the
blocks' chains only, on the layer's own last output. Its keys are the true ones up to the chain's
start, followed by the chain's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from dspark_bench.training.draft_modules import AttentionModule, Rope
from dspark_bench.training.drafter_batch import DraftTrainingBatch
from dspark_bench.training.target_features import FrozenTarget


class FedBackModule(Protocol):
    """The layer and what stands before its attention."""

    @property
    def self_attn(self) -> AttentionModule:
        """Its attention."""
        ...

    def inputs(self, embedded: Tensor, states: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings and states [..., D] -> the residual [..., D] and what attention reads."""
        ...

    def outputs(self, residual: Tensor, attended: Tensor) -> Tensor:
        """The next states [..., D]."""
        ...


@dataclass(frozen=True, slots=True)
class Entries:
    """Step 0. states [N, S, D]: its output; keys, values [N, Hkv, S, hd]: of its attention."""

    states: Tensor
    keys: Tensor
    values: Tensor


def true_entries(
    layer: FedBackModule,
    states: Tensor,
    batch: DraftTrainingBatch,
    target: FrozenTarget,
    rope: Rope,
) -> Entries:
    """Every entry pairs the target's state [N, S, D] with the token behind it."""
    size, num_tokens = batch.tokens.shape
    device = batch.tokens.device
    following = torch.cat([batch.tokens[:, 1:], batch.tokens[:, -1:]], dim=1)
    places = torch.arange(num_tokens, device=device).expand(size, -1)
    causal = torch.ones(num_tokens, num_tokens, dtype=torch.bool, device=device).tril()
    attention = layer.self_attn
    residual, read = layer.inputs(target.embed(following), states)
    keys, values = attention.keys(read, places, rope), attention.values(read)
    query = attention.queries(read, places, rope)
    attended = attention.attend(query, keys, values, causal)
    return Entries(layer.outputs(residual, attended), keys, values)


def fed_back_chains(
    layer: FedBackModule,
    entries: Entries,
    batch: DraftTrainingBatch,
    target: FrozenTarget,
    rope: Rope,
) -> Tensor:
    """States [N, A, K, D] that drafts are made of. The chain of anchor P starts at entry P - 1."""
    size, num_tokens = batch.tokens.shape
    device = batch.tokens.device
    attention, keys, values = layer.self_attn, entries.keys, entries.values
    starts = batch.anchors - 1
    state = entries.states[torch.arange(size, device=device)[:, None], starts]
    visible = (torch.arange(num_tokens, device=device) <= starts.unsqueeze(-1)).unsqueeze(1)
    own = torch.eye(starts.shape[1], dtype=torch.bool, device=device).expand(size, 1, -1, -1)
    found = [state]
    for step in range(1, batch.gamma):
        residual, read = layer.inputs(target.embed(batch.labels[..., step - 1]), state)
        keys = torch.cat([keys, attention.keys(read, starts + step, rope)], dim=2)
        values = torch.cat([values, attention.values(read)], dim=2)
        visible = torch.cat([visible, own], dim=-1)
        query = attention.queries(read, starts + step, rope)
        state = layer.outputs(residual, attention.attend(query, keys, values, visible))
        found.append(state)
    return torch.stack(found, dim=2)
