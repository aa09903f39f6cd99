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

from dspark_bench.drafters.eagle_files import EagleFiles, read_eagle_files
from dspark_bench.drafters.fed_back import FedBack
from dspark_bench.drafters.slot_sampling import confidence_kind
from dspark_bench.models.attention import AttentionPlan
from dspark_bench.models.checkpoint import check_all_read
from dspark_bench.models.confidence_head import load_confidence
from dspark_bench.models.draft_config import EAGLE3, eagle_prefix
from dspark_bench.models.kv_cache import KVCache
from dspark_bench.models.layers import DecoderLayer, RmsNorm, load_norm
from dspark_bench.models.linear import Linear
from dspark_bench.models.named_tensors import take
from dspark_bench.models.rotary import Rotary
from dspark_bench.models.target import LoadedTarget
from dspark_bench.training.eagle_model import EagleModel, EagleRecipe
from dspark_bench.training.target_features import FrozenTarget


class Eagle3Layer:
    """See `FedBackLayer`."""

    def __init__(self, files: EagleFiles, target: LoadedTarget) -> None:
        config, tensors, kernels = files.config, files.tensors, files.kernels
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
        self._embed = files.vocabulary.embed
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


class AutoregressiveDrafter(FedBack):
    """Reads an Eagle3 checkpoint, of any format that has them."""

    READS: Final = EAGLE3
    """The kind of checkpoint."""

    def __init__(self, path: str | Path, target: LoadedTarget) -> None:
        files = read_eagle_files(path, EAGLE3, target)
        layer = Eagle3Layer(files, target)
        confidence = load_confidence(files.config, files.tensors, files.kernels)
        check_all_read(files.tensors, files.directory)
        super().__init__(
            files.drafter_spec("ar", target, confidence_kind(files.config.has_confidence)),
            layer,
            files.config.model,
            files.vocabulary,
            confidence,
            target,
            files.kernels is not None,
        )


def trainable(target: FrozenTarget, recipe: EagleRecipe) -> EagleModel:
    """The same architecture as a module to be trained."""
    return EagleModel(target, recipe)
