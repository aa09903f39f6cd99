"""Reads a drafter's `config.json`, of whichever format it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dspark_bench.core.errors import CheckpointError
from dspark_bench.models.checkpoint import check_folder, read_headers
from dspark_bench.models.config_keys import shown
from dspark_bench.models.config_values import read_json
from dspark_bench.models.draft_config import (
    HYDRA,
    JETSPEC,
    MEDUSA,
    MTP,
    DraftConfig,
    Layout,
)
from dspark_bench.models.draft_formats import (
    deepspec,
    eagle,
    hydra,
    medusa,
    mtp,
    safeailab,
    speculators,
    zlab,
)
from dspark_bench.models.draft_formats.format import DraftFormat, architecture_of
from dspark_bench.models.draft_formats.unread import name_unread
from dspark_bench.models.head_config import HeadConfig
from dspark_bench.models.mtp_config import MtpConfig

FORMATS: Final = (speculators.FORMAT, deepspec.FORMAT, zlab.FORMAT, safeailab.FORMAT, eagle.FORMAT)
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
    check_folder(directory)
    path = directory / "config.json"
    data = read_json(path)
    found = recognise(data)
    if found is None or _other_architecture(found, layout):
        valid = [name for one in FORMATS for name in one.architectures.get(layout, ())]
        hint = _hint(data, found)
        raise CheckpointError(
            f"{path}: architecture is {shown(architecture_of(data))}; this drafter reads "
            f"{', '.join(dict.fromkeys(valid))}{hint}"
        )
    if found.layout != layout:
        why = f"markov_rank is {shown(data.get('markov_rank'))}"
        if JETSPEC in (found.layout, layout):
            why = (
                f"dflash_config.causal_head is {'true' if found.layout == JETSPEC else 'not true'}"
            )
        raise CheckpointError(
            f"{path}: {why}: a {found.layout.name} checkpoint, not a {layout.name} one; use "
            f"drafter={found.layout.drafter}"
        )
    return found.format.parse(data, str(path))


def heads_layout(data: Mapping[str, Any]) -> Layout | None:
    """The kind of a drafter that is made of heads; None for any other file."""
    if medusa.is_medusa(data):
        return MEDUSA
    return HYDRA if hydra.is_hydra(data) else None


def parse_heads(data: dict[str, Any], directory: Path) -> HeadConfig:
    """A `config.json` of such a drafter, beside its weights' headers. Raises CheckpointError."""
    parse = medusa.parse if heads_layout(data) == MEDUSA else hydra.parse
    return parse(data, read_headers(directory), str(directory / "config.json"))


def read_head_config(directory: Path, layout: Layout) -> HeadConfig:
    """Read and check the configuration of a drafter of heads. Raises CheckpointError."""
    check_folder(directory)
    path = directory / "config.json"
    data = read_json(path)
    if heads_layout(data) != layout:
        key = f"{layout.drafter}_num_heads"
        raise CheckpointError(
            f"{path} lacks the key {key!r}, by which {layout.name} is known"
            f"{_hint(data, recognise(data))}"
        )
    return parse_heads(data, directory)


def read_mtp_config(directory: Path) -> MtpConfig:
    """Read and check the configuration of a module. Raises CheckpointError."""
    check_folder(directory)
    path = directory / "config.json"
    data = read_json(path)
    if not mtp.is_mtp(data):
        raise CheckpointError(
            f"{path}: architecture is {shown(architecture_of(data))}, which has no module for "
            f"multi-token prediction that is known here{_hint(data, recognise(data))}"
        )
    return mtp.parse(data, str(path))


def read_any_draft_config(directory: Path) -> DraftConfig | None:
    """The same of whatever kind it is; None for a file that is no drafter's that is read here."""
    path = directory / "config.json"
    data = read_json(path)
    found = recognise(data)
    return None if found is None else found.format.parse(data, str(path))


def _hint(data: Mapping[str, Any], found: Recognised | None) -> str:
    if found is not None:
        return f"; use drafter={found.layout.drafter}"
    other = MTP if mtp.is_mtp(data) else heads_layout(data)
    if other is not None:
        return f"; use drafter={other.drafter}"
    unread = name_unread(data)
    return "" if unread is None else f"; it looks like {unread}, which nothing here reads yet"


def _other_architecture(found: Recognised, layout: Layout) -> bool:
    """Whether the format writes this kind of drafter under other architectures, or not at all."""
    known = found.format.architectures
    return found.layout != layout and known.get(found.layout) != known.get(layout)
