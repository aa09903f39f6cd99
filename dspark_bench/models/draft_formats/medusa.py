"""Medusa, as its authors release it (heads in `medusa_lm_head.*`), and as vLLM's own files have it.

The authors' configurations name two heads where the files hold five: heads are counted in the
files. Heads without a matrix over the vocabulary are the older kind, under the target's own head.
"""

from collections.abc import Mapping
from typing import Any, Final

from dspark_bench.core.errors import CheckpointError
from dspark_bench.models.config_keys import check_bound, check_keys
from dspark_bench.models.config_values import ValueReader
from dspark_bench.models.draft_config import MEDUSA
from dspark_bench.models.draft_formats.head_keys import (
    SIZES,
    Headers,
    count_blocks,
    head_keys,
    miscounted,
    shape_of,
)
from dspark_bench.models.head_config import TOKEN_MAP, HeadConfig, HeadNames

NAME: Final = "Medusa"
OLDER: Final = "Medusa, under the target's head"
VLLM: Final = "Medusa of vLLM"
_WHOLE: Final = "medusa_head."
"""Before the names in files that hold a whole model."""
_VLLM_PREFIX: Final = "medusa_heads."
_KEYS: Final = head_keys("medusa_num_heads", "medusa_num_layers")
_VLLM_KEYS: Final = head_keys(
    *("num_heads", "num_hidden_layers", "truncated_vocab_size", "original_lm_head"),
    *("medusa_fc_bias", "max_paths", "topk", "max_seq_len"),
    logit_scale=(1.0,),
)


def is_medusa(data: Mapping[str, Any]) -> bool:
    """By the authors' key, or by vLLM's type."""
    return "medusa_num_heads" in data or _is_vllm(data)


def _is_vllm(data: Mapping[str, Any]) -> bool:
    return data.get("model_type") == "medusa" and "num_heads" in data


def parse(data: dict[str, Any], headers: Headers, source: str) -> HeadConfig:
    """Read and check a `config.json` beside the tensors' names. Raises CheckpointError."""
    return _vllm(data, headers, source) if _is_vllm(data) else _authors(data, headers, source)


def _authors(data: dict[str, Any], headers: Headers, source: str) -> HeadConfig:
    check_keys(data, source, _KEYS)
    prefix = _WHOLE if any(name.startswith(_WHOLE) for name in headers) else ""
    names = HeadNames(f"{prefix}{{head}}.{{block}}.linear", "")
    heads, blocks = count_blocks(headers, names, source)
    hidden, _ = shape_of(headers, f"{names.of_block(0, 0)}.weight", source)
    names = HeadNames(names.block, f"{prefix}{{head}}.{blocks}")
    read = ValueReader(data, source)
    check_bound("medusa_num_layers", read.count("medusa_num_layers", default=1), (blocks,), source)
    vocab = _rows(headers, names, source)
    _check_sizes(data, hidden, vocab, source)
    return HeadConfig(
        format_name=OLDER if vocab is None else NAME,
        layout=MEDUSA,
        num_heads=heads,
        num_blocks=blocks,
        hidden_size=hidden,
        vocab_size=vocab,
        draft_vocab_size=None,
        names=names,
        is_grounded=False,
        has_block_bias=True,
        has_head_bias=False,
        said=miscounted(read.count("medusa_num_heads", default=heads), heads),
    )


def _vllm(data: dict[str, Any], headers: Headers, source: str) -> HeadConfig:
    """vLLM has no biases unless told, and may draft a part of the vocabulary."""
    check_keys(data, source, _VLLM_KEYS)
    read = ValueReader(data, source)
    prefix = _VLLM_PREFIX if any(name.startswith(_VLLM_PREFIX) for name in headers) else ""
    names = HeadNames(f"{prefix}blocks.{{head}}.layers.{{block}}", f"{prefix}lm_heads.{{head}}")
    if read.flag("original_lm_head", default=False):
        names = HeadNames(names.block, f"{prefix}lm_heads.0")
    heads, blocks = count_blocks(headers, names, source)
    hidden, _ = shape_of(headers, f"{names.of_block(0, 0)}.weight", source)
    rows = _rows(headers, names, source)
    if rows is None:
        raise CheckpointError(f"{source}: the files lack '{names.of_lm_head(0)}.weight'")
    size = read.count("vocab_size")
    drafted = read.count("truncated_vocab_size", most=size, default=size)
    if rows not in (size, drafted):
        valid = " or ".join(map(str, dict.fromkeys((size, drafted))))
        raise CheckpointError(f"{source}: the heads have {rows} rows; valid: {valid}")
    _check_sizes(data, hidden, size, source)
    check_bound("num_hidden_layers", read.count("num_hidden_layers", default=1), (blocks,), source)
    return HeadConfig(
        format_name=VLLM,
        layout=MEDUSA,
        num_heads=heads,
        num_blocks=blocks,
        hidden_size=hidden,
        vocab_size=rows,
        draft_vocab_size=drafted if drafted < size or TOKEN_MAP in headers else None,
        names=names,
        is_grounded=False,
        has_block_bias=read.flag("medusa_fc_bias", default=False),
        has_head_bias=False,
        said=miscounted(read.count("num_heads"), heads),
    )


def _rows(headers: Headers, names: HeadNames, source: str) -> int | None:
    name = f"{names.of_lm_head(0)}.weight"
    return shape_of(headers, name, source)[0] if name in headers else None


def _check_sizes(data: Mapping[str, Any], hidden: int, vocab: int | None, source: str) -> None:
    for key, size in zip(SIZES, (hidden, vocab), strict=True):
        if data.get(key) is not None and size is not None:
            check_bound(key, data[key], (size,), source)
