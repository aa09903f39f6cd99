"""Decoder layers one after the other: one compiled call for all, or torch's operations in turn."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from dspark_bench.models.attention import AttentionPlan
from dspark_bench.models.config import ModelConfig
from dspark_bench.models.kernels.interface import Kernels, StackWeights
from dspark_bench.models.kv_cache import KVCache
from dspark_bench.models.layers import CompiledLayer, DecoderLayer, table_of
from dspark_bench.models.named_tensors import Tensors


@dataclass(frozen=True, slots=True)
class CompiledStack:
    """The weights of all layers and the kernels that run them."""

    kernels: Kernels
    weights: StackWeights


class DecoderStack:
    """The layers of a model.

    num_weight_bytes: of their matrices; compiled: all of them for one call, None on torch's
    operations; first: the layer of the cache that is theirs, those behind it follow.
    """

    __slots__ = ("_depth", "_layers", "compiled", "first", "num_weight_bytes")

    def __init__(self, layers: Iterator[DecoderLayer], depth: int) -> None:
        """Takes `depth` layers, one at a time: compiled weights are not held twice."""
        self._depth = depth
        self._layers: list[DecoderLayer] = []
        self.first = 0
        self.compiled: CompiledStack | None = None
        self.num_weight_bytes = 0
        for index, layer in enumerate(layers):
            self.num_weight_bytes += layer.num_weight_bytes
            if layer.compiled is None:
                self._layers.append(layer)
                continue
            if self.compiled is None:
                self.compiled = _room_for(layer.compiled, depth)
            weights = layer.compiled.weights
            if not self.compiled.weights.has_room_for(weights):
                wider = self.compiled.weights.widened()
                self.compiled = CompiledStack(layer.compiled.kernels, wider)
            self.compiled.weights.put(index, weights)

    @classmethod
    def load(
        cls, tensors: Tensors, prefix: str, config: ModelConfig, kernels: Kernels | None
    ) -> "DecoderStack":
        """Read the layers `{prefix}0.`, `{prefix}1.`, ..."""
        depth = config.num_hidden_layers
        layers = (
            DecoderLayer.load(tensors, f"{prefix}{index}.", config, kernels, window=window)
            for index, window in enumerate(config.windows or depth * (None,))
        )
        return cls(layers, depth)

    def part(self, first: int, last: int) -> "DecoderStack":
        """Layers first..last - 1 with the same weights and their own places in the cache."""
        made = DecoderStack(iter(self._layers[first:last]), last - first)
        made.first = self.first + first
        made.num_weight_bytes = self.num_weight_bytes // self._depth * (last - first)
        if self.compiled is not None:
            weights = self.compiled.weights.part(first, last)
            made.compiled = CompiledStack(self.compiled.kernels, weights)
        return made

    def forward(
        self,
        x: Tensor,
        rotation: Tensor,
        cache: KVCache,
        plan: AttentionPlan,
        taps: Sequence[int] = (),
    ) -> tuple[Tensor, dict[int, Tensor]]:
        """x [T, D] -> [T, D] after the last layer, and after each layer of `taps`.

        Writes the cache at `plan.slots`.
        """
        if self.compiled is not None:
            assert cache.arrays is not None, "the cache belongs to layers on torch's operations"
            compiled, (keys, values) = self.compiled, cache.arrays
            own = slice(self.first, self.first + self._depth)
            out, tapped = compiled.kernels.stack(
                x, compiled.weights, rotation, (keys[own], values[own]), table_of(plan), taps
            )
            return out, dict(zip(taps, tapped, strict=True))
        found: dict[int, Tensor] = {}
        for index, layer in enumerate(self._layers):
            x = layer.forward(x, rotation, cache, self.first + index, plan)
            if index in taps:
                found[index] = x
        return x, found


def _room_for(layer: CompiledLayer, depth: int) -> CompiledStack:
    return CompiledStack(layer.kernels, StackWeights.like(layer.weights, depth))
