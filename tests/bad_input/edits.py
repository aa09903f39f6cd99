"""Ways to break a file of the box. Each returns what a case calls with its working folder."""

import json
import os
import shutil
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.bad_input.case import Prepare

DEEP = "[" * 100_000
"""JSON nested deeper than any parser goes."""


def write(name: str, content: str | bytes) -> Prepare:
    """Put a file there, with its folders."""

    def prepare(box: Path) -> None:
        path = box / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return prepare


def both(*steps: Prepare) -> Prepare:
    """One after the other."""

    def prepare(box: Path) -> None:
        for step in steps:
            step(box)

    return prepare


def remove(name: str) -> Prepare:
    """Delete a file or a folder."""

    def prepare(box: Path) -> None:
        path = box / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return prepare


def folder(name: str) -> Prepare:
    """A folder in the place of a file."""

    def prepare(box: Path) -> None:
        if (box / name).is_file():
            (box / name).unlink()
        (box / name).mkdir(parents=True)

    return prepare


def edit_json(name: str, change: Callable[[Any], Any]) -> Prepare:
    """Change a JSON file; what `change` returns, if anything, replaces the content."""

    def prepare(box: Path) -> None:
        content = json.loads((box / name).read_text())
        changed = change(content)
        (box / name).write_text(json.dumps(content if changed is None else changed))

    return prepare


def keys(name: str, /, **changes: Any) -> Prepare:
    """Set keys of a JSON object."""
    return edit_json(name, lambda content: content.update(changes))


def without(name: str, key: str) -> Prepare:
    """Drop a key of a JSON object."""
    return edit_json(name, lambda content: content.pop(key) and None)


def edit_bytes(name: str, change: Callable[[bytes], bytes]) -> Prepare:
    """Change a file's bytes."""

    def prepare(box: Path) -> None:
        (box / name).write_bytes(change((box / name).read_bytes()))

    return prepare


def cut(name: str, share: float) -> Prepare:
    """Keep this share of a file."""
    return edit_bytes(name, lambda content: content[: int(len(content) * share)])


def tensors(name: str, change: Callable[[dict[str, Tensor]], None]) -> Prepare:
    """Change the tensors of a safetensors file."""

    def prepare(box: Path) -> None:
        found = load_file(box / name / "model.safetensors")
        change(found)
        save_file(
            {key: tensor.contiguous() for key, tensor in found.items()},
            box / name / "model.safetensors",
        )

    return prepare


def poison(name: str, tensor: str, value: float) -> Prepare:
    """Put one value into a tensor."""

    def change(found: dict[str, Tensor]) -> None:
        found[tensor].view(-1)[3] = value

    return tensors(name, change)


def header(change: Callable[[dict[str, Any]], Any]) -> Callable[[bytes], bytes]:
    """Change the JSON header of a safetensors file; a str stands as it is."""

    def apply(content: bytes) -> bytes:
        (size,) = struct.unpack("<Q", content[:8])
        found = json.loads(content[8 : 8 + size])
        changed = change(found)
        text = changed if isinstance(changed, str) else json.dumps(found)
        return struct.pack("<Q", len(text.encode())) + text.encode() + content[8 + size :]

    return apply


def length(size: int) -> Callable[[bytes], bytes]:
    """Claim another length for the header of a safetensors file."""
    return lambda content: struct.pack("<Q", size) + content[8:]


def pickled(name: str, payload: object) -> Prepare:
    """A file that runs the payload when it is unpickled."""

    def prepare(box: Path) -> None:
        torch.save(payload, box / name)

    return prepare


def with_point(name: str, change: Callable[[Path], None]) -> Prepare:
    """Change the folder of the only point of a sweep."""

    def prepare(box: Path) -> None:
        (point,) = sorted(path for path in (box / name / "points").iterdir() if path.is_dir())
        change(point)

    return prepare


def drop(name: str) -> Callable[[Path], None]:
    """Delete a file of a point."""
    return lambda point: (point / name).unlink()


def in_point(name: str, file: str, content: Callable[[bytes], bytes]) -> Prepare:
    """Change the bytes of a file of the only point of a sweep."""

    def change(point: Path) -> None:
        (point / file).write_bytes(content((point / file).read_bytes()))

    return with_point(name, change)


def in_table(name: str, file: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Prepare:
    """Change a parquet table of the only point of a sweep."""

    def apply(point: Path) -> None:
        change(pd.read_parquet(point / file)).to_parquet(point / file, index=False)

    return with_point(name, apply)


def pipe(name: str) -> Prepare:
    """A pipe that nobody writes to in the place of a file."""

    def prepare(box: Path) -> None:
        (box / name).unlink(missing_ok=True)
        os.mkfifo(box / name)

    return prepare


def link(name: str) -> Prepare:
    """A link to itself in the place of a file."""

    def prepare(box: Path) -> None:
        (box / name).unlink(missing_ok=True)
        (box / name).symlink_to(Path(name).name)

    return prepare


def point_json(name: str, change: Callable[[Any], Any], file: str = "metrics.json") -> Prepare:
    """Change a JSON file of the only point of a sweep."""

    def apply(point: Path) -> None:
        content = json.loads((point / file).read_text())
        changed = change(content)
        (point / file).write_text(json.dumps(content if changed is None else changed))

    return with_point(name, apply)


def set_at(content: Mapping[str, Any], *path: str, value: object) -> None:
    """Set a nested key."""
    *above, last = path
    place: Any = content
    for key in above:
        place = place[key]
    place[last] = value
