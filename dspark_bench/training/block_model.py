"""Trainable DFlash, DSpark and JetSpec: a block over injected target features.

All blocks of a sequence run in one pass; a block sees the context strictly before its anchor, and
itself (DSpark section 3.1; DeepSpec's `Qwen3DSparkModel`). JetSpec's block is causal, and its slots
predict the token at their own place: the anchor's slot drafts nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dspark_bench.training.draft_modules import (
    ConfidenceModule,
    LayerModule,
    NormModule,
    initialise,
)
from dspark_bench.training.drafter_batch import DraftScores, DraftTrainingBatch, Objective
from dspark_bench.training.drafter_module import DrafterModule
from dspark_bench.training.target_features import FrozenTarget


@dataclass(frozen=True)
class BlockRecipe:
    """Shape of a block drafter. markov_rank 0: DFlash (no sequential head); is_causal: JetSpec, in
    z-lab's layout, which has no place for a confidence head.
    """

    target_layer_ids: tuple[int, ...]
    mask_token_id: int
    num_layers: int
    max_gamma: int
    markov_rank: int
    head_type: str = "vanilla"
    has_confidence: bool = True
    seed: int = 0
    is_causal: bool = False


class MarkovModule(nn.Module):
    """Sequential head: logit bias of a slot from the token before it."""

    def __init__(
        self, vocab_size: int, draft_vocab_size: int, hidden: int, rank: int, head_type: str
    ) -> None:
        super().__init__()
        self.head_type = head_type
        self.markov_w1 = nn.Embedding(vocab_size, rank)
        self.markov_w2 = nn.Linear(rank, draft_vocab_size, bias=False)
        if head_type == "gated":
            self.gate_proj = nn.Linear(hidden + rank, rank)
        if head_type == "rnn":
            self.joint_proj = nn.Linear(2 * rank + hidden, 3 * rank)

    def start(self) -> None:
        """Rows of the table at unit size, bias at zero: the table is of use from the first step."""
        nn.init.normal_(self.markov_w1.weight)
        nn.init.zeros_(self.markov_w2.weight)

    def forward(self, embedded: Tensor, hidden: Tensor) -> Tensor:
        """embedded [..., K, r], hidden [..., K, D] -> bias [..., K, U], slots left to right."""
        if self.head_type == "gated":
            gate = torch.sigmoid(self.gate_proj(torch.cat([hidden, embedded], dim=-1)))
            embedded = gate * embedded
        elif self.head_type == "rnn":
            embedded = self._recur(embedded, hidden)
        bias: Tensor = self.markov_w2(embedded)
        return bias

    def _recur(self, embedded: Tensor, hidden: Tensor) -> Tensor:
        state = torch.zeros_like(embedded[..., 0, :])
        outputs = []
        for slot in range(embedded.shape[-2]):
            inputs = torch.cat([state, embedded[..., slot, :], hidden[..., slot, :]], dim=-1)
            gate, candidate, out = self.joint_proj(inputs).chunk(3, dim=-1)
            keep = torch.sigmoid(gate)
            state = keep * state + (1 - keep) * torch.tanh(candidate)
            outputs.append(torch.tanh(out))
        return torch.stack(outputs, dim=-2)


class BlockModel(DrafterModule):
    """The backbone, with a Markov head and a confidence head when the recipe has them."""

    def __init__(self, target: FrozenTarget, recipe: BlockRecipe) -> None:
        super().__init__(target, recipe.max_gamma, recipe.seed)
        config = target.config
        hidden, rank = config.hidden_size, recipe.markov_rank
        self.recipe = recipe
        self.fc = nn.Linear(len(recipe.target_layer_ids) * hidden, hidden, bias=False)
        self.hidden_norm = NormModule(hidden, config.rms_norm_eps)
        self.layers = nn.ModuleList(LayerModule(config, hidden) for _ in range(recipe.num_layers))
        self.norm = NormModule(hidden, config.rms_norm_eps)
        if rank > 0:
            self.markov_head = MarkovModule(
                config.vocab_size, target.draft_vocab_size, hidden, rank, recipe.head_type
            )
        if recipe.has_confidence:
            self.confidence_head = ConfidenceModule(hidden + rank)
        initialise(self)
        if rank > 0:
            self.markov_head.start()

    @property
    def feature_layers(self) -> tuple[int, ...]:
        """Target layers it reads."""
        return self.recipe.target_layer_ids

    @property
    def objective(self) -> Objective:
        """DSpark's, for DFlash too: what differs between the two is the sequential head. JetSpec's
        is the divergence from the target's distribution.
        """
        return Objective.SOFT if self.recipe.is_causal else Objective.ACCEPTANCE

    def scores(self, batch: DraftTrainingBatch) -> DraftScores:
        """Teacher-forced logits and confidences."""
        target = self._target[0]
        hidden = self._backbone(batch)
        logits = target.draft_logits(hidden)
        if self.recipe.markov_rank == 0:
            return DraftScores(logits, self._confidence(hidden))
        rows = torch.arange(batch.tokens.shape[0], device=batch.tokens.device)[:, None]
        anchors = batch.tokens[rows, batch.anchors].unsqueeze(-1)
        previous = torch.cat([anchors, batch.labels[..., :-1]], dim=-1)
        embedded = self.markov_head.markov_w1(previous)
        logits = logits + self.markov_head(embedded, hidden)
        return DraftScores(logits, self._confidence(torch.cat([hidden, embedded], dim=-1)))

    def checkpoint_config(self) -> dict[str, Any]:
        """Fields as DeepSpec writes them, JetSpec's as z-lab does."""
        recipe = self.recipe
        if recipe.is_causal:
            return self._causal_config()
        return {
            "architectures": ["Qwen3DSparkModel"],
            "num_target_layers": self._target[0].config.num_hidden_layers,
            "num_hidden_layers": recipe.num_layers,
            "layer_types": ["full_attention"] * recipe.num_layers,
            "block_size": recipe.max_gamma,
            "mask_token_id": recipe.mask_token_id,
            "target_layer_ids": list(recipe.target_layer_ids),
            "markov_rank": recipe.markov_rank,
            "markov_head_type": recipe.head_type,
            "enable_confidence_head": recipe.has_confidence,
            "confidence_head_with_markov": recipe.markov_rank > 0,
        }

    def _causal_config(self) -> dict[str, Any]:
        recipe = self.recipe
        return {
            "architectures": ["DFlashDraftModel"],
            "num_target_layers": self._target[0].config.num_hidden_layers,
            "num_hidden_layers": recipe.num_layers,
            "layer_types": ["full_attention"] * recipe.num_layers,
            "block_size": recipe.max_gamma + 1,
            "dflash_config": {
                "mask_token_id": recipe.mask_token_id,
                "target_layer_ids": list(recipe.target_layer_ids),
                "causal_head": True,
            },
        }

    def _confidence(self, inputs: Tensor) -> Tensor | None:
        if not self.recipe.has_confidence:
            return None
        logit: Tensor = self.confidence_head(inputs)
        return logit

    def _backbone(self, batch: DraftTrainingBatch) -> Tensor:
        """Hidden states [N, A, K, D] after the final norm."""
        size, num_tokens = batch.tokens.shape
        before = int(self.recipe.is_causal)
        num_anchors, width = batch.anchors.shape[1], batch.gamma + before
        device = batch.tokens.device
        context = self._context(batch)
        context_positions = torch.arange(num_tokens, device=device).expand(size, -1)
        positions = (batch.anchors.unsqueeze(-1) + torch.arange(width, device=device)).flatten(1)
        x = self._slots(batch, context, width)
        mask = _visibility(batch.anchors, num_tokens, width, self.recipe.is_causal)
        for layer in self.layers:
            assert isinstance(layer, LayerModule)
            attention = layer.self_attn
            normed = layer.input_layernorm(x)
            keys = torch.cat(
                [
                    attention.keys(context, context_positions, self._rope),
                    attention.keys(normed, positions, self._rope),
                ],
                dim=2,
            )
            values = torch.cat([attention.values(context), attention.values(normed)], dim=2)
            query = attention.queries(normed, positions, self._rope)
            x = layer.finish(x, attention.attend(query, keys, values, mask))
        hidden: Tensor = self.norm(x)
        return hidden.view(size, num_anchors, width, -1)[:, :, before:]

    def _context(self, batch: DraftTrainingBatch) -> Tensor:
        """Context entries [N, S, D]."""
        context: Tensor = self.hidden_norm(self.fc(batch.features))
        return context

    def _slots(self, batch: DraftTrainingBatch, context: Tensor, width: int) -> Tensor:
        """What the `width` slots of all blocks start from [N, A*W, D]: the anchor, then masks."""
        size, num_anchors = batch.anchors.shape
        device = batch.tokens.device
        rows = torch.arange(size, device=device)[:, None]
        block = torch.full((size, num_anchors, width), self.recipe.mask_token_id, device=device)
        block[..., 0] = batch.tokens[rows, batch.anchors]
        return self._target[0].embed(block.flatten(1))


def _visibility(anchors: Tensor, num_tokens: int, width: int, is_causal: bool) -> Tensor:
    """[N, 1, A*W, S + A*W] bool: context before the anchor, and the query's own block of W slots;
    is_causal: of that what lies before it, and itself.
    """
    size, num_anchors = anchors.shape
    limits = anchors.repeat_interleave(width, dim=1).unsqueeze(-1)
    context = torch.arange(num_tokens, device=anchors.device) < limits
    owner = torch.arange(num_anchors, device=anchors.device).repeat_interleave(width)
    block = owner.unsqueeze(1) == owner
    if is_causal:
        block = block.tril()
    return torch.cat([context, block.expand(size, -1, -1)], dim=-1).unsqueeze(1)
