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

from dspark_bench.core.types import (
    LARGEST_PROBABILITY,
    ContextUpdate,
    DraftBatch,
    DrafterSpec,
    Proposal,
)
from dspark_bench.drafters.fed_back import FedBack, FedBackBranches
from dspark_bench.models.attention import AttentionPlan
from dspark_bench.models.checkpoint import StoredTensors, check_all_read, read_tensors
from dspark_bench.models.draft_config import EAGLE, DraftConfig, check_fits_target, target_layers
from dspark_bench.models.draft_formats.reading import read_draft_config
from dspark_bench.models.kernels.interface import Kernels
from dspark_bench.models.kv_cache import KVCache
from dspark_bench.models.layers import DecoderLayer, take
from dspark_bench.models.linear import Linear
from dspark_bench.models.rotary import Rotary
from dspark_bench.models.target import LoadedTarget
from dspark_bench.models.vocabulary import Vocabulary, read_vocabulary
from dspark_bench.training.feature_model import FeatureModel, FeatureRecipe
from dspark_bench.training.target_features import FrozenTarget


class EagleLayer:
    """See `FedBackLayer`. No norm stands before its attention, and none behind it."""

    def __init__(
        self,
        config: DraftConfig,
        tensors: StoredTensors,
        target: LoadedTarget,
        vocabulary: Vocabulary,
        kernels: Kernels | None,
    ) -> None:
        model = config.model
        hidden = model.hidden_size
        bias = take(tensors, "fc.bias", hidden) if config.has_fuse_bias else None
        self._join = Linear(take(tensors, "fc.weight", hidden, 2 * hidden), bias, kernels)
        self._layer = DecoderLayer.load(tensors, "layers.0.", model, kernels, has_input_norm=False)
        self._embed = vocabulary.embed
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


class EagleDrafter:
    """Reads an EAGLE-1 or EAGLE-2 checkpoint."""

    READS: Final = EAGLE
    """The kind of checkpoint."""

    def __init__(self, path: str | Path, target: LoadedTarget) -> None:
        directory = Path(path)
        config = read_draft_config(directory, EAGLE)
        check_fits_target(config, target.config, directory)
        tensors = read_tensors(directory, target.dtype, target.device)
        kernels = target.kernels_for(config.model)
        vocabulary = read_vocabulary(tensors, config, target)
        layer = EagleLayer(config, tensors, target, vocabulary, kernels)
        check_all_read(tensors, directory)
        is_compiled = kernels is not None
        self._loop = FedBack(
            layer, config.model, vocabulary, None, target.dtype, target.device, is_compiled
        )
        self.spec = DrafterSpec(
            "eagle",
            config.max_gamma,
            target_layers(config, target.config, directory),
            has_confidence=True,
            notes=(*vocabulary.notes, *config.notes),
            can_branch=True,
            confidence_kind=LARGEST_PROBABILITY,
        )

    def allocate(self, num_rows: int, max_len: int) -> None:
        """Reserve the context cache and the last guess of each row."""
        self._loop.allocate(num_rows, max_len)

    def extend(self, update: ContextUpdate) -> None:
        """Run the layer over committed tokens with true states; overwrites drafted entries."""
        self._loop.extend(update)

    def propose(self, batch: DraftBatch) -> Proposal:
        """Draw slot after slot, feeding the guesses back."""
        return self._loop.propose(batch)

    def branch(self, batch: DraftBatch) -> FedBackBranches:
        """The layer runs once for each depth, over all prefixes of that depth."""
        return self._loop.branch(batch)


def trainable(target: FrozenTarget, recipe: FeatureRecipe) -> FeatureModel:
    """The same architecture as a module to be trained."""
    return FeatureModel(target, recipe)
