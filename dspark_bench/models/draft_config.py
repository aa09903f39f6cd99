"""What a drafter's `config.json` says, whatever format it is written in, and which target it fits.

Formats differ in their keys, in what a layer id means and in which slot predicts which token; each
is one module of `draft_formats`, which turns a file into a `DraftConfig`. Nothing beyond it asks
for a format.
"""

from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dspark_bench.core.errors import CheckpointError
from dspark_bench.core.features import FINAL_NORM
from dspark_bench.models.config import ModelConfig, TargetShape
from dspark_bench.models.config_keys import shown

HEAD_TYPES: Final = ("vanilla", "gated", "rnn")
CHECKPOINT_HEAD: Final = "checkpoint"
_LEAST_DEPTH: Final = 7
"""Layers from which on those that EAGLE-3's authors read are three."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A kind of drafter. drafter: the option that runs it."""

    name: str
    drafter: str


EAGLE3: Final = Layout("Eagle3", "ar")
EAGLE: Final = Layout("EAGLE-1/2", "eagle")
DFLASH: Final = Layout("DFlash", "parallel")
JETSPEC: Final = Layout("JetSpec", "jetspec")
DSPARK: Final = Layout("DSpark", "semi_ar")
DECODER: Final = Layout("decoder", "draft_model")
"""A model like a target: no format of drafters has it (`draft_decoder`)."""
MEDUSA: Final = Layout("Medusa", "medusa")
HYDRA: Final = Layout("Hydra", "hydra")
MTP: Final = Layout("MTP", "mtp")


@dataclass(frozen=True, slots=True)
class DraftConfig:
    """Shape of a drafter.

    model: of its layers; its vocabulary is the target's. max_gamma: longest draft it was trained
    for, None where its files do not say; target_layer_ids: 0-based decoder layers whose outputs it
    reads, or one of the names in `core.features`, None for the three of EAGLE-3's authors, which
    depend on the target; unclear_layer_ids: ids of which its files do not say whether they count
    inputs or outputs; num_target_layers: of the target it was trained for, None where the file does
    not say; markov_rank 0: no Markov head; target_hidden_size: width of what it reads;
    draft_vocab_size: tokens that it can draft; has_own_head: its head was trained and must be in
    its files, else it has the rows of its target's that belong to these tokens;
    predicts_in_place: whether slot k of a block predicts the token at its own place, so that the
    anchor's slot drafts nothing; norms_residual: whether an Eagle3 layer's residual is its normed
    input; norms_features: whether what is read from the target is normed before `fc`;
    layer_prefixes: what the names of an Eagle3 layer may begin with; has_fuse_bias: whether
    EAGLE-1's `fc` has a bias; is_causal: whether a slot of a block sees those before it alone.
    """

    model: ModelConfig
    format_name: str
    layout: Layout
    architecture: str
    max_gamma: int | None
    target_layer_ids: tuple[int, ...] | None
    num_target_layers: int | None
    mask_token_id: int
    markov_rank: int
    head_type: str
    has_confidence: bool
    confidence_with_markov: bool
    target_hidden_size: int
    draft_vocab_size: int
    has_own_head: bool = False
    unclear_layer_ids: tuple[int, ...] = ()
    predicts_in_place: bool = False
    norms_residual: bool = False
    norms_features: bool = False
    layer_prefixes: tuple[str, ...] = ("layers.0.",)
    has_fuse_bias: bool = False
    is_causal: bool = False

    @property
    def num_taps(self) -> int:
        """How many layers of the target it reads."""
        return 3 if self.target_layer_ids is None else len(self.target_layer_ids)

    @property
    def is_reduced(self) -> bool:
        """Whether there are tokens that it cannot draft."""
        return self.draft_vocab_size < self.model.vocab_size

    @property
    def reads_markov_table(self) -> bool:
        """Whether the confidence head sees the previous token's row of the Markov table."""
        return self.confidence_with_markov and self.markov_rank > 0

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of its figures must know."""
        if self.max_gamma is not None:
            return ()
        return (
            "the drafter's files do not say how many tokens it was trained to draft, so any gamma "
            "is taken; acceptance may fall off behind what it was trained for",
        )


def check_head(config: DraftConfig, wanted: object, source: str | Path) -> None:
    """Raise CheckpointError if another sequential head is asked for than the files hold.

    wanted: a type of head, or `CHECKPOINT_HEAD` for whatever they hold.
    """
    if wanted not in (CHECKPOINT_HEAD, config.head_type):
        raise CheckpointError(
            f"{source}: drafter.head is {wanted!r} but the checkpoint holds {config.head_type!r}"
        )


def eagle_prefix(config: DraftConfig, names: Container[str]) -> str:
    """What the names of an Eagle3 layer begin with, in files that hold tensors of these names."""
    known = config.layer_prefixes
    return next((one for one in known if f"{one}hidden_norm.weight" in names), known[0])


def target_layers(config: DraftConfig, target: TargetShape, source: Path) -> tuple[int, ...]:
    """0-based layers of this target whose outputs the drafter reads, or names in `core.features`.

    EAGLE-3's authors read the inputs of layers 2, n // 2 and n - 3 of n, which are the outputs of
    the layers before. Raises CheckpointError for a target where these are not three, and for ids
    of which nobody can say what they count.
    """
    if config.target_layer_ids is not None:
        return config.target_layer_ids
    depth = target.num_hidden_layers
    if depth < _LEAST_DEPTH:
        raise CheckpointError(
            f"{source}: the drafter reads the inputs of layers 2, n // 2 and n - 3 of its target's "
            f"n layers; this target has {depth}; valid: {_LEAST_DEPTH} or more"
        )
    outputs = (1, depth // 2 - 1, depth - 4)
    inputs = (2, depth // 2, depth - 3)
    if config.unclear_layer_ids not in ((), outputs, inputs):
        raise CheckpointError(
            f"{source}: eagle_config.eagle_aux_hidden_state_layer_ids is "
            f"{shown(list(config.unclear_layer_ids))}, which some programs count by the layers' "
            f"inputs and others by their outputs; valid: {list(inputs)} or {list(outputs)}, the "
            "usual ones, or eagle_aux_hidden_state_layer_ids beside eagle_config, which counts "
            "inputs"
        )
    return outputs


def check_fits_target(config: DraftConfig, target: TargetShape, source: Path) -> None:
    """Raise CheckpointError if a drafter was made for another target shape."""
    sizes = {
        "vocab_size": (config.model.vocab_size, target.vocab_size),
        "hidden_size": (config.target_hidden_size, target.hidden_size),
    }
    for name, (ours, theirs) in sizes.items():
        if ours != theirs:
            raise CheckpointError(
                f"{source}: drafter has {name} {ours}, its target {theirs}; they must be equal"
            )
    depth = target.num_hidden_layers
    if config.num_target_layers not in (None, depth):
        raise CheckpointError(
            f"{source}: drafter has num_target_layers {config.num_target_layers}, its target "
            f"{depth} layers; they must be equal"
        )
    last = depth - 2
    named = (FINAL_NORM,) if config.layout == EAGLE else ()
    for layer in target_layers(config, target, source):
        if layer not in named and not -1 <= layer <= last:
            raise CheckpointError(
                f"{source}: target_layer_ids holds {layer}; valid for this target: -1 to {last}"
            )
