"""A drafter's files, whatever its kind: what they say, whether they hold it, and which target fits.

For those that look at a checkpoint without building its drafter.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dspark_bench.models.checkpoint import Header, read_headers
from dspark_bench.models.config import TargetShape
from dspark_bench.models.draft_config import (
    HYDRA,
    MEDUSA,
    MTP,
    DraftConfig,
    Layout,
    check_fits_target,
)
from dspark_bench.models.draft_formats import mtp
from dspark_bench.models.draft_formats.reading import (
    heads_layout,
    parse_heads,
    read_draft_config,
    read_head_config,
    read_mtp_config,
    recognise,
)
from dspark_bench.models.expected_tensors import Expected, check_headers, drafter_tensors
from dspark_bench.models.head_config import HeadConfig, check_heads_fit, head_tensors
from dspark_bench.models.mtp_config import MtpConfig, check_mtp_fits, mtp_tensors


@dataclass(frozen=True, slots=True)
class Kind:
    """What a `config.json` is. format_name: None where the tensors' names decide it."""

    layout: Layout
    format_name: str | None


AnyDraftConfig = DraftConfig | HeadConfig | MtpConfig


def kind_of(data: Mapping[str, Any]) -> Kind | None:
    """The kind of drafter that a `config.json` is of; None if no drafter here reads it."""
    found = recognise(data)
    if found is not None:
        return Kind(found.layout, found.format.name)
    layout = MTP if mtp.is_mtp(data) else heads_layout(data)
    return None if layout is None else Kind(layout, None)


def parse_drafter(data: dict[str, Any], directory: Path) -> AnyDraftConfig:
    """Check a `config.json` that has a kind. Raises CheckpointError."""
    found, source = recognise(data), str(directory / "config.json")
    if found is not None:
        return found.format.parse(data, source)
    return mtp.parse(data, source) if mtp.is_mtp(data) else parse_heads(data, directory)


def read_drafter_config(directory: Path, layout: Layout) -> AnyDraftConfig:
    """Of the kind that a drafter reads. Raises CheckpointError."""
    if layout in (MEDUSA, HYDRA):
        return read_head_config(directory, layout)
    return read_mtp_config(directory) if layout == MTP else read_draft_config(directory, layout)


def tensors_of(config: AnyDraftConfig, headers: Mapping[str, Header]) -> Expected:
    """What the files must hold, and what they may."""
    if isinstance(config, HeadConfig):
        return head_tensors(config)
    if isinstance(config, MtpConfig):
        return mtp_tensors(config)
    return drafter_tensors(config, headers)


def check_drafter_files(directory: Path, config: AnyDraftConfig) -> None:
    """Raise CheckpointError for a tensor that is missing, of another shape, or not asked for."""
    headers = owned_headers(config, read_headers(directory))
    check_headers(directory, tensors_of(config, headers), headers)


def owned_headers(config: AnyDraftConfig, headers: Mapping[str, Header]) -> dict[str, Header]:
    """Those of the drafter, where it lies in its target's files."""
    owned = config.owned(headers) if isinstance(config, MtpConfig) else headers.keys()
    return {name: header for name, header in headers.items() if name in owned}


def check_fits(config: AnyDraftConfig, target: TargetShape, source: Path) -> None:
    """Raise CheckpointError if a drafter was made for another target shape."""
    if isinstance(config, HeadConfig):
        check_heads_fit(config, target, source)
    elif isinstance(config, MtpConfig):
        check_mtp_fits(config, target, source)
    else:
        check_fits_target(config, target, source)
