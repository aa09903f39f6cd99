"""`ar`: Eagle3-style autoregressive drafting. One layer, run once per draft token.

The layer reads [norm(embedding of token i+1); norm(hidden i)]. For committed tokens the hidden is
fused from the target's layers; while drafting it is the layer's own last output, fed back. Strong
memory of its own prefix, but the cost grows with every slot. A tree costs a run for each depth.
"""

from pathlib import Path
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from dspark_bench.core.types import ContextUpdate, DraftBatch, DrafterSpec, Proposal
from dspark_bench.drafters.fed_back import FedBack, FedBackBranches
from dspark_bench.drafters.slot_sampling import confidence_kind
from dspark_bench.models.attention import AttentionPlan
from dspark_bench.models.checkpoint import StoredTensors, check_all_read, read_tensors
from dspark_bench.models.confidence_head import load_confidence
from dspark_bench.models.draft_config import (
    EAGLE3,
    DraftConfig,
    check_fits_target,
    eagle_prefix,
    target_layers,
)
from dspark_bench.models.draft_formats.reading import read_draft_config
from dspark_bench.models.kernels.interface import Kernels
from dspark_bench.models.kv_cache import KVCache
from dspark_bench.models.layers import DecoderLayer, RmsNorm, load_norm, take
from dspark_bench.models.linear import Linear
from dspark_bench.models.rotary import Rotary
from dspark_bench.models.target import LoadedTarget
from dspark_bench.models.vocabulary import Vocabulary, read_vocabulary
from dspark_bench.training.eagle_model import EagleModel, EagleRecipe
from dspark_bench.training.target_features import FrozenTarget


class Eagle3Layer:
    """See `FedBackLayer`."""

    def __init__(
        self,
        config: DraftConfig,
        tensors: StoredTensors,
        target: LoadedTarget,
        vocabulary: Vocabulary,
        kernels: Kernels | None,
    ) -> None:
        model = config.model
        hidden, width = model.hidden_size, config.num_taps * config.target_hidden_size
        self._norms_residual = config.norms_residual
        self._input_norm: RmsNorm | None = None
        if config.norms_features:
            weight = take(tensors, "input_norm.weight", width)
            self._input_norm = RmsNorm(weight, model.rms_norm_eps, kernels)
        self._fuse = Linear(take(tensors, "fc.weight", hidden, width), None, kernels)
        prefix = eagle_prefix(config, tensors)
        self._hidden_norm = load_norm(tensors, f"{prefix}hidden_norm.weight", model, kernels)
        self._layer = DecoderLayer.load(tensors, prefix, model, kernels, 2 * hidden)
        self._norm = load_norm(tensors, "norm.weight", model, kernels)
        self._embed = vocabulary.embed
        self._rotary = Rotary(model, target.config.max_position_embeddings, target.device)

    def fuse(self, features: Tensor) -> Tensor:
        """The target's layers as one state."""
        return self._fuse(features if self._input_norm is None else self._input_norm(features))

    def step(
        self, states: Tensor, token_ids: Tensor, plan: AttentionPlan, cache: KVCache
    ) -> Tensor:
        """Attend with [norm(embedding); norm(state)], then the MLP."""
        embedded = self._layer.input_norm(F.embedding(token_ids, self._embed))
        normed = self._hidden_norm(states)
        inputs = torch.cat([embedded, normed], dim=-1)
        rotation = self._rotary.at(plan.positions)
        attended = self._layer.attend(inputs, rotation, cache, 0, plan)
        return self._layer.finish(normed if self._norms_residual else states, attended)

    def read_out(self, states: Tensor) -> Tensor:
        """The final norm; the states themselves are fed back without it."""
        return self._norm(states)


class AutoregressiveDrafter:
    """Reads an Eagle3 checkpoint, of any format that has them."""

    READS: Final = EAGLE3
    """The kind of checkpoint."""

    def __init__(self, path: str | Path, target: LoadedTarget) -> None:
        directory = Path(path)
        config = read_draft_config(directory, EAGLE3)
        check_fits_target(config, target.config, directory)
        tensors = read_tensors(directory, target.dtype, target.device)
        kernels = target.kernels_for(config.model)
        vocabulary = read_vocabulary(tensors, config, target)
        layer = Eagle3Layer(config, tensors, target, vocabulary, kernels)
        confidence = load_confidence(config, tensors, kernels)
        check_all_read(tensors, directory)
        self._loop = FedBack(
            layer,
            config.model,
            vocabulary,
            confidence,
            target.dtype,
            target.device,
            kernels is not None,
        )
        self.spec = DrafterSpec(
            "ar",
            config.max_gamma,
            target_layers(config, target.config, directory),
            has_confidence=True,
            notes=(*vocabulary.notes, *config.notes),
            can_branch=True,
            confidence_kind=confidence_kind(config.has_confidence),
        )

    def allocate(self, num_rows: int, max_len: int) -> None:
        """Reserve the context cache and the last hidden state of each row."""
        self._loop.allocate(num_rows, max_len)

    def extend(self, update: ContextUpdate) -> None:
        """Run the layer over committed tokens with true features; overwrites drafted entries."""
        self._loop.extend(update)

    def propose(self, batch: DraftBatch) -> Proposal:
        """Draw slot after slot, feeding the layer's output back."""
        return self._loop.propose(batch)

    def branch(self, batch: DraftBatch) -> FedBackBranches:
        """The layer runs once for each depth, over all prefixes of that depth."""
        return self._loop.branch(batch)


def trainable(target: FrozenTarget, recipe: EagleRecipe) -> EagleModel:
    """The same architecture as a module to be trained."""
    return EagleModel(target, recipe)
