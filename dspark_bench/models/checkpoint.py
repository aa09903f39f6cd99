"""Hugging Face model directories: config.json, safetensors (sharded or not), tokenizer.json."""

import hashlib
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor

from dspark_bench.core.errors import CheckpointError
from dspark_bench.models.config import further_ends
from dspark_bench.models.config_values import read_json

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
HEADS = ("medusa_lm_head.safetensors", "hydra_lm_head.safetensors")
"""What drafters of heads alone call their weights."""
_UNREADABLE = (SafetensorError, OSError, ValueError, RuntimeError, KeyError, TypeError)
_PICKLED = (".bin", ".pt", ".pth", ".pkl", ".ckpt")
_COMPUTED = ("rotary_emb.inv_freq",)
_LEAST_BITS = 16
_USUAL = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}
_MEANINGS = {
    **dict.fromkeys(("d2t", "t2d"), "a reduced vocabulary, which this format has no key for"),
    "markov_head.gate_proj": "the head that markov_head_type 'gated' names",
    "markov_head.joint_proj": "the head that markov_head_type 'rnn' names",
    "markov_head.": "a sequential head, which markov_rank above 0 names",
    "confidence_head.": "a confidence head, which enable_confidence_head names",
}
"""What is known of tensors that a configuration does not ask for, by the start of their names."""


class StoredTensors(dict[str, Tensor]):
    """Tensors by name; `unread` are those that nobody has asked for yet."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__(tensors)
        self.unread = set(tensors)

    def __getitem__(self, name: str) -> Tensor:
        self.unread.discard(name)
        return super().__getitem__(name)


def read_tensors(
    directory: Path, dtype: torch.dtype, device: torch.device, prefix: str = ""
) -> StoredTensors:
    """Tensors of a checkpoint on `device`, floating ones cast to `dtype`: those whose names begin
    with `prefix`.

    Raises CheckpointError for a missing, truncated or foreign file, and for weights that are NaN
    or infinite in `dtype`.
    """
    tensors: dict[str, Tensor] = {}
    for path in weight_files(directory):
        try:
            with safe_open(path, framework="pt", device="cpu") as file:
                for name in file.keys():  # noqa: SIM118
                    if not name.startswith(prefix):
                        continue
                    _check_new(name, tensors, path)
                    tensors[name] = _placed(file.get_tensor(name), name, path, dtype, device)
        except _UNREADABLE as error:
            raise unreadable(path, error) from error
    return StoredTensors(tensors)


def _check_new(name: str, tensors: Container[str], path: Path) -> None:
    if name in tensors:
        raise CheckpointError(f"{path}: tensor {name!r} is in another file of its folder too")


def _placed(
    tensor: Tensor, name: str, path: Path, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """Whole numbers keep their type: who takes them for weights is told so."""
    if not tensor.is_floating_point():
        return tensor.to(device)
    _check_size(tensor.dtype, name, path)
    placed = tensor.to(device=device, dtype=dtype)
    if not torch.isfinite(placed).all():
        raise CheckpointError(
            f"{path}: tensor {name!r} holds NaN or infinite values; valid: finite numbers"
        )
    return placed


def _check_size(dtype: torch.dtype, name: str, path: Path) -> None:
    if dtype.is_floating_point and torch.finfo(dtype).bits < _LEAST_BITS:
        kind = str(dtype).removeprefix("torch.")
        raise CheckpointError(
            f"{path}: tensor {name!r} has dtype {kind}: quantised weights are not read; "
            "valid: bfloat16, float16 or float32"
        )


@dataclass(frozen=True, slots=True)
class Header:
    """What a weight file says of a tensor before its numbers."""

    shape: tuple[int, ...]
    dtype: torch.dtype


def read_headers(directory: Path) -> dict[str, Header]:
    """Tensors of a checkpoint by name, from the headers of its files alone.

    Raises CheckpointError for a file that is missing, truncated or foreign, and for a tensor that
    is in two of them.
    """
    found: dict[str, Header] = {}
    for path in weight_files(directory):
        try:
            with safe_open(path, framework="pt", device="cpu") as file:
                for name in file.keys():  # noqa: SIM118
                    _check_new(name, found, path)
                    found[name] = _header(file, name, path)
        except _UNREADABLE as error:
            raise unreadable(path, error) from error
    return found


def _header(file: Any, name: str, path: Path) -> Header:
    """Of a rare type torch's name is that of an empty slice; a single number is read for it."""
    stored = file.get_slice(name)
    shape = tuple(stored.get_shape())
    dtype = _USUAL.get(stored.get_dtype())
    if dtype is None:
        dtype = stored[:0].dtype if shape else file.get_tensor(name).dtype
    _check_size(dtype, name, path)
    return Header(shape, dtype)


def unreadable(path: Path, error: Exception) -> CheckpointError:
    """The error for a weight file that is damaged or something else."""
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return CheckpointError(f"cannot read weights {path}: {reason}")


def check_all_read(tensors: StoredTensors, directory: Path) -> None:
    """Raise CheckpointError if there are tensors that the model did not ask for: more layers than
    the configuration says, biases, adapters, another head. What it computes is then not what they
    were made for.
    """
    refuse_unread(tensors.unread, directory)


def refuse_unread(names: Iterable[str], directory: Path) -> None:
    """The same of names alone."""
    left = sorted(name for name in names if not name.endswith(_COMPUTED))
    if not left:
        return
    more = f" and {len(left) - 1} more" if len(left) > 1 else ""
    meaning = next((text for start, text in _MEANINGS.items() if left[0].startswith(start)), "")
    raise CheckpointError(
        f"{directory} holds the tensor {left[0]!r}{more}, not asked for by its config.json"
        f"{f': {meaning}' if meaning else ''}"
    )


@contextmanager
def naming(directory: Path) -> Iterator[None]:
    """Put the checkpoint's folder into errors about its tensors."""
    try:
        yield
    except CheckpointError as error:
        if str(directory) in str(error):
            raise
        raise CheckpointError(f"{directory}: {error}") from error


def has_safetensors(directory: Path) -> bool:
    """Whether there is what `weight_files` reads."""
    return any((directory / name).is_file() for name in (WEIGHTS, INDEX, *HEADS))


def check_folder(directory: Path) -> None:
    """Raise CheckpointError unless there is such a folder."""
    if not directory.is_dir():
        raise CheckpointError(
            f"no checkpoint directory at {directory}; valid: a folder, or ORG/NAME as on the "
            "model hub"
        )


def weight_files(directory: Path) -> list[Path]:
    """The safetensors files of a checkpoint. Raises CheckpointError if there is none."""
    check_folder(directory)
    single = directory / WEIGHTS
    if single.is_file():
        return [single]
    if not (directory / INDEX).is_file():
        heads = [directory / name for name in HEADS if (directory / name).is_file()]
        if heads:
            return heads
        raise CheckpointError(
            f"{directory} holds neither {WEIGHTS} nor {INDEX}{_pickles(directory)}"
        )
    weight_map = read_json(directory / INDEX).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{directory / INDEX} has no weight_map")
    names = set(map(str, weight_map.values()))
    for name in sorted(names):
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise CheckpointError(
                f"{directory / INDEX}: weight_map names {name!r}; valid: NAME.safetensors beside it"
            )
    return [directory / name for name in sorted(names)]


def _pickles(directory: Path) -> str:
    found = sorted(p.name for p in directory.iterdir() if p.suffix in _PICKLED)
    if not found:
        return ""
    return (
        f"; {', '.join(found)} may run code when it is read, so no run reads it; `dspark-bench "
        f"convert {directory} --to safetensors --out NEW` takes its tensors without running any"
    )


def write_checkpoint(directory: Path, tensors: Mapping[str, Tensor], dtype: torch.dtype) -> None:
    """Write `tensors` as one safetensors file, floating ones in `dtype`; creates the directory."""
    directory.mkdir(parents=True, exist_ok=True)
    stored = {
        name: t.detach().to("cpu", dtype if t.is_floating_point() else t.dtype).contiguous()
        for name, t in tensors.items()
    }
    save_file(stored, directory / WEIGHTS, metadata={"format": "pt"})
    (directory / WEIGHTS).chmod(0o644)


def content_hash(directory: Path) -> str:
    """16 hex digits over what determines a checkpoint's answers: config, weights, and the
    end-of-sequence tokens that its generation settings add.
    """
    digest = hashlib.sha256()
    for path in [directory / "config.json", *weight_files(directory)]:
        try:
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
        except OSError as error:
            raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
    ends = further_ends(directory)
    if ends:
        digest.update(repr(ends).encode())
    return digest.hexdigest()[:16]


def read_tokenizer(directory: Path) -> Tokenizer:
    """The fast tokenizer of a model directory. Raises CheckpointError if absent or broken."""
    path = directory / "tokenizer.json"
    if not path.is_file():
        raise CheckpointError(f"{directory} holds no tokenizer.json")
    try:
        stamp = path.stat()
        return _load_tokenizer(path.resolve(), stamp.st_mtime_ns, stamp.st_size)
    except Exception as error:
        raise CheckpointError(f"cannot read {path}: {error}") from error


@lru_cache(maxsize=4)
def _load_tokenizer(path: Path, mtime_ns: int, num_bytes: int) -> Tokenizer:
    """A tokenizer, read again only when its file has changed. Nobody changes the object."""
    return Tokenizer.from_file(str(path))
