"""A GGUF file as a Hugging Face model directory in bf16, which every command reads."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch

from dspark_bench.core.errors import CheckpointError
from dspark_bench.models.checkpoint import write_checkpoint
from dspark_bench.models.config import GENERATION_CONFIG
from dspark_bench.models.gguf_file import read_gguf
from dspark_bench.models.gguf_tokenizer import (
    build_tokenizer,
    chat_template,
    end_tokens,
    special_ids,
    tokenizer_config,
)

MANIFEST: Final = "manifest.json"


def convert_gguf(source: Path, out: Path, origin: Mapping[str, Any]) -> None:
    """Write config, generation settings, weights, tokenizer and chat template below `out`.

    origin: what the manifest says of where the file came from; it is written last, with the
    SHA-256 of every other file. Raises CheckpointError for what this decoder does not compute.
    """
    model = read_gguf(source)
    config = model.config()
    tokenizer = build_tokenizer(model.metadata, source)
    ends = end_tokens(model.metadata)
    ids = special_ids(model.metadata)
    tensors = {name: values.to(torch.bfloat16) for name, values in model.tensors()}
    write_checkpoint(out, tensors, torch.bfloat16)
    eos = {"eos_token_id": ends[0]} if ends else {}
    _write_json(out / "config.json", {**config, **ids, **eos, "dtype": "bfloat16"})
    _write_json(out / GENERATION_CONFIG, {**ids, **({"eos_token_id": ends} if ends else {})})
    tokenizer.save(str(out / "tokenizer.json"))
    _write_json(out / "tokenizer_config.json", tokenizer_config(model.metadata))
    template = chat_template(model.metadata)
    if template is not None:
        (out / "chat_template.jinja").write_text(template, encoding="utf-8")
    files = {path.name: file_hash(path) for path in sorted(out.iterdir())}
    _write_json(out / MANIFEST, {"kind": "target", **origin, "files": files})


def damage(folder: Path) -> str | None:
    """What is wrong with a folder that `convert_gguf` wrote, or None: every file is hashed."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files = dict(manifest["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{MANIFEST} cannot be read ({error})"
    for name, expected in sorted(files.items()):
        path = folder / Path(name).name
        if not path.is_file():
            return f"{name} is missing"
        if file_hash(path) != expected:
            return f"{name} has changed"
    return None


def file_hash(path: Path) -> str:
    """SHA-256 as hex digits. Raises CheckpointError if the file cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
