"""A folder with pickled weights, written again with safetensors: same tensors, same settings.

What `convert` does before anything else where a checkpoint has no safetensors.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from shutil import copyfile, rmtree
from tempfile import mkdtemp
from typing import Final

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from dspark_bench.core.errors import CheckpointError, UsageError
from dspark_bench.models.checkpoint import INDEX, WEIGHTS, check_folder, has_safetensors
from dspark_bench.models.model_files import is_settings
from dspark_bench.models.pickled import pickled_files, read_pickled

_RESERVED: Final = "__metadata__"
"""A key of safetensors' header that is no tensor."""


def has_only_pickles(directory: Path) -> bool:
    """Whether a folder's weights are pickled ones, and no others."""
    is_open = directory.is_dir() and not has_safetensors(directory)
    return is_open and bool(pickled_files(directory))


def write_as_safetensors(directory: Path, out: Path) -> int:
    """Write what is pickled in `directory` into the new folder `out`; returns how many tensors.

    One file stays one, several stay several beside an index, so that no more than one is in memory.
    Raises CheckpointError for weights that cannot be read so, UsageError for a folder that cannot
    be written.
    """
    check_folder(directory)
    if has_safetensors(directory):
        raise CheckpointError(f"{directory} holds safetensors already: every command reads it")
    files = pickled_files(directory)
    if not files:
        raise CheckpointError(f"{directory} holds no pickled weights; valid: *.bin, *.pt or *.pth")
    with new_folder(out) as aside:
        for path in directory.iterdir():
            if is_settings(path.name) and path.is_file():
                copyfile(path, aside / path.name)
        return _write_weights(files, aside)


def refuse_existing(out: Path) -> None:
    """Raises UsageError for a path that is there, or that no file system takes."""
    try:
        is_there = out.exists()
    except OSError as error:
        raise UsageError(f"--out is {out}: {error.strerror or error}") from error
    if is_there:
        raise UsageError(f"--out is {out}, which exists; valid: a new folder")


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `out` if nothing is raised. UsageError: it cannot be."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    except OSError as error:
        raise UsageError(f"--out is {out}: {error.strerror or error}") from error
    try:
        yield aside
        aside.chmod(0o755)
        aside.rename(out)
    except OSError as error:
        raise UsageError(f"--out is {out}: {error.strerror or error}") from error
    finally:
        if aside.exists():
            rmtree(aside)


def _write_weights(files: list[Path], out: Path) -> int:
    weight_map: dict[str, str] = {}
    for place, path in enumerate(files, start=1):
        tensors = read_pickled(path)
        twice = weight_map.keys() & tensors.keys()
        if twice:
            raise CheckpointError(f"{path}: tensor {min(twice)!r} is in another file too")
        alone = len(files) == 1
        name = WEIGHTS if alone else f"model-{place:05d}-of-{len(files):05d}.safetensors"
        _save(tensors, path, out / name)
        weight_map |= dict.fromkeys(tensors, name)
    if len(files) > 1:
        text = json.dumps({"metadata": {}, "weight_map": weight_map}, indent=2)
        (out / INDEX).write_text(text + "\n", encoding="utf-8")
    return len(weight_map)


def _save(tensors: Mapping[str, Tensor], source: Path, path: Path) -> None:
    if _RESERVED in tensors:
        raise CheckpointError(f"{source}: safetensors cannot hold a tensor called {_RESERVED!r}")
    try:
        save_file(_apart(tensors), path, metadata={"format": "pt"})
    except (SafetensorError, ValueError, RuntimeError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{source}: safetensors cannot hold it: {reason}") from error
    path.chmod(0o644)


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Each with memory of its own: tied tensors become two that are equal, and a view that is read
    as negative or conjugate becomes the numbers that it is read as.
    """
    seen: set[int] = set()
    found: dict[str, Tensor] = {}
    for name, view in tensors.items():
        tensor = view.resolve_conj().resolve_neg() if view.layout == torch.strided else view
        is_shared = tensor.layout == torch.strided and tensor.untyped_storage().data_ptr() in seen
        found[name] = tensor.clone() if is_shared else tensor
        if tensor.layout == torch.strided:
            found[name] = found[name].contiguous()
            seen.add(tensor.untyped_storage().data_ptr())
    return found
