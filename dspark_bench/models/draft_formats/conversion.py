"""From one format of drafter checkpoints to another, numbers and types unchanged.

Formats differ in their configurations, in the name of an Eagle3 layer, and in which of embedding
and head must be in the files. What a format has no place for is refused by name.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from dspark_bench.core.errors import CheckpointError, UsageError
from dspark_bench.models.backend import Backend, read_shape
from dspark_bench.models.checkpoint import WEIGHTS, check_folder, weight_files
from dspark_bench.models.draft_config import (
    EAGLE3,
    DraftConfig,
    check_fits_target,
    eagle_prefix,
    target_layers,
)
from dspark_bench.models.draft_formats.format import DraftFormat
from dspark_bench.models.draft_formats.reading import FORMATS, read_any_draft_config
from dspark_bench.models.draft_vocabulary import DRAFTABLE, read_token_ids
from dspark_bench.models.expected_tensors import check_drafter_headers
from dspark_bench.models.safetensors_convert import new_folder, refuse_existing
from dspark_bench.models.vocabulary import EMBEDDING, HEAD

SLUGS: Final = {one.slug: one for one in FORMATS}
_TARGET_EMBEDDING: Final = "model.embed_tokens.weight"


@dataclass(frozen=True, slots=True)
class _Copies:
    """A target's embedding and head as they are stored."""

    embedding: Tensor
    head: Tensor


def convert(source: Path, slug: str, out: Path, target: Path | None) -> DraftConfig:
    """Write the drafter in `source` into the folder `out`, which must not exist; what it was.

    target: its target's folder, where the new format needs to know of it. Raises UsageError for a
    format or a folder that is none, CheckpointError for a drafter that cannot be read, that does
    not fit its target, or that the format cannot hold.
    """
    if slug not in SLUGS:
        raise UsageError(f"--to is {slug!r}; valid: {', '.join(sorted(SLUGS))}")
    refuse_existing(out)
    config = _read(source, target)
    new = SLUGS[slug]
    if config.layout not in new.architectures:
        kinds = ", ".join(layout.name for layout in new.architectures)
        raise CheckpointError(
            f"{source} is a {config.layout.name} drafter, and {new.name} has none; valid: {kinds}"
        )
    data = {key: value for key, value in new.write(config).items() if value is not None}
    tensors = _stored(source)
    copies = None if target is None else _copies(target)
    tensors = _with_head(_renamed(tensors, config, new), config, new, copies, source)
    data["dtype"] = str(tensors["fc.weight"].dtype).removeprefix("torch.")
    _write(out, json.dumps(data, indent=2) + "\n", tensors)
    return config


def _read(source: Path, target: Path | None) -> DraftConfig:
    check_folder(source)
    config = read_any_draft_config(source)
    if config is None:
        raise CheckpointError(
            f"{source} holds no drafter in a format that is read; dspark-bench inspect names it"
        )
    check_drafter_headers(source, config)
    if target is not None:
        shape = read_shape(target, Backend.AUTO)
        check_fits_target(config, shape, source)
        layers = target_layers(config, shape, source)
        return replace(config, target_layer_ids=layers, unclear_layer_ids=())
    if config.unclear_layer_ids:
        raise CheckpointError(
            f"{source}: whether eagle_config counts inputs or outputs of layers depends on the "
            "target; valid: --target FOLDER"
        )
    return config


def _stored(directory: Path) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for path in weight_files(directory):
        found |= load_file(path)
    return {name: one for name, one in found.items() if not name.endswith("rotary_emb.inv_freq")}


def _copies(target: Path) -> _Copies:
    stored = _stored(target)
    embedding = stored[_TARGET_EMBEDDING]
    return _Copies(embedding, stored.get(HEAD, embedding))


def _renamed(
    tensors: Mapping[str, Tensor], config: DraftConfig, new: DraftFormat
) -> dict[str, Tensor]:
    """With the new format's name of an Eagle3 layer, and with `t2d` beside `d2t`."""
    found = dict(tensors)
    if config.layout == EAGLE3:
        old = eagle_prefix(config, tensors)
        found = {
            new.eagle_prefix + name.removeprefix(old) if name.startswith(old) else name: tensor
            for name, tensor in tensors.items()
        }
    ids = read_token_ids(tensors, config)
    if ids is not None:
        draftable = torch.zeros(config.model.vocab_size, dtype=torch.bool)
        found[DRAFTABLE] = draftable.index_fill_(0, ids, True)
    return found


def _with_head(
    tensors: dict[str, Tensor],
    config: DraftConfig,
    new: DraftFormat,
    copies: _Copies | None,
    source: Path,
) -> dict[str, Tensor]:
    """With the embedding and head that the new format must have, without those it must not."""
    if config.model.tie_word_embeddings and HEAD not in tensors:
        if EMBEDDING not in tensors:
            raise CheckpointError(
                f"{source}: tie_word_embeddings is true, but there is no {EMBEDDING}; valid: a "
                "drafter with its own, or with the target's head"
            )
        tensors = {**tensors, HEAD: tensors[EMBEDDING].clone()}
    if not new.holds_copies:
        return {name: one for name, one in tensors.items() if not _is_copy(name, one, copies, new)}
    if (config.is_reduced or config.layout in new.needs_head) and HEAD not in tensors:
        if copies is None:
            raise CheckpointError(
                f"{source} holds no {HEAD}, and {new.name} needs one; valid: --target FOLDER, with "
                "whose head it drafts"
            )
        ids = read_token_ids(tensors, config)
        head = copies.head if ids is None else copies.head[ids]
        return {**tensors, HEAD: head.to(tensors["fc.weight"].dtype)}
    return tensors


def _is_copy(name: str, tensor: Tensor, copies: _Copies | None, new: DraftFormat) -> bool:
    """Whether it is the target's own and can be left out. Raises CheckpointError if it is not."""
    if name not in (EMBEDDING, HEAD):
        return False
    if copies is None:
        raise CheckpointError(
            f"{new.name} holds no {name}, and the drafter has one; valid: --target FOLDER, to see "
            "that it is a copy"
        )
    theirs = copies.embedding if name == EMBEDDING else copies.head
    if tensor.shape != theirs.shape or not torch.equal(tensor, theirs.to(tensor.dtype)):
        raise CheckpointError(f"{new.name} holds no {name}, and the drafter's is not its target's")
    return True


def _write(out: Path, config: str, tensors: Mapping[str, Tensor]) -> None:
    """A folder, whole or not at all."""
    with new_folder(out) as aside:
        (aside / "config.json").write_text(config, encoding="utf-8")
        stored = {name: one.contiguous() for name, one in tensors.items()}
        save_file(stored, aside / WEIGHTS, metadata={"format": "pt"})
        (aside / WEIGHTS).chmod(0o644)
