"""The decoder layer that target and drafters share, with fused projections."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dspark_bench.models.attention import AttentionPlan, attend
from dspark_bench.models.config import ModelConfig
from dspark_bench.models.kernels.interface import (
    NO_WINDOW,
    Kernels,
    LayerWeights,
    SpanTable,
    Stored,
)
from dspark_bench.models.kv_cache import KVCache
from dspark_bench.models.linear import Linear
from dspark_bench.models.named_tensors import Tensors, take
from dspark_bench.models.rotary import pair_neighbours, rotate


class RmsNorm:
    """x / sqrt(mean(x^2) + eps) * weight over the last dimension [.., N], in the dtype of x.

    In fp32 it is computed as x / hypot(|x|, sqrt(N eps)) * weight sqrt(N): four small operations
    instead of the composite kernel's eight.
    """

    __slots__ = ("_floor", "_kernels", "_scaled", "array", "eps", "weight")

    def __init__(self, weight: Tensor, eps: float, kernels: Kernels | None) -> None:
        """kernels: the compiled ones, for an fp32 weight [N] on a CPU; None: torch's operations."""
        size = weight.shape[-1]
        self.eps = eps
        self._kernels = kernels
        self.array = np.empty(0, np.float32) if kernels is None else weight.numpy()
        self.weight = weight
        self._scaled = weight * size**0.5
        self._floor = torch.tensor((size * eps) ** 0.5, dtype=torch.float32, device=weight.device)

    def __call__(self, x: Tensor) -> Tensor:
        """Normalise x [..., N]; [T, N] with compiled kernels."""
        if self._kernels is not None:
            return self._kernels.norm(x, self.array, np.float32(self.eps))
        if x.dtype == torch.float32:
            length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
            return (x / torch.hypot(length, self._floor)).mul_(self._scaled)
        return F.rms_norm(x, (x.shape[-1],), None, self.eps) * self.weight


def load_norm(tensors: Tensors, name: str, config: ModelConfig, kernels: Kernels | None) -> RmsNorm:
    """The named norm over the hidden size."""
    return RmsNorm(take(tensors, name, config.hidden_size), config.rms_norm_eps, kernels)


@dataclass(frozen=True, slots=True)
class Attention:
    """Grouped-query attention.

    qkv: [(Hq + 2 Hkv) * hd, in]; qk_norm over [Hq + Hkv, hd], None where queries and keys are not
    normalised; out [D, Hq * hd].
    """

    config: ModelConfig
    qkv: Linear
    qk_norm: RmsNorm | None
    out: Linear

    @classmethod
    def load(
        cls,
        tensors: Tensors,
        prefix: str,
        config: ModelConfig,
        input_size: int,
        kernels: Kernels | None,
    ) -> "Attention":
        """Read `{prefix}q_proj.weight` and siblings; `input_size` is the projections' input."""
        hidden, width = config.hidden_size, config.num_attention_heads * config.head_dim
        fused = _fused(tensors, prefix, "weight", config, input_size)
        bias = _fused(tensors, prefix, "bias", config) if config.has_qkv_bias else None
        out = take(tensors, f"{prefix}o_proj.weight", hidden, width)
        out_bias = take(tensors, f"{prefix}o_proj.bias", hidden) if config.has_out_bias else None
        norm = _head_norms(tensors, prefix, config) if config.has_query_key_norm else None
        return cls(config, Linear(fused, bias, kernels), norm, Linear(out, out_bias, kernels))

    def forward(
        self, x: Tensor, rotation: Tensor, cache: KVCache, layer: int, plan: AttentionPlan
    ) -> Tensor:
        """Attend with normed inputs x [T, in]; returns [T, D]. Writes the cache at `plan.slots`."""
        query, key, value = self.project(x, rotation)
        return self.out(attend(query, key, value, cache, layer, plan))

    def project(self, x: Tensor, rotation: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rotated queries [T, Hq, hd] and keys [T, Hkv, hd], and values [T, Hkv, hd]."""
        config = self.config
        heads, kv_heads = config.num_attention_heads, config.num_key_value_heads
        fused = self.qkv(x).view(x.shape[0], heads + 2 * kv_heads, config.head_dim)
        turned = fused[:, : heads + kv_heads]
        rotated = rotate(turned if self.qk_norm is None else self.qk_norm(turned), rotation)
        return rotated[:, :heads], rotated[:, heads:], fused[:, heads + kv_heads :]


def _fused(tensors: Tensors, prefix: str, part: str, config: ModelConfig, *inputs: int) -> Tensor:
    """Weights or biases of query, key and value as one, with rotary pairs as neighbours."""
    hd = config.head_dim
    width, kv_width = config.num_attention_heads * hd, config.num_key_value_heads * hd
    query = take(tensors, f"{prefix}q_proj.{part}", width, *inputs)
    key = take(tensors, f"{prefix}k_proj.{part}", kv_width, *inputs)
    value = take(tensors, f"{prefix}v_proj.{part}", kv_width, *inputs)
    return torch.cat([pair_neighbours(query, hd), pair_neighbours(key, hd), value])


def _head_norms(tensors: Tensors, prefix: str, config: ModelConfig) -> RmsNorm:
    """Of query and key heads, [Hq + Hkv, hd]."""
    hd = config.head_dim
    heads, kv_heads = config.num_attention_heads, config.num_key_value_heads
    query_norm = pair_neighbours(take(tensors, f"{prefix}q_norm.weight", hd), hd)
    key_norm = pair_neighbours(take(tensors, f"{prefix}k_norm.weight", hd), hd)
    norms = torch.cat([query_norm.expand(heads, hd), key_norm.expand(kv_heads, hd)])
    return RmsNorm(norms.contiguous(), config.rms_norm_eps, None)


@dataclass(frozen=True, slots=True)
class Mlp:
    """SwiGLU: down(silu(gate(x)) * up(x))."""

    gate_up: Linear
    down: Linear

    @classmethod
    def load(
        cls, tensors: Tensors, prefix: str, config: ModelConfig, kernels: Kernels | None
    ) -> "Mlp":
        """Read `{prefix}gate_proj.weight` and siblings."""
        hidden, inner = config.hidden_size, config.intermediate_size
        gate = take(tensors, f"{prefix}gate_proj.weight", inner, hidden)
        up = take(tensors, f"{prefix}up_proj.weight", inner, hidden)
        down = take(tensors, f"{prefix}down_proj.weight", hidden, inner)
        return cls(Linear(torch.cat([gate, up]), None, kernels), Linear(down, None, kernels))

    def forward(self, x: Tensor) -> Tensor:
        """x [T, D] -> [T, D]."""
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        return self.down(F.silu(gate).mul_(up))


@dataclass(frozen=True, slots=True)
class CompiledLayer:
    """A decoder layer's weights and the kernels that run it."""

    kernels: Kernels
    weights: LayerWeights

    def attend(
        self, normed: Tensor, rotation: Tensor, stored: Stored, plan: AttentionPlan
    ) -> Tensor:
        """Normed inputs [T, in] -> [T, D]; writes keys and values to `stored`."""
        return self.kernels.attend(normed, self.weights, rotation, stored, table_of(plan))

    def finish(self, residual: Tensor, attended: Tensor) -> Tensor:
        """residual, attended [T, D] -> [T, D]."""
        return self.kernels.finish(residual, attended, self.weights)


def table_of(plan: AttentionPlan) -> SpanTable:
    """The plan as the compiled kernels read it."""
    assert plan.table is not None, "the cache belongs to layers on torch's operations"
    return plan.table


@dataclass(frozen=True, slots=True)
class DecoderLayer:
    """Pre-norm attention and MLP with residual connections.

    compiled: the same weights for the compiled kernels; None: torch's operations.
    """

    attention: Attention
    mlp: Mlp
    input_norm: RmsNorm
    post_norm: RmsNorm
    compiled: CompiledLayer | None

    @classmethod
    def load(
        cls,
        tensors: Tensors,
        prefix: str,
        config: ModelConfig,
        kernels: Kernels | None,
        input_size: int | None = None,
        window: int | None = None,
        has_input_norm: bool = True,
    ) -> "DecoderLayer":
        """Read one layer under `prefix` (ending in a dot). `input_size` widens q, k and v.

        window: how many positions a query sees, for the compiled kernels; torch's masks hold it;
        has_input_norm: false: inputs are given to `attend` as they are, and `input_norm` is never
        used.
        """
        width = input_size or config.hidden_size
        attention = Attention.load(tensors, f"{prefix}self_attn.", config, width, kernels)
        mlp = Mlp.load(tensors, f"{prefix}mlp.", config, kernels)
        after = load_norm(tensors, f"{prefix}post_attention_layernorm.weight", config, kernels)
        before = after
        if has_input_norm:
            before = load_norm(tensors, f"{prefix}input_layernorm.weight", config, kernels)
        compiled = None
        if kernels is not None:
            weights = _layer_weights(attention, mlp, before, after, window or NO_WINDOW)
            compiled = CompiledLayer(kernels, weights)
        return cls(attention, mlp, before, after, compiled)

    @property
    def num_weight_bytes(self) -> int:
        """Of the matrices."""
        matrices = (self.attention.qkv, self.attention.out, self.mlp.gate_up, self.mlp.down)
        return sum(matrix.num_weight_bytes for matrix in matrices)

    def forward(
        self, x: Tensor, rotation: Tensor, cache: KVCache, layer: int, plan: AttentionPlan
    ) -> Tensor:
        """x [T, D] -> [T, D]. Writes the cache at `plan.slots`."""
        attended = self.attend(self.input_norm(x), rotation, cache, layer, plan)
        return self.finish(x, attended)

    def attend(
        self, normed: Tensor, rotation: Tensor, cache: KVCache, layer: int, plan: AttentionPlan
    ) -> Tensor:
        """Normed inputs [T, in] -> [T, D]. Writes the cache at `plan.slots`."""
        if self.compiled is not None:
            assert cache.arrays is not None, "the cache belongs to layers on torch's operations"
            keys, values = cache.arrays
            return self.compiled.attend(normed, rotation, (keys[layer], values[layer]), plan)
        return self.attention.forward(normed, rotation, cache, layer, plan)

    def finish(self, residual: Tensor, attended: Tensor) -> Tensor:
        """Add the attention output to the residual stream and run the MLP."""
        if self.compiled is not None:
            return self.compiled.finish(residual, attended)
        x = residual + attended
        return x + self.mlp.forward(self.post_norm(x))


def _layer_weights(
    attention: Attention, mlp: Mlp, before: RmsNorm, after: RmsNorm, window: int
) -> LayerWeights:
    config = attention.config
    inner, heads = config.intermediate_size, config.num_attention_heads
    width, kv_width = heads * config.head_dim, config.num_key_value_heads * config.head_dim
    norm = attention.qk_norm
    norms = np.empty((0, config.head_dim), np.float32) if norm is None else norm.weight.numpy()
    biases = (_array(attention.qkv.bias), _array(attention.out.bias))
    return LayerWeights(
        before.array,
        (attention.qkv.panels, attention.out.panels, norms, *biases, np.array([window])),
        (after.array, mlp.gate_up.panels, mlp.down.panels),
        np.float32(before.eps),
        (width + 2 * kv_width, width, 2 * inner, inner),
    )


def _array(bias: Tensor | None) -> np.ndarray:
    """Empty for none."""
    return np.empty(0, np.float32) if bias is None else bias.numpy()
