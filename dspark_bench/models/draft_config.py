"""A drafter checkpoint's `config.json`, in the layout that DeepSpec writes.

That file is a copy of the target's text configuration with the drafter's own fields on top, so it
may carry fields that mean nothing here; shapes of the weights are checked when they are read.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dspark_bench.core.errors import CheckpointError
from dspark_bench.models.config import (
    ModelConfig,
    NumberReader,
    parse_model_config,
    read_json,
    shown,
)

BLOCK_ARCHITECTURES = ("Qwen3DSparkModel",)
EAGLE3_ARCHITECTURES = ("Qwen3Eagle3Model", "Eagle3DraftModel")
HEAD_TYPES = ("vanilla", "gated", "rnn")

_FOREIGN_FIELDS = (
    "dflash_query_causal",
    "enable_qwen35_gated_q_proj",
    "log_snr_conditioning",
    "speculators_model_type",
)


@dataclass(frozen=True, slots=True)
class DraftConfig:
    """Shape of a drafter.

    max_gamma: longest draft it was trained for (`block_size`, or `ttt_length` for Eagle3);
    target_layer_ids: 0-based decoder layers whose outputs it reads; markov_rank 0: no Markov head.
    """

    model: ModelConfig
    architecture: str
    max_gamma: int
    target_layer_ids: tuple[int, ...]
    mask_token_id: int
    markov_rank: int
    head_type: str
    has_confidence: bool
    confidence_with_markov: bool

    @property
    def reads_markov_table(self) -> bool:
        """Whether the confidence head sees the previous token's row of the Markov table."""
        return self.confidence_with_markov and self.markov_rank > 0


def read_draft_config(directory: Path, architectures: tuple[str, ...]) -> DraftConfig:
    """Read and check a drafter's config. Raises CheckpointError for another architecture."""
    if not directory.is_dir():
        raise CheckpointError(f"no checkpoint directory at {directory}")
    path = directory / "config.json"
    data = read_json(path)
    names = data.get("architectures") or ["none"]
    if not isinstance(names, list) or names[0] not in architectures:
        found = names[0] if isinstance(names, list) else names
        raise CheckpointError(
            f"{path}: architecture is {found!r}; this drafter reads {', '.join(architectures)}"
        )
    for name in _FOREIGN_FIELDS:
        if data.get(name):
            raise CheckpointError(f"{path}: {name} is a fork's extension and is not supported")
    return _parse(data, str(path), names[0])


def _parse(data: dict[str, Any], source: str, architecture: str) -> DraftConfig:
    is_eagle = architecture in EAGLE3_ARCHITECTURES
    read = NumberReader(data, source)
    depth = read.count("draft_num_hidden_layers", default=1) if is_eagle else None
    head_type = data.get("markov_head_type") or "vanilla"
    if head_type not in HEAD_TYPES:
        valid = ", ".join(HEAD_TYPES)
        raise CheckpointError(f"{source}: markov_head_type is {head_type!r}; valid: {valid}")
    model = parse_model_config(
        data if depth is None else {**data, "num_hidden_layers": depth}, source
    )
    last_token = model.vocab_size - 1
    return DraftConfig(
        model=model,
        architecture=architecture,
        max_gamma=read.count("ttt_length" if is_eagle else "block_size"),
        target_layer_ids=_layer_ids(data, source),
        mask_token_id=read.count("mask_token_id", 0, last_token, 0 if is_eagle else None),
        markov_rank=read.count("markov_rank", 0, default=0),
        head_type=head_type,
        has_confidence=bool(data.get("enable_confidence_head", False)),
        confidence_with_markov=bool(data.get("confidence_head_with_markov", True)),
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


def check_fits_target(config: DraftConfig, target: ModelConfig, source: Path) -> None:
    """Raise CheckpointError if a drafter was made for another target shape."""
    mine = config.model
    for name in ("vocab_size", "hidden_size"):
        ours, theirs = getattr(mine, name), getattr(target, name)
        if ours != theirs:
            raise CheckpointError(
                f"{source}: drafter has {name} {ours}, its target {theirs}; they must be equal"
            )
    last = target.num_hidden_layers - 2
    for layer in config.target_layer_ids:
        if not -1 <= layer <= last:
            raise CheckpointError(
                f"{source}: target_layer_ids holds {layer}; valid for this target: -1 to {last}"
            )
