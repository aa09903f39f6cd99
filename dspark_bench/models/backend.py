"""What computes a target: the decoder of this project, or transformers' own modules.

Nothing of transformers is imported before it is needed.
"""

from enum import StrEnum
from pathlib import Path

import torch

from dspark_bench.models.checkpoint import check_folder
from dspark_bench.models.config import TargetShape, read_model_config
from dspark_bench.models.config_values import read_json
from dspark_bench.models.expected_tensors import check_headers, target_tensors
from dspark_bench.models.families import FAMILIES
from dspark_bench.models.kernels.choice import Wanted
from dspark_bench.models.target import LoadedTarget, TargetModel


class Backend(StrEnum):
    """What `target.backend` may say."""

    AUTO = "auto"
    OWN = "own"
    TRANSFORMERS = "transformers"


def is_hosted(directory: Path, backend: Backend) -> bool:
    """Whether transformers computes the model: where that is asked for, or, on `auto`, where its
    family is not known here. Raises CheckpointError for a folder without a configuration.
    """
    if backend is not Backend.AUTO:
        return backend is Backend.TRANSFORMERS
    return read_json(directory / "config.json").get("model_type") not in FAMILIES


def read_shape(directory: Path, backend: Backend) -> TargetShape:
    """A target's shape. Raises CheckpointError for what its backend does not compute."""
    if is_hosted(directory, backend):
        from dspark_bench.models.hosted.shape import hosted_shape

        return hosted_shape(directory)
    return read_model_config(directory)


def check_files(directory: Path, backend: Backend) -> None:
    """Look at configuration and headers, without reading weights. Raises CheckpointError."""
    check_folder(directory)
    if is_hosted(directory, backend):
        from dspark_bench.models.hosted.shape import check_hosted_files

        check_hosted_files(directory)
    else:
        check_headers(directory, target_tensors(read_model_config(directory)))


def load_target(
    directory: Path,
    dtype: torch.dtype,
    device: torch.device,
    wanted: Wanted = Wanted.AUTO,
    backend: Backend = Backend.AUTO,
) -> LoadedTarget:
    """Read a model directory. Raises CheckpointError with the reason."""
    check_folder(directory)
    if is_hosted(directory, backend):
        from dspark_bench.models.hosted.target import HostedTarget

        return HostedTarget.load(directory, dtype, device, wanted)
    return TargetModel.load(directory, dtype, device, wanted)
