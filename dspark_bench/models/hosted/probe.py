"""What a model of transformers does with attention, found by running it on a few tokens."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

import torch
from torch import Tensor
from transformers import PreTrainedModel

from dspark_bench.core.errors import CheckpointError
from dspark_bench.models.attention import plan_attention
from dspark_bench.models.config import TargetShape
from dspark_bench.models.hosted.attention import (
    NAME,
    PASS,
    HostedPass,
    LayerUse,
    ProbePass,
    RaggedPass,
)
from dspark_bench.models.kv_cache import KVCache
from dspark_bench.models.spans import Span

_OWN_ATTENTION: Final = "eager"
_PROBE_TOKENS: Final = 12
_PROBE_WINDOW: Final = 5
_TOLERANCES: Final = {torch.float32: 1e-4}
_COARSE_TOLERANCE: Final = 0.1
"""Largest difference of logits, as a share of the largest: rounding to 16 bits, or less."""


def hosted_logits(
    model: PreTrainedModel,
    token_ids: Tensor,
    positions: Tensor,
    hosted: HostedPass,
    rows: Tensor | None = None,
) -> Tensor:
    """[N, V] fp32 at the chosen rows of the flattened tokens [T]."""
    output: Any = model(
        input_ids=token_ids[None],
        position_ids=positions[None],
        use_cache=False,
        logits_to_keep=0 if rows is None else rows,
        **{PASS: hosted},
    )
    logits: Tensor = output.logits[0].float()
    return logits


def layer_uses(
    model: PreTrainedModel, device: torch.device, shape: TargetShape
) -> tuple[LayerUse, ...]:
    """How every layer attends. Raises CheckpointError if one does not, or does it twice."""
    probe = ProbePass()
    tokens = torch.zeros(2, dtype=torch.int64, device=device)
    with torch.inference_mode():
        hosted_logits(model, tokens, torch.arange(2, device=device), probe)
    depth = shape.num_hidden_layers
    if sorted(probe.uses) != list(range(depth)) or probe.num_calls != depth:
        raise CheckpointError(
            f"{type(model).__name__}: {len(probe.uses)} of {depth} layers attend, in "
            f"{probe.num_calls} calls; valid for a target: each once"
        )
    uses = tuple(probe.uses[layer] for layer in range(depth))
    sizes = {(use.num_heads, use.num_kv_heads, use.head_dim) for use in uses}
    if len(sizes) > 1:
        raise CheckpointError(
            f"{type(model).__name__}: layers differ in heads or head size: "
            f"{', '.join(map(str, sorted(sizes)))}; valid for a target: all alike"
        )
    return uses


def with_uses(shape: TargetShape, uses: tuple[LayerUse, ...]) -> TargetShape:
    """The shape with the heads and windows that its layers really have."""
    windows = tuple(use.window for use in uses)
    return replace(
        shape,
        num_attention_heads=uses[0].num_heads,
        num_key_value_heads=uses[0].num_kv_heads,
        head_dim=uses[0].head_dim,
        windows=windows if any(windows) else (),
    )


def check_equal(
    model: PreTrainedModel, shape: TargetShape, dtype: torch.dtype, device: torch.device
) -> None:
    """Raise CheckpointError unless short texts have the logits of the model's own attention.

    Two requests share a pass, the first is told in two, and windows are made so small that
    both reach beyond: what depends on other requests, or is masked elsewhere, shows.
    """
    length = min(_PROBE_TOKENS, shape.max_position_embeddings)
    text = torch.arange(1, length + 1, device=device) % shape.vocab_size
    texts, cut = (text, text.flip(0)), length // 2
    with torch.inference_mode(), _small_windows(model):
        uses = layer_uses(model, device, shape)
        small = with_uses(shape, uses)
        depth = small.num_hidden_layers
        cache = KVCache(small, depth, 2, length, dtype, device)

        def told(tokens: Tensor, *spans: Span) -> Tensor:
            plan = plan_attention(spans, cache)
            hosted = RaggedPass(cache, plan, uses)
            return hosted_logits(model, tokens, plan.positions, hosted)

        both = told(torch.cat([text[:cut], texts[1]]), Span(0, 0, cut), Span(1, 0, length))
        rest = told(text[cut:], Span(0, cut, length - cut))
        ours = torch.cat([both[:cut], rest, both[cut:]])
        with _own_attention(model):
            theirs = torch.cat(
                [model(input_ids=x[None], use_cache=False).logits[0] for x in texts]
            ).float()
    gap = float((ours - theirs).abs().max() / theirs.abs().max().clamp_min(1e-6))
    if not gap <= _TOLERANCES.get(dtype, _COARSE_TOLERANCE):
        raise CheckpointError(
            f"{type(model).__name__} gives other logits with this project's attention "
            f"than with its own (they differ by {gap:.1%} of the largest); such a model cannot "
            "be a target"
        )


@contextmanager
def _small_windows(model: PreTrainedModel) -> Iterator[None]:
    """Sliding windows of `_PROBE_WINDOW` positions in place of larger ones, while this lasts."""
    holders: list[Any] = [model.config.get_text_config(), *model.modules()]
    found = [(one, getattr(one, "sliding_window", None)) for one in holders]
    large = [(one, size) for one, size in found if type(size) is int and size > _PROBE_WINDOW]
    try:
        for one, _ in large:
            one.sliding_window = _PROBE_WINDOW
        yield
    finally:
        for one, size in large:
            one.sliding_window = size


@contextmanager
def _own_attention(model: PreTrainedModel) -> Iterator[None]:
    """The model attends as transformers has it, while this lasts."""
    model.set_attn_implementation(_OWN_ATTENTION)
    try:
        yield
    finally:
        model.set_attn_implementation(NAME)
