"""`eagle`: EAGLE-1's feature regression, one layer run once per draft token. EAGLE-2 is the same
drafter with `tree=beam`.

The layer reads fc([embedding of token i+1; state i]) and guesses state i+1 of the target, behind
its final norm; the target's own head makes a token of it. While drafting a guess takes the place of
the state. Unlike EAGLE-3 it reads one state, has learnt to hit it, and drifts away with the depth.
"""

from pathlib import Path
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from dspark_bench.core.types import LARGEST_PROBABILITY
from dspark_bench.drafters.eagle_files import EagleFiles, read_eagle_files
from dspark_bench.drafters.fed_back import FedBack
from dspark_bench.models.attention import AttentionPlan
from dspark_bench.models.checkpoint import check_all_read
from dspark_bench.models.draft_config import EAGLE
from dspark_bench.models.kv_cache import KVCache
from dspark_bench.models.layers import DecoderLayer
from dspark_bench.models.linear import Linear
from dspark_bench.models.named_tensors import take
from dspark_bench.models.rotary import Rotary
from dspark_bench.models.target import LoadedTarget
from dspark_bench.training.feature_model import FeatureModel, FeatureRecipe
from dspark_bench.training.target_features import FrozenTarget


class EagleLayer:
    """See `FedBackLayer`. No norm stands before its attention, and none behind it."""

    def __init__(self, files: EagleFiles, target: LoadedTarget) -> None:
        config, tensors, kernels = files.config, files.tensors, files.kernels
        model = config.model
        hidden = model.hidden_size
        bias = take(tensors, "fc.bias", hidden) if config.has_fuse_bias else None
        self._join = Linear(take(tensors, "fc.weight", hidden, 2 * hidden), bias, kernels)
        self._layer = DecoderLayer.load(tensors, "layers.0.", model, kernels, has_input_norm=False)
        self._embed = files.vocabulary.embed
        self._rotary = Rotary(model, target.config.max_position_embeddings, target.device)

    def fuse(self, features: Tensor) -> Tensor:
        """The target's state as it is."""
        return features

    def step(
        self, states: Tensor, token_ids: Tensor, plan: AttentionPlan, cache: KVCache
    ) -> Tensor:
        """Attend with fc([embedding; state]), which is the residual too, then the MLP."""
        x = self._join(torch.cat([F.embedding(token_ids, self._embed), states], dim=-1))
        attended = self._layer.attend(x, self._rotary.at(plan.positions), cache, 0, plan)
        return self._layer.finish(x, attended)

    def read_out(self, states: Tensor) -> Tensor:
        """A guess of a normed state needs no norm."""
        return states


class EagleDrafter(FedBack):
    """Reads an EAGLE-1 or EAGLE-2 checkpoint."""

    READS: Final = EAGLE
    """The kind of checkpoint."""

    def __init__(self, path: str | Path, target: LoadedTarget) -> None:
        files = read_eagle_files(path, EAGLE, target)
        layer = EagleLayer(files, target)
        check_all_read(files.tensors, files.directory)
        super().__init__(
            files.drafter_spec("eagle", target, LARGEST_PROBABILITY),
            layer,
            files.config.model,
            files.vocabulary,
            None,
            target,
            files.kernels is not None,
        )


def trainable(target: FrozenTarget, recipe: FeatureRecipe) -> FeatureModel:
    """The same architecture as a module to be trained."""
    return FeatureModel(target, recipe)
