"""What a format of drafter checkpoints is, and what several of them read the same way."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from dspark_bench.core.errors import CheckpointError
from dspark_bench.models.config import ModelConfig
from dspark_bench.models.config_keys import shown
from dspark_bench.models.draft_config import HEAD_TYPES, DraftConfig, Layout
from dspark_bench.models.families import SLIDING


@dataclass(frozen=True, slots=True)
class DraftFormat:
    """One format.

    slug: its name on the command line; architectures: what `architectures` names, by the kind of
    drafter that it stands for; layout_of: the kind that a `config.json` is of, None if it is none
    of this format's; parse: turns it and the name of its file into a `DraftConfig`, raises
    CheckpointError for a key that is not understood; write: the `config.json` of a drafter, raises
    CheckpointError for what the format cannot hold; needs_head, holds_copies: which kinds must have
    a head in their files, and whether copies of the target's embedding and head may be there;
    eagle_prefix: of the names of an Eagle3 layer.
    """

    name: str
    slug: str
    architectures: Mapping[Layout, tuple[str, ...]]
    layout_of: Callable[[Mapping[str, Any]], Layout | None]
    parse: Callable[[dict[str, Any], str], DraftConfig]
    write: Callable[[DraftConfig], dict[str, Any]]
    needs_head: tuple[Layout, ...] = ()
    holds_copies: bool = True
    eagle_prefix: str = "layers.0."


def architecture_of(data: Mapping[str, Any]) -> object:
    """The one architecture that a `config.json` names; whatever stands there if it is not one."""
    names = data.get("architectures") or ["none"]
    return names[0] if isinstance(names, list) and len(names) == 1 else names


def read_layer_ids(data: Mapping[str, Any], key: str, source: str) -> tuple[int, ...]:
    """A list of layers. Raises CheckpointError."""
    if key not in data:
        raise CheckpointError(f"{source} lacks the key {key!r}")
    ids = data[key]
    if not isinstance(ids, list) or not ids or any(type(layer) is not int for layer in ids):
        raise CheckpointError(f"{source}: {key} is {shown(ids)}; valid: a list of whole numbers")
    return tuple(ids)


def read_head_type(data: Mapping[str, Any], source: str) -> str:
    """`markov_head_type`. Raises CheckpointError for one that is not known."""
    head_type = data.get("markov_head_type") or "vanilla"
    if head_type not in HEAD_TYPES:
        valid = ", ".join(HEAD_TYPES)
        raise CheckpointError(f"{source}: markov_head_type is {head_type!r}; valid: {valid}")
    return str(head_type)


def full_attention(model: ModelConfig, source: str) -> ModelConfig:
    """The same shape, of a drafter whose head is its target's or its own, whatever the copied key
    `tie_word_embeddings` says. Raises CheckpointError if one of its layers has a sliding window:
    such draft layers are causal in some programs and not in others.
    """
    if any(window is not None for window in model.windows):
        raise CheckpointError(
            f"{source}: layer_types holds {SLIDING!r}, which is not computed in a drafter; valid: "
            "layers of full attention"
        )
    return replace(model, windows=(), tie_word_embeddings=False)
