"""Grows a trained target in depth without changing what it computes.

A layer that is put in starts as a copy of the one before it with its two projections into the
residual stream at zero, so that the deeper model starts exactly where the shallow one stopped
(progressive stacking, Gong et al. 2019, made function-preserving). The early tokens of a deep
target's training are thus paid at the shallow one's price.
"""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import Qwen3ForCausalLM

from dspark_bench.training.target_recipe import TargetRecipe, build_target


def source_layers(shallow: int, deep: int) -> tuple[tuple[int, bool], ...]:
    """For each of `deep` layers: the shallow layer that it copies, and whether it is put in.

    Copies are spread evenly. Raises ValueError where `deep` is less than `shallow`.
    """
    if deep < shallow:
        raise ValueError(f"a target of {shallow} layers cannot grow to {deep}")
    sources = [index * shallow // deep for index in range(deep)]
    return tuple(
        (source, index > 0 and sources[index - 1] == source) for index, source in enumerate(sources)
    )


@torch.no_grad()
def grow_target(directory: Path, recipe: TargetRecipe) -> Qwen3ForCausalLM:
    """The target in `directory`, grown to the recipe's depth, in fp32.

    Raises ValueError where anything but the depth differs.
    """
    shallow = Qwen3ForCausalLM.from_pretrained(directory, dtype=torch.float32)
    grown = build_target(recipe)
    widths = ("vocab_size", "hidden_size", "intermediate_size", "num_attention_heads", "head_dim")
    for name in (*widths, "num_key_value_heads"):
        ours, theirs = getattr(grown.config, name), getattr(shallow.config, name)
        if ours != theirs:
            raise ValueError(f"{directory}: {name} is {theirs}, the recipe wants {ours}")
    grown.model.embed_tokens.load_state_dict(shallow.model.embed_tokens.state_dict())
    grown.model.norm.load_state_dict(shallow.model.norm.state_dict())
    plan = source_layers(len(shallow.model.layers), len(grown.model.layers))
    for layer, (source, is_put_in) in zip(grown.model.layers, plan, strict=True):
        layer.load_state_dict(shallow.model.layers[source].state_dict())
        if is_put_in:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
    return grown
