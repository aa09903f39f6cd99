"""Pickled weights (`pytorch_model.bin`, `*.pt`) without running what a pickle may ask for.

Only torch's weights-only reader opens them, which rebuilds tensors and plain containers and refuses
every other call. Nothing but `convert` comes here: what runs a model reads safetensors.
"""

import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from dspark_bench.core.errors import CheckpointError
from dspark_bench.models.config_values import read_json
from dspark_bench.models.model_files import is_pickled_weights

_SINGLE: Final = "pytorch_model.bin"
_INDEX: Final = "pytorch_model.bin.index.json"
_NESTED: Final = ("state_dict", "model_state_dict", "model")
"""Keys under which trainers keep the weights, beside a step's number and the like."""
_REFUSED_CALL = re.compile(r"GLOBAL ([\w.]+)")


def pickled_files(directory: Path) -> list[Path]:
    """The files of a folder's pickled weights: those of the index, the usual one, or the only one.

    Raises CheckpointError for several that nothing chooses between, and for an index that names
    what is not beside it. Empty if there are none.
    """
    found = sorted(path for path in directory.iterdir() if is_pickled_weights(path.name))
    if directory / _INDEX in found:
        return _indexed(directory)
    if directory / _SINGLE in found:
        return [directory / _SINGLE]
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise CheckpointError(f"{directory} holds several pickled files ({names}); valid: one")
    return found


def read_pickled(path: Path) -> dict[str, Tensor]:
    """The tensors of one file, on the CPU, from the disk as they are needed where its format can.

    Raises CheckpointError for a file that holds something else, that is damaged, or that asks for
    code to be run; none is.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} is no file; valid: pickled weights")
    try:
        with warnings.catch_warnings(action="ignore"):  # of torch's, beside the line that is ours
            content = torch.load(
                path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
            )
    except Exception as error:
        raise CheckpointError(_reason(path, error)) from error
    return _tensors(path, content)


def _indexed(directory: Path) -> list[Path]:
    weight_map = read_json(directory / _INDEX).get("weight_map")
    names = sorted(set(map(str, weight_map.values()))) if isinstance(weight_map, dict) else []
    for name in names:
        if Path(name).name != name or not (directory / name).is_file():
            raise CheckpointError(f"{directory / _INDEX} names {name!r}, which is not beside it")
    if not names:
        raise CheckpointError(f"{directory / _INDEX} has no weight_map")
    return [directory / name for name in names]


def _tensors(path: Path, content: Any) -> dict[str, Tensor]:
    """Tensors by name, alone or under one of the usual keys."""
    if isinstance(content, Mapping) and not _has_tensor(content):
        content = next((content[key] for key in _NESTED if key in content), content)
    if not isinstance(content, Mapping) or not _has_tensor(content):
        raise CheckpointError(
            f"{path} holds {type(content).__name__}, no tensors by name; valid: a state dict"
        )
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise CheckpointError(
                f"{path}: {name!r} is {type(value).__name__}, no tensor; valid: a state dict"
            )
    return {str(name): value.detach() for name, value in content.items()}


def _has_tensor(content: Any) -> bool:
    values = content.values() if isinstance(content, Mapping) else ()
    return any(isinstance(value, Tensor) for value in values)


def _reason(path: Path, error: Exception) -> str:
    """In words of our own: torch's advise to read the file the way that runs code."""
    valid = "valid: tensors alone, as torch.save writes a state dict"
    asked = _REFUSED_CALL.search(str(error))
    if asked is not None:
        return f"{path} asks for {asked[1]} to be run when it is read, so it is not read; {valid}"
    if isinstance(error, pickle.UnpicklingError) or "weights_only" in str(error):
        return f"{path} is more than pickled tensors, or damaged, so it is not read; {valid}"
    first = str(error).splitlines()[0].split(". ")[0] if str(error) else ""
    return f"cannot read pickled weights {path}: {type(error).__name__} {first}".rstrip()
