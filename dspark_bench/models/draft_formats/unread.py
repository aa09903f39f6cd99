"""Drafters that are known by sight, and that nothing here reads yet.

By `config.json`, the names of tensors and the names of files, none of which is proof: what is named
here is said to look like it.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from dspark_bench.models.draft_formats.format import architecture_of

Config = Mapping[str, Any]
Names = Collection[str]


@dataclass(frozen=True, slots=True)
class UnreadFormat:
    """looks_so: by configuration, names of tensors and of files."""

    name: str
    looks_so: Callable[[Config, Names, Names], bool]


def name_unread(data: Config, tensors: Names = (), files: Names = ()) -> str | None:
    """What a folder looks like, of those that are not read; None if like nothing known."""
    return next((one.name for one in UNREAD if one.looks_so(data, tensors, files)), None)


def _holds(names: Names, pattern: str) -> bool:
    return any(re.match(pattern, name) for name in names)


def _is_medusa(data: Config, tensors: Names, files: Names) -> bool:
    has_heads = _holds(tensors, r"(medusa_head\.)?\d+\.\d+\.linear\.weight$")
    return has_heads or _holds(files, "medusa_lm_head")


def _is_hydra(data: Config, tensors: Names, files: Names) -> bool:
    has_heads = _holds(tensors, r"hydra_(mlp|lm_head)\.")
    return has_heads or _holds(files, "hydra_lm_head")


def _is_mtp(data: Config, tensors: Names, files: Names) -> bool:
    return _holds(tensors, r"(model\.)?(mtp\.|mtp_layers\.)|model\.layers\.\d+\.eh_proj")


def _is_deepseek_v4(data: Config, tensors: Names, files: Names) -> bool:
    return "dspark_block_size" in data or _holds(tensors, r"mtp\.\d+\.markov_head\.")


def _is_eagle1(data: Config, tensors: Names, files: Names) -> bool:
    has_parts = {"fc.weight", "embed_tokens.weight", "layers.0.mlp.up_proj.weight"} <= set(tensors)
    return has_parts and not {"norm.weight", "layers.0.input_layernorm.weight"} & set(tensors)


def _is_specforge_dspark(data: Config, tensors: Names, files: Names) -> bool:
    return architecture_of(data) == "DSparkDraftModel" and "speculators_model_type" not in data


def _named(*architectures: str) -> Callable[[Config, Names, Names], bool]:
    return lambda data, tensors, files: architecture_of(data) in architectures


def _speculators(kind: str) -> Callable[[Config, Names, Names], bool]:
    return lambda data, tensors, files: data.get("speculators_model_type") == kind


UNREAD: Final = (
    UnreadFormat("DeepSeek-V4's DSpark, inside its target", _is_deepseek_v4),
    UnreadFormat("Medusa without medusa_num_heads in its config.json", _is_medusa),
    UnreadFormat("Hydra without hydra_num_heads in its config.json", _is_hydra),
    UnreadFormat("MTP of a maker that is not known here", _is_mtp),
    UnreadFormat("DFlash2", _named("DFlash2DraftModel")),
    UnreadFormat("DFlash2 of speculators", _speculators("dflash2")),
    UnreadFormat("P-EAGLE of speculators", _speculators("peagle")),
    UnreadFormat("DSpark of SpecForge", _is_specforge_dspark),
    UnreadFormat("DSpark for Gemma 4", _named("Gemma4DSparkModel", "Gemma4Eagle3Model")),
    UnreadFormat("DSpark for Qwen 3.5", _named("Qwen35DSparkModel")),
    UnreadFormat("EAGLE-1 or EAGLE-2 of another family than Llama", _is_eagle1),
)
"""The first that fits is named."""
