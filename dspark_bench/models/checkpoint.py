"""Hugging Face model directories: config.json, safetensors (sharded or not), tokenizer.json."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor

from dspark_bench.core.errors import CheckpointError
from dspark_bench.models.config import read_json

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"


def read_tensors(directory: Path, dtype: torch.dtype, device: torch.device) -> dict[str, Tensor]:
    """All tensors of a checkpoint, cast to `dtype` on `device`.

    Raises CheckpointError for a missing, truncated or foreign file.
    """
    tensors: dict[str, Tensor] = {}
    for path in weight_files(directory):
        try:
            with safe_open(path, framework="pt", device="cpu") as file:
                for name in file.keys():  # noqa: SIM118
                    tensors[name] = file.get_tensor(name).to(device=device, dtype=dtype)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"cannot read weights {path}: {error}") from error
    return tensors


def weight_files(directory: Path) -> list[Path]:
    """The safetensors files of a checkpoint. Raises CheckpointError if there is none."""
    if not directory.is_dir():
        raise CheckpointError(f"no checkpoint directory at {directory}")
    single = directory / WEIGHTS
    if single.is_file():
        return [single]
    if not (directory / INDEX).is_file():
        raise CheckpointError(f"{directory} holds neither {WEIGHTS} nor {INDEX}")
    weight_map = read_json(directory / INDEX).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{directory / INDEX} has no weight_map")
    return [directory / name for name in sorted(set(weight_map.values()))]


def write_checkpoint(directory: Path, tensors: Mapping[str, Tensor], dtype: torch.dtype) -> None:
    """Write `tensors` as one safetensors file in `dtype`; creates the directory."""
    directory.mkdir(parents=True, exist_ok=True)
    stored = {name: t.detach().to("cpu", dtype).contiguous() for name, t in tensors.items()}
    save_file(stored, directory / WEIGHTS, metadata={"format": "pt"})
    (directory / WEIGHTS).chmod(0o644)


def content_hash(directory: Path) -> str:
    """16 hex digits over config and weights: the identity of a checkpoint."""
    digest = hashlib.sha256()
    for path in [directory / "config.json", *weight_files(directory)]:
        try:
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
        except OSError as error:
            raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
    return digest.hexdigest()[:16]


def read_tokenizer(directory: Path) -> Tokenizer:
    """The fast tokenizer of a model directory. Raises CheckpointError if absent or broken."""
    path = directory / "tokenizer.json"
    if not path.is_file():
        raise CheckpointError(f"{directory} holds no tokenizer.json")
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:
        raise CheckpointError(f"cannot read {path}: {error}") from error
