"""Reads a drafter's `config.json`, of whichever format it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dspark_bench.core.errors import CheckpointError
from dspark_bench.models.config_keys import shown
from dspark_bench.models.config_values import read_json
from dspark_bench.models.draft_config import DraftConfig, Layout
from dspark_bench.models.draft_formats import deepspec, safeailab, speculators, zlab
from dspark_bench.models.draft_formats.format import DraftFormat, architecture_of

FORMATS: Final = (speculators.FORMAT, deepspec.FORMAT, zlab.FORMAT, safeailab.FORMAT)
"""In the order in which they are asked whether a file is theirs."""


@dataclass(frozen=True, slots=True)
class Recognised:
    """A format and the kind of drafter that a file is in it."""

    format: DraftFormat
    layout: Layout


def recognise(data: Mapping[str, Any]) -> Recognised | None:
    """What a `config.json` is; None if no drafter here reads it."""
    for one in FORMATS:
        layout = one.layout_of(data)
        if layout is not None:
            return Recognised(one, layout)
    return None


def read_draft_config(directory: Path, layout: Layout) -> DraftConfig:
    """Read and check a drafter's config. Raises CheckpointError for another kind's, which names
    the drafter that reads it.
    """
    if not directory.is_dir():
        raise CheckpointError(f"no checkpoint directory at {directory}")
    path = directory / "config.json"
    data = read_json(path)
    found = recognise(data)
    if found is None or _other_architecture(found, layout):
        valid = [name for one in FORMATS for name in one.architectures.get(layout, ())]
        hint = "" if found is None else f"; use drafter={found.layout.drafter}"
        raise CheckpointError(
            f"{path}: architecture is {shown(architecture_of(data))}; this drafter reads "
            f"{', '.join(dict.fromkeys(valid))}{hint}"
        )
    if found.layout != layout:
        raise CheckpointError(
            f"{path}: markov_rank is {shown(data.get('markov_rank'))}: a {found.layout.name} "
            f"checkpoint, not a {layout.name} one; use drafter={found.layout.drafter}"
        )
    return found.format.parse(data, str(path))


def _other_architecture(found: Recognised, layout: Layout) -> bool:
    """Whether the format writes this kind of drafter under other architectures, or not at all."""
    known = found.format.architectures
    return found.layout != layout and known.get(found.layout) != known.get(layout)
