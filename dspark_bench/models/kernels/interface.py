"""What the compiled kernels offer. Arrays are C-contiguous fp32; results are written to `out`."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class SpanTable:
    """A pass over a ragged batch, as the compiled attention reads it.

    slots [T]: where keys and values are written; spans [B, 6]: `ragged_attention` has the columns;
    parents [T]: of tokens in trees, -1 for the context; empty without trees.
    """

    slots: np.ndarray
    spans: np.ndarray
    parents: np.ndarray


@dataclass(frozen=True, slots=True)
class LayerWeights:
    """A decoder layer's: qkv, out, gate_up, down as panels; heads [Hq + Hkv, hd]: norms."""

    input_norm: np.ndarray
    qkv: np.ndarray
    heads: np.ndarray
    eps: np.float32
    out: np.ndarray
    post_norm: np.ndarray
    gate_up: np.ndarray
    down: np.ndarray


@dataclass(frozen=True, slots=True)
class Kernels:
    """The compiled functions; `layer.py` and its siblings say what each computes."""

    pack_panels: Callable[[np.ndarray], np.ndarray]
    multiply: Callable[..., None]
    normalise_rows: Callable[..., None]
    attention_pass: Callable[..., None]
    finish_pass: Callable[..., None]
    layer_pass: Callable[..., None]

    def product(self, x: Tensor, panels: np.ndarray, size: int) -> Tensor:
        """x [T, in] -> [T, size]."""
        out = torch.empty(x.shape[0], size)
        if x.shape[0]:
            self.multiply(x.contiguous().numpy(), panels, out.numpy())
        return out

    def norm(self, x: Tensor, weight: np.ndarray, eps: np.float32) -> Tensor:
        """x [T, N] -> [T, N]."""
        out = torch.empty(x.shape)
        self.normalise_rows(x.contiguous().numpy(), weight, eps, out.numpy())
        return out

    def attend(
        self,
        inputs: Tensor,
        weights: LayerWeights,
        rotation: Tensor,
        stored: tuple[np.ndarray, np.ndarray],
        table: SpanTable,
    ) -> Tensor:
        """Normed inputs [T, in] -> [T, D]; writes the layer's keys and values, `stored`."""
        out = torch.empty(inputs.shape[0], weights.input_norm.shape[0])
        self.attention_pass(
            inputs.contiguous().numpy(),
            weights.qkv,
            weights.heads,
            weights.eps,
            weights.out,
            rotation.numpy(),
            *stored,
            table.slots,
            table.spans,
            table.parents,
            out.numpy(),
        )
        return out

    def finish(self, residual: Tensor, attended: Tensor, weights: LayerWeights) -> Tensor:
        """residual, attended [T, D] -> [T, D]."""
        out = torch.empty(residual.shape)
        self.finish_pass(
            residual.contiguous().numpy(),
            attended.contiguous().numpy(),
            weights.post_norm,
            weights.eps,
            weights.gate_up,
            weights.down,
            out.numpy(),
        )
        return out

    def layer(
        self,
        x: Tensor,
        weights: LayerWeights,
        rotation: Tensor,
        stored: tuple[np.ndarray, np.ndarray],
        table: SpanTable,
    ) -> Tensor:
        """x [T, D] -> [T, D]; writes the layer's keys and values, `stored`."""
        out = torch.empty(x.shape)
        self.layer_pass(
            x.contiguous().numpy(),
            weights.input_norm,
            weights.qkv,
            weights.heads,
            weights.eps,
            weights.out,
            weights.post_norm,
            weights.gate_up,
            weights.down,
            rotation.numpy(),
            *stored,
            table.slots,
            table.spans,
            table.parents,
            out.numpy(),
        )
        return out
