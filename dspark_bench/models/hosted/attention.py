"""The attention function that transformers' modules call in place of their own.

It is registered with transformers under a name of its own. No mask is registered under that name,
so the modules build none: who sees what is in the plan of the pass. The pass itself travels as a
keyword from the model's forward down to this function.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import torch
from torch import Tensor, nn
from transformers import AttentionInterface

from dspark_bench.core.errors import CheckpointError
from dspark_bench.models.attention import AttentionPlan, attend
from dspark_bench.models.kv_cache import KVCache
from dspark_bench.models.scoring import Scoring, scored_attention

NAME: Final = "dspark_bench_ragged"
PASS: Final = "ragged_pass"
"""The keyword that carries the pass."""
_IGNORED: Final = frozenset({"position_ids", "use_cache", "output_attentions"})
_IGNORED_START: Final = "output_"


@dataclass(frozen=True, slots=True)
class LayerUse:
    """How a layer calls attention. window: positions that a query sees, itself included."""

    num_heads: int
    num_kv_heads: int
    head_dim: int
    window: int | None


class HostedPass(Protocol):
    """One forward pass, as its attention layers see it."""

    def attend(
        self, layer: int, use: LayerUse, scoring: Scoring, query: Tensor, key: Tensor, value: Tensor
    ) -> Tensor:
        """query [T, Hq, hd], key and value [T, Hkv, hd] -> [T, Hq * hd]."""
        ...


@dataclass(frozen=True, slots=True)
class RaggedPass:
    """A pass over the requests of a plan. uses: of every layer, as the model was found to be."""

    cache: KVCache
    plan: AttentionPlan
    uses: tuple[LayerUse, ...]

    def attend(
        self, layer: int, use: LayerUse, scoring: Scoring, query: Tensor, key: Tensor, value: Tensor
    ) -> Tensor:
        """See `HostedPass`. Writes the cache at the plan's slots."""
        if use != self.uses[layer]:
            raise CheckpointError(
                f"layer {layer} attends as {use}, where it was found to as {self.uses[layer]}; "
                "such a model cannot be a target"
            )
        return attend(query, key, value, self.cache, layer, self.plan, scoring)


class ProbePass:
    """A causal pass over one short text without a cache. Mutated: notes how layers attend."""

    def __init__(self) -> None:
        self.uses: dict[int, LayerUse] = {}
        self.num_calls = 0

    def attend(
        self, layer: int, use: LayerUse, scoring: Scoring, query: Tensor, key: Tensor, value: Tensor
    ) -> Tensor:
        """See `HostedPass`."""
        self.uses[layer] = use
        self.num_calls += 1
        length, share = query.shape[0], use.num_heads // use.num_kv_heads
        places = torch.arange(length, device=query.device)
        seen = places <= places[:, None]
        if use.window is not None:
            seen &= places > places[:, None] - use.window
        mask = torch.zeros_like(seen, dtype=query.dtype).masked_fill(~seen, -torch.inf)
        shape = (length, use.num_kv_heads, share, use.head_dim)
        folded = query.view(shape).permute(1, 2, 0, 3).reshape(1, use.num_kv_heads, -1, shape[-1])
        keys, values = key.transpose(0, 1)[None], value.transpose(0, 1)[None]
        out = scored_attention(folded, keys, values, mask.repeat(share, 1), scoring)
        return out.view(use.num_kv_heads, share, length, -1).permute(2, 0, 1, 3).flatten(1)


def register() -> None:
    """Make the function known to transformers; again makes no difference."""
    AttentionInterface.register(NAME, hosted_attention)


def hosted_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    **settings: Any,
) -> tuple[Tensor, None]:
    """query [1, Hq, T, hd], key and value [1, Hkv, T, hd] -> [1, T, Hq, hd], and no weights.

    Raises CheckpointError for what is asked of it that it does not do.
    """
    hosted = settings.pop(PASS, None)
    if hosted is None:
        raise CheckpointError(
            f"{type(module).__name__} does not hand its keywords to attention; such a model cannot "
            "be a target"
        )
    scoring, window = _read(module, settings)
    if attention_mask is not None:
        raise CheckpointError(f"{type(module).__name__} attends under a mask of its own")
    if key.shape != value.shape:
        raise CheckpointError(
            f"{type(module).__name__} has keys of {key.shape[-1]} and values of {value.shape[-1]} "
            "elements; valid for a target: equal ones"
        )
    use = LayerUse(query.shape[1], key.shape[1], query.shape[3], window)
    layer = getattr(module, "layer_idx", None)
    if not isinstance(layer, int):
        raise CheckpointError(f"{type(module).__name__} does not say which layer it is")
    out = hosted.attend(
        layer,
        use,
        scoring,
        query[0].transpose(0, 1),
        key[0].transpose(0, 1),
        value[0].transpose(0, 1),
    )
    return out.view(1, query.shape[2], query.shape[1], query.shape[3]), None


def _read(module: nn.Module, settings: Mapping[str, Any]) -> tuple[Scoring, int | None]:
    """What a layer asks for. Everything that is neither known nor absent is refused by name."""
    left = dict(settings)
    scoring = Scoring(left.pop("scaling", None), left.pop("softcap", None), left.pop("s_aux", None))
    window = left.pop("sliding_window", None)
    if left.pop("dropout", 0.0):
        raise CheckpointError(f"{type(module).__name__} drops out weights; valid: inference")
    if getattr(module, "is_causal", True) is False:
        raise CheckpointError(f"{type(module).__name__} is not causal; valid for a target: causal")
    for name, value in left.items():
        is_known = name in _IGNORED or name.startswith(_IGNORED_START)
        if not is_known and value is not None and value is not False:
            raise CheckpointError(
                f"{type(module).__name__} asks attention for {name}, which is not known here"
            )
    return scoring, window
