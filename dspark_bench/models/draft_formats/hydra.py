"""Hydra, as its authors release it: heads that read the tokens drafted before them.

Of its kinds of heads the MLP is read, grounded and on the state behind the final norm. The others
(prefix-mlp, which Hydra++ is, cross-attn, eagle-attn) keep a layer of attention whose shape their
files do not say. Heads that are trained here have no matrix over the vocabulary: they are under the
target's head, as Medusa's older ones are.
"""

from collections.abc import Mapping
from typing import Any, Final

from dspark_bench.models.config_keys import check_bound, check_keys
from dspark_bench.models.config_values import ValueReader
from dspark_bench.models.draft_config import HYDRA
from dspark_bench.models.draft_formats.head_keys import (
    SIZES,
    Headers,
    count_blocks,
    head_keys,
    miscounted,
    shape_of,
)
from dspark_bench.models.head_config import HeadConfig, HeadNames

NAME: Final = "Hydra"
UNDER_TARGET: Final = "Hydra, under the target's head"
_KEYS: Final = head_keys(
    *("hydra_num_heads", "hydra_num_layers", "hydra_head_arch"),
    *("grounded_heads", "hidden_state_offset", "dropout_rate"),
)
_NAMES: Final = HeadNames(
    "hydra_mlp.{head}.{block}.linear",
    "hydra_lm_head.{head}",
    "hydra_mlp.{head}.{block}.res_connection",
)


def is_hydra(data: Mapping[str, Any]) -> bool:
    """By the authors' key."""
    return "hydra_num_heads" in data


def parse(data: dict[str, Any], headers: Headers, source: str) -> HeadConfig:
    """Read and check a `config.json` beside the tensors' names. Raises CheckpointError."""
    check_keys(data, source, _KEYS)
    check_bound("hydra_head_arch", data.get("hydra_head_arch", "mlp"), ("mlp",), source)
    check_bound("grounded_heads", data.get("grounded_heads", False), (True,), source)
    check_bound("hidden_state_offset", data.get("hidden_state_offset", 0), (0,), source)
    heads, blocks = count_blocks(headers, _NAMES, source)
    hidden, _ = shape_of(headers, f"{_NAMES.of_block(0, 0)}.weight", source)
    read = ValueReader(data, source)
    check_bound("hydra_num_layers", read.count("hydra_num_layers", default=1), (blocks,), source)
    name = f"{_NAMES.of_lm_head(0)}.weight"
    vocab = shape_of(headers, name, source)[0] if name in headers else None
    for key, size in zip(SIZES, (hidden, vocab), strict=True):
        if data.get(key) is not None and size is not None:
            check_bound(key, data[key], (size,), source)
    return HeadConfig(
        format_name=UNDER_TARGET if vocab is None else NAME,
        layout=HYDRA,
        num_heads=heads,
        num_blocks=blocks,
        hidden_size=hidden,
        vocab_size=vocab,
        draft_vocab_size=None,
        names=_NAMES,
        is_grounded=True,
        has_block_bias=True,
        has_head_bias=vocab is not None,
        said=miscounted(read.count("hydra_num_heads", default=heads), heads),
    )
