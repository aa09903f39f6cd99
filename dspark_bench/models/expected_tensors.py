"""Which tensors a checkpoint must hold, by its configuration, and whether its files say so.

Only the files' headers are read, which takes no time: what a model would stop at when it is built
is then known before anything runs. Shapes are those that the models ask for by
`named_tensors.take`.
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import torch

from dspark_bench.models.checkpoint import Header, naming, read_headers, refuse_unread
from dspark_bench.models.config import ModelConfig
from dspark_bench.models.draft_config import EAGLE, EAGLE3, DraftConfig, eagle_prefix
from dspark_bench.models.draft_vocabulary import DRAFTABLE, OFFSETS
from dspark_bench.models.named_tensors import check_tensor, lacking

Shapes = Mapping[str, tuple[int, ...]]
EMBEDDING: Final = "model.embed_tokens.weight"
HEAD: Final = "lm_head.weight"


@dataclass(frozen=True, slots=True)
class Expected:
    """Shapes by name: of tensors that must be there, and of those that may be.

    tables: those among them that hold whole numbers, or true and false.
    """

    required: Shapes
    optional: Shapes = field(default_factory=dict)
    tables: frozenset[str] = frozenset()


def target_tensors(config: ModelConfig) -> Expected:
    """Of `TargetModel`. A tied head may be repeated in the files."""
    vocabulary = (config.vocab_size, config.hidden_size)
    shapes = {EMBEDDING: vocabulary, "model.norm.weight": (config.hidden_size,)}
    for layer in range(config.num_hidden_layers):
        shapes |= layer_shapes(f"model.layers.{layer}.", config, config.hidden_size)
    head = {HEAD: vocabulary}
    return Expected(shapes, head) if config.tie_word_embeddings else Expected(shapes | head)


def drafter_tensors(config: DraftConfig, names: Container[str] = ()) -> Expected:
    """Of the drafter that reads this layout. Copies of embedding and head may be absent.

    names: of what the files hold, where a format knows a layer under several.
    """
    model, hidden = config.model, config.model.hidden_size
    own, copies = _vocabulary(config)
    if config.layout == EAGLE:
        return Expected(_eagle(config) | own, copies)
    is_eagle = config.layout == EAGLE3
    eagle = eagle_prefix(config, names)
    shapes = {
        "fc.weight": (hidden, config.num_taps * config.target_hidden_size),
        f"{eagle}hidden_norm.weight" if is_eagle else "hidden_norm.weight": (hidden,),
        "norm.weight": (hidden,),
    }
    for layer in range(model.num_hidden_layers):
        prefix = eagle if is_eagle else f"layers.{layer}."
        shapes |= layer_shapes(prefix, model, 2 * hidden if is_eagle else hidden)
    if config.norms_features:
        shapes["input_norm.weight"] = (config.num_taps * config.target_hidden_size,)
    return Expected(shapes | _heads(config) | own, copies, frozenset({OFFSETS, DRAFTABLE}))


def check_drafter_headers(directory: Path, config: DraftConfig) -> None:
    """`check_headers` for a drafter."""
    found = read_headers(directory)
    check_headers(directory, drafter_tensors(config, found), found)


def check_headers(
    directory: Path, expected: Expected, found: Mapping[str, Header] | None = None
) -> None:
    """Raise CheckpointError, as the model itself would, for a tensor that is missing, of another
    shape or type, or not asked for. found: the headers, if they have been read.
    """
    found = read_headers(directory) if found is None else found
    known = {**expected.required, **expected.optional}
    with naming(directory):
        for name, shape in known.items():
            if name in found:
                dtype = torch.float32 if name in expected.tables else found[name].dtype
                check_tensor(name, found[name].shape, dtype, shape)
            elif name in expected.required:
                raise lacking(name)
    refuse_unread(found.keys() - known.keys(), directory)


def layer_shapes(prefix: str, config: ModelConfig, input_size: int) -> dict[str, tuple[int, ...]]:
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


def _eagle(config: DraftConfig) -> dict[str, tuple[int, ...]]:
    """Of `drafters.eagle`: a layer without a norm before it, and none behind it."""
    hidden = config.model.hidden_size
    shapes = layer_shapes("layers.0.", config.model, hidden)
    del shapes["layers.0.input_layernorm.weight"]
    shapes["fc.weight"] = (hidden, 2 * hidden)
    return shapes | ({"fc.bias": (hidden,)} if config.has_fuse_bias else {})


def _vocabulary(config: DraftConfig) -> tuple[dict[str, tuple[int, ...]], Shapes]:
    """Of `vocabulary.read_vocabulary`: what must be there, and what may be."""
    size, width = config.model.vocab_size, config.model.hidden_size
    is_other_width = width != config.target_hidden_size
    is_needed = {
        "embed_tokens.weight": is_other_width,
        HEAD: config.has_own_head or is_other_width,
    }
    shapes: dict[str, tuple[int, ...]] = {"embed_tokens.weight": (size, width)}
    if is_needed[HEAD] or not config.is_reduced:
        shapes[HEAD] = (config.draft_vocab_size, width)
    if config.has_own_head or config.is_reduced:
        is_needed |= {OFFSETS: config.is_reduced, DRAFTABLE: False}
        shapes |= {OFFSETS: (config.draft_vocab_size,), DRAFTABLE: (size,)}
    must = {name: shape for name, shape in shapes.items() if is_needed[name]}
    return must, {name: shape for name, shape in shapes.items() if not is_needed[name]}


def _heads(config: DraftConfig) -> dict[str, tuple[int, ...]]:
    """Of `drafters.sequential_heads` and of the confidence head."""
    rank, hidden = config.markov_rank, config.model.hidden_size
    shapes: dict[str, tuple[int, ...]] = {}
    if rank:
        shapes["markov_head.markov_w1.weight"] = (config.model.vocab_size, rank)
        shapes["markov_head.markov_w2.weight"] = (config.draft_vocab_size, rank)
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
