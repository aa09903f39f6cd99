"""Which tensors a checkpoint must hold, by its configuration, and whether its files say so.

Only the files' headers are read, which takes no time: what a model would stop at when it is built
is then known before anything runs. Shapes are those that the models ask for with `layers.take`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dspark_bench.models.checkpoint import naming, read_headers, refuse_unread
from dspark_bench.models.config import ModelConfig
from dspark_bench.models.draft_config import EAGLE3, DraftConfig
from dspark_bench.models.layers import check_tensor, lacking

Shapes = Mapping[str, tuple[int, ...]]
EMBEDDING: Final = "model.embed_tokens.weight"
_HEAD: Final = "lm_head.weight"


@dataclass(frozen=True, slots=True)
class Expected:
    """Shapes by name: of tensors that must be there, and of those that may be."""

    required: Shapes
    optional: Shapes = field(default_factory=dict)


def target_tensors(config: ModelConfig) -> Expected:
    """Of `TargetModel`. A tied head may be repeated in the files."""
    vocabulary = (config.vocab_size, config.hidden_size)
    shapes = {EMBEDDING: vocabulary, "model.norm.weight": (config.hidden_size,)}
    for layer in range(config.num_hidden_layers):
        shapes |= _layer(f"model.layers.{layer}.", config, config.hidden_size)
    head = {_HEAD: vocabulary}
    return Expected(shapes, head) if config.tie_word_embeddings else Expected(shapes | head)


def drafter_tensors(config: DraftConfig) -> Expected:
    """Of the drafter that reads this layout. Copies of embedding and head may be absent."""
    model, hidden = config.model, config.model.hidden_size
    is_eagle = config.layout == EAGLE3
    shapes = {
        "fc.weight": (hidden, config.num_taps * config.target_hidden_size),
        "layers.0.hidden_norm.weight" if is_eagle else "hidden_norm.weight": (hidden,),
        "norm.weight": (hidden,),
    }
    for layer in range(model.num_hidden_layers):
        shapes |= _layer(f"layers.{layer}.", model, 2 * hidden if is_eagle else hidden)
    vocabulary = (model.vocab_size, hidden)
    copies = {"embed_tokens.weight": vocabulary, _HEAD: vocabulary}
    return Expected(shapes | _heads(config), copies)


def check_headers(directory: Path, expected: Expected) -> None:
    """Raise CheckpointError, as the model itself would, for a tensor that is missing, of another
    shape or type, or not asked for.
    """
    found = read_headers(directory)
    known = {**expected.required, **expected.optional}
    with naming(directory):
        for name, shape in known.items():
            if name in found:
                check_tensor(name, found[name].shape, found[name].dtype, shape)
            elif name in expected.required:
                raise lacking(name)
    refuse_unread(found.keys() - known.keys(), directory)


def _layer(prefix: str, config: ModelConfig, input_size: int) -> dict[str, tuple[int, ...]]:
    """Of `layers.DecoderLayer`."""
    hd, hidden, inner = config.head_dim, config.hidden_size, config.intermediate_size
    heads, kv_heads = config.num_attention_heads * hd, config.num_key_value_heads * hd
    shapes: dict[str, tuple[int, ...]] = {
        "self_attn.q_proj": (heads, input_size),
        "self_attn.k_proj": (kv_heads, input_size),
        "self_attn.v_proj": (kv_heads, input_size),
        "self_attn.o_proj": (hidden, heads),
        "mlp.gate_proj": (inner, hidden),
        "mlp.up_proj": (inner, hidden),
        "mlp.down_proj": (hidden, inner),
        "input_layernorm": (hidden,),
        "post_attention_layernorm": (hidden,),
    }
    if config.has_query_key_norm:
        shapes |= {"self_attn.q_norm": (hd,), "self_attn.k_norm": (hd,)}
    biased = [*("qkv" * config.has_qkv_bias), *("o" * config.has_out_bias)]
    projections = [f"self_attn.{letter}_proj" for letter in biased]
    weights = {f"{prefix}{name}.weight": shape for name, shape in shapes.items()}
    return weights | {f"{prefix}{name}.bias": shapes[name][:1] for name in projections}


def _heads(config: DraftConfig) -> dict[str, tuple[int, ...]]:
    """Of `drafters.sequential_heads` and of the confidence head."""
    rank, hidden = config.markov_rank, config.model.hidden_size
    shapes: dict[str, tuple[int, ...]] = {}
    if rank:
        table = (config.model.vocab_size, rank)
        shapes |= {f"markov_head.markov_w{which}.weight": table for which in (1, 2)}
    if rank and config.head_type == "gated":
        shapes["markov_head.gate_proj.weight"] = (rank, hidden + rank)
        shapes["markov_head.gate_proj.bias"] = (rank,)
    if rank and config.head_type == "rnn":
        shapes["markov_head.joint_proj.weight"] = (3 * rank, 2 * rank + hidden)
        shapes["markov_head.joint_proj.bias"] = (3 * rank,)
    if config.has_confidence:
        width = hidden + (rank if config.reads_markov_table else 0)
        shapes["confidence_head.proj.weight"] = (1, width)
        shapes["confidence_head.proj.bias"] = (1,)
    return shapes
