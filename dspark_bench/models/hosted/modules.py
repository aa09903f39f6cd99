"""The parts of transformers' models that a target is made of."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel

from dspark_bench.core.errors import CheckpointError


def layers_of(model: PreTrainedModel) -> nn.ModuleList:
    """The decoder layers. Raises CheckpointError where they are not found."""
    with suppress(AttributeError):
        layers = model.get_decoder().layers
        if isinstance(layers, nn.ModuleList) and len(layers):
            return layers
    raise CheckpointError(f"{type(model).__name__} has no list of decoder layers")


def head_of(model: PreTrainedModel) -> Tensor:
    """The output head's weight. Raises CheckpointError for one that drafters could not share."""
    head = model.get_output_embeddings()
    if head is None or getattr(head, "bias", None) is not None:
        raise CheckpointError(
            f"{type(model).__name__} has no output head without a bias, which drafters could share"
        )
    return weight_of(head)


def weight_of(module: nn.Module) -> Tensor:
    """Of a table or a linear layer."""
    weight = module.weight
    assert isinstance(weight, Tensor)
    return weight


def share_of_experts(model: PreTrainedModel) -> float:
    """Of the experts' weights, what one token reads."""
    config = model.config.get_text_config()
    chosen = getattr(config, "num_experts_per_tok", None)
    names = ("num_experts", "num_local_experts", "n_routed_experts")
    whole = next((n for name in names if (n := getattr(config, name, None))), None)
    return min(1.0, chosen / whole) if chosen and whole else 1.0


def check_whole(found: dict[str, Any], directory: Path) -> None:
    """Raise CheckpointError for tensors that are missing, unread or of another shape."""
    for key, what in (
        ("missing_keys", "lacks"),
        ("unexpected_keys", "holds, and nobody reads,"),
        ("mismatched_keys", "has in another shape"),
    ):
        names = sorted(str(name) for name in found.get(key) or ())
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise CheckpointError(f"{directory}: {what} {names[0]}{more}")
