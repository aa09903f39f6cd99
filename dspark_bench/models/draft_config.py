"""A drafter checkpoint's `config.json`, in the layout that DeepSpec writes.

That file is a copy of the target's text configuration with the drafter's own fields on top. What it
says otherwise than the drafters here compute is refused by name (`config_keys`); shapes of the
weights are checked when they are read.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dspark_bench.core.errors import CheckpointError
from dspark_bench.models.config import ModelConfig, TargetShape, parse_draft_shape
from dspark_bench.models.config_keys import DRAFT_KEYS, check_bound, shown
from dspark_bench.models.config_values import MAX_COUNT, ValueReader, read_json

BLOCK_ARCHITECTURES = ("Qwen3DSparkModel",)
EAGLE3_ARCHITECTURES = ("Qwen3Eagle3Model", "Eagle3DraftModel")
HEAD_TYPES = ("vanilla", "gated", "rnn")
CHECKPOINT_HEAD = "checkpoint"


@dataclass(frozen=True, slots=True)
class Layout:
    """A kind of checkpoint. drafter: the option that reads it."""

    name: str
    drafter: str
    architectures: tuple[str, ...]


EAGLE3 = Layout("Eagle3", "ar", EAGLE3_ARCHITECTURES)
DFLASH = Layout("DFlash", "parallel", BLOCK_ARCHITECTURES)
DSPARK = Layout("DSpark", "semi_ar", BLOCK_ARCHITECTURES)


@dataclass(frozen=True, slots=True)
class DraftConfig:
    """Shape of a drafter.

    max_gamma: longest draft it was trained for (`block_size`, or `ttt_length` for Eagle3);
    target_layer_ids: 0-based decoder layers whose outputs it reads; num_target_layers: of the
    target it was trained for, None where the file does not say; markov_rank 0: no Markov head.
    """

    model: ModelConfig
    architecture: str
    max_gamma: int
    target_layer_ids: tuple[int, ...]
    num_target_layers: int | None
    mask_token_id: int
    markov_rank: int
    head_type: str
    has_confidence: bool
    confidence_with_markov: bool

    @property
    def layout(self) -> Layout | None:
        """Which kind of checkpoint it is."""
        return layout_of(self.architecture, self.markov_rank)

    @property
    def reads_markov_table(self) -> bool:
        """Whether the confidence head sees the previous token's row of the Markov table."""
        return self.confidence_with_markov and self.markov_rank > 0


def read_draft_config(directory: Path, layout: Layout) -> DraftConfig:
    """Read and check a drafter's config. Raises CheckpointError for another layout's, which names
    the drafter that reads it.
    """
    if not directory.is_dir():
        raise CheckpointError(f"no checkpoint directory at {directory}")
    path = directory / "config.json"
    data = read_json(path)
    names = data.get("architectures") or ["none"]
    found = names[0] if isinstance(names, list) and len(names) == 1 else names
    if found not in layout.architectures:
        other = layout_of(found, data.get("markov_rank"))
        hint = f"; use drafter={other.drafter}" if other is not None else ""
        raise CheckpointError(
            f"{path}: architecture is {shown(found)}; this drafter reads "
            f"{', '.join(layout.architectures)}{hint}"
        )
    config = _parse(data, str(path), found)
    if config.layout is not None and config.layout != layout:
        raise CheckpointError(
            f"{path}: markov_rank is {config.markov_rank}: a {config.layout.name} checkpoint, not "
            f"a {layout.name} one; use drafter={config.layout.drafter}"
        )
    return config


def check_head(config: DraftConfig, wanted: object, source: str | Path) -> None:
    """Raise CheckpointError if another sequential head is asked for than the files hold.

    wanted: a type of head, or `CHECKPOINT_HEAD` for whatever they hold.
    """
    if wanted not in (CHECKPOINT_HEAD, config.head_type):
        raise CheckpointError(
            f"{source}: drafter.head is {wanted!r} but the checkpoint holds {config.head_type!r}"
        )


def layout_of(architecture: object, markov_rank: object) -> Layout | None:
    """The layout that a configuration is of; None if no drafter here reads it."""
    if architecture in EAGLE3_ARCHITECTURES:
        return EAGLE3
    if architecture in BLOCK_ARCHITECTURES:
        return DSPARK if markov_rank else DFLASH
    return None


def _parse(data: dict[str, Any], source: str, architecture: str) -> DraftConfig:
    is_eagle = architecture in EAGLE3_ARCHITECTURES
    read = ValueReader(data, source)
    depth = read.count("draft_num_hidden_layers", most=1, default=1) if is_eagle else None
    head_type = data.get("markov_head_type") or "vanilla"
    if head_type not in HEAD_TYPES:
        valid = ", ".join(HEAD_TYPES)
        raise CheckpointError(f"{source}: markov_head_type is {head_type!r}; valid: {valid}")
    model = parse_draft_shape(
        data if depth is None else {**data, "num_hidden_layers": depth}, source
    )
    _check_nested(data, source)
    vocab, hidden = model.vocab_size, model.hidden_size
    read.count("draft_vocab_size", vocab, vocab, default=vocab)
    read.count("target_hidden_size", hidden, hidden, default=hidden)
    return DraftConfig(
        model=model,
        architecture=architecture,
        max_gamma=read.count("ttt_length" if is_eagle else "block_size"),
        target_layer_ids=_layer_ids(data, source),
        num_target_layers=read.count("num_target_layers") if "num_target_layers" in data else None,
        mask_token_id=read.count("mask_token_id", 0, vocab - 1, 0 if is_eagle else None),
        markov_rank=read.count("markov_rank", 0, 0 if is_eagle else MAX_COUNT, default=0),
        head_type=head_type,
        has_confidence=read.flag("enable_confidence_head", default=False),
        confidence_with_markov=read.flag("confidence_head_with_markov", default=True),
    )


def _check_nested(data: dict[str, Any], source: str) -> None:
    """`dflash_config` may repeat what stands beside it, and say nothing else."""
    nested = data.get("dflash_config")
    if nested is None:
        return
    if not isinstance(nested, dict):
        raise CheckpointError(f"{source}: dflash_config is {shown(nested)}; valid: an object")
    for key, value in nested.items():
        if value is None:
            continue
        name = f"dflash_config.{key}"
        if key in DRAFT_KEYS.bound:
            check_bound(name, value, DRAFT_KEYS.bound[key], source)
        elif data.get(key) is not None:
            check_bound(name, value, (data[key],), source)
        else:
            raise CheckpointError(
                f"{source}: the key {name!r} ({shown(value)}) is not known here and may change "
                "what the drafter computes; valid: a file without it, if it does not"
            )


def _layer_ids(data: dict[str, Any], source: str) -> tuple[int, ...]:
    if "target_layer_ids" not in data:
        raise CheckpointError(f"{source} lacks the key 'target_layer_ids'")
    ids = data["target_layer_ids"]
    if not isinstance(ids, list) or not ids or any(type(layer) is not int for layer in ids):
        raise CheckpointError(
            f"{source}: target_layer_ids is {shown(ids)}; valid: a list of whole numbers"
        )
    return tuple(ids)


def check_fits_target(config: DraftConfig, target: TargetShape, source: Path) -> None:
    """Raise CheckpointError if a drafter was made for another target shape."""
    mine = config.model
    for name in ("vocab_size", "hidden_size"):
        ours, theirs = getattr(mine, name), getattr(target, name)
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
    for layer in config.target_layer_ids:
        if not -1 <= layer <= last:
            raise CheckpointError(
                f"{source}: target_layer_ids holds {layer}; valid for this target: -1 to {last}"
            )
