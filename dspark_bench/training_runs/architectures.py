"""What can be trained by name: a builder for each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from dspark_bench.drafters import (
    ar,
    draft_model,
    eagle,
    hydra,
    jetspec,
    medusa,
    mtp,
    parallel,
    semi_ar,
)
from dspark_bench.training.block_model import BlockRecipe
from dspark_bench.training.decoder_model import DecoderRecipe
from dspark_bench.training.drafter_batch import TrainableDrafter
from dspark_bench.training.eagle_model import EagleRecipe
from dspark_bench.training.feature_model import FeatureRecipe
from dspark_bench.training.head_models import HeadRecipe
from dspark_bench.training.mtp_model import MtpRecipe
from dspark_bench.training.target_features import FrozenTarget
from dspark_bench.training.tokenizer import MASK_TOKEN_ID


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the drafters of a job have in common. num_layers: of block drafters whose name says
    nothing else.
    """

    max_gamma: int
    num_layers: int
    markov_rank: int
    seed: int


Builder = Callable[[FrozenTarget, Sizes], TrainableDrafter]


def feature_layers(num_layers: int, count: int = 3) -> tuple[int, ...]:
    """`count` target layers spread evenly from the second to the last but two."""
    first, last = 1, num_layers - 3
    return tuple(round(first + i * (last - first) / (count - 1)) for i in range(count))


def build_trainable(name: str, target: FrozenTarget, sizes: Sizes) -> TrainableDrafter:
    """A fresh module of the architecture that `name` stands for."""
    return ARCHITECTURES[name](target, sizes)


def _ar(target: FrozenTarget, sizes: Sizes) -> TrainableDrafter:
    layers = feature_layers(target.config.num_hidden_layers)
    return ar.trainable(target, EagleRecipe(layers, sizes.max_gamma, seed=sizes.seed))


def _eagle(target: FrozenTarget, sizes: Sizes) -> TrainableDrafter:
    return eagle.trainable(target, FeatureRecipe(sizes.max_gamma, sizes.seed))


def _mtp(target: FrozenTarget, sizes: Sizes) -> TrainableDrafter:
    return mtp.trainable(target, MtpRecipe(sizes.max_gamma, seed=sizes.seed))


def _decoder(target: FrozenTarget, sizes: Sizes, num_layers: int) -> TrainableDrafter:
    recipe = DecoderRecipe(num_layers, sizes.max_gamma, sizes.seed)
    return draft_model.trainable(target, recipe)


def _medusa(target: FrozenTarget, sizes: Sizes, num_heads: int) -> TrainableDrafter:
    return medusa.trainable(target, HeadRecipe(num_heads, seed=sizes.seed))


def _hydra(target: FrozenTarget, sizes: Sizes, num_heads: int) -> TrainableDrafter:
    return hydra.trainable(target, HeadRecipe(num_heads, seed=sizes.seed))


def _parallel(target: FrozenTarget, sizes: Sizes) -> TrainableDrafter:
    return parallel.trainable(target, _block(target, sizes, markov_rank=0))


def _jetspec(target: FrozenTarget, sizes: Sizes) -> TrainableDrafter:
    return jetspec.trainable(target, _block(target, sizes, markov_rank=0, is_causal=True))


def _semi_ar(
    target: FrozenTarget, sizes: Sizes, head_type: str = "vanilla", num_layers: int | None = None
) -> TrainableDrafter:
    recipe = _block(target, sizes, sizes.markov_rank, num_layers, head_type)
    return semi_ar.trainable(target, recipe)


def _block(
    target: FrozenTarget,
    sizes: Sizes,
    markov_rank: int,
    num_layers: int | None = None,
    head_type: str = "vanilla",
    is_causal: bool = False,
) -> BlockRecipe:
    return BlockRecipe(
        target_layer_ids=feature_layers(target.config.num_hidden_layers),
        mask_token_id=MASK_TOKEN_ID,
        num_layers=num_layers or sizes.num_layers,
        max_gamma=sizes.max_gamma,
        markov_rank=markov_rank,
        head_type=head_type,
        has_confidence=not is_causal,
        seed=sizes.seed,
        is_causal=is_causal,
    )


ARCHITECTURES: Mapping[str, Builder] = {
    "parallel": _parallel,
    "semi_ar": _semi_ar,
    "semi_ar_gated": partial(_semi_ar, head_type="gated"),
    "semi_ar_rnn": partial(_semi_ar, head_type="rnn"),
    "ar": _ar,
    "eagle": _eagle,
    "jetspec": _jetspec,
    "semi_ar_depth1": partial(_semi_ar, num_layers=1),
    "semi_ar_depth2": partial(_semi_ar, num_layers=2),
    "draft_model": partial(_decoder, num_layers=2),
    "medusa": partial(_medusa, num_heads=8),
    "hydra": partial(_hydra, num_heads=4),
    "mtp": _mtp,
}
"""Those of the zoo, and what `train drafter=` takes."""
