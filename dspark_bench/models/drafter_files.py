"""A drafter's files, whatever its kind: what they say, whether they hold it, and which target fits.

For those that look at a checkpoint without building its drafter.
"""

from collections.abc import Mapping
from pathlib import Path

from dspark_bench.models.checkpoint import Header, read_headers
from dspark_bench.models.config import TargetShape
from dspark_bench.models.draft_config import HYDRA, MEDUSA, DraftConfig, Layout, check_fits_target
from dspark_bench.models.draft_formats.reading import read_draft_config, read_head_config
from dspark_bench.models.expected_tensors import Expected, check_headers, drafter_tensors
from dspark_bench.models.head_config import HeadConfig, check_heads_fit, head_tensors

AnyDraftConfig = DraftConfig | HeadConfig


def read_drafter_config(directory: Path, layout: Layout) -> AnyDraftConfig:
    """Of the kind that a drafter reads. Raises CheckpointError."""
    if layout in (MEDUSA, HYDRA):
        return read_head_config(directory, layout)
    return read_draft_config(directory, layout)


def tensors_of(config: AnyDraftConfig, headers: Mapping[str, Header]) -> Expected:
    """What the files must hold, and what they may."""
    if isinstance(config, HeadConfig):
        return head_tensors(config)
    return drafter_tensors(config, headers)


def check_drafter_files(directory: Path, config: AnyDraftConfig) -> None:
    """Raise CheckpointError for a tensor that is missing, of another shape, or not asked for."""
    headers = read_headers(directory)
    check_headers(directory, tensors_of(config, headers), headers)


def check_fits(config: AnyDraftConfig, target: TargetShape, source: Path) -> None:
    """Raise CheckpointError if a drafter was made for another target shape."""
    if isinstance(config, HeadConfig):
        check_heads_fit(config, target, source)
    else:
        check_fits_target(config, target, source)
