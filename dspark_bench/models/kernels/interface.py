"""What the compiled kernels offer. Arrays are C-contiguous fp32, and matrices panels of bytes
(`panels.py`); results are written to `out`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dspark_bench.models.kernels.panels import is_narrow, widened
from dspark_bench.models.kernels.room import zeros
from dspark_bench.models.kernels.team import Team

NO_WINDOW = 2**62
"""Window of a layer whose queries see everything before."""


@dataclass(frozen=True, slots=True)
class SpanTable:
    """A pass over a ragged batch, as the compiled attention reads it.

    slots [T]: where keys and values are written; spans [B, 7]: `ragged_attention` has the columns;
    parents: of the tokens of all trees, one tree after the other, -1 for the context.
    """

    slots: np.ndarray
    spans: np.ndarray
    parents: np.ndarray


@dataclass(frozen=True, slots=True)
class LayerWeights:
    """A decoder layer's, as the compiled kernels take them.

    input_norm [D]; attention: qkv and output panels, norms [Hq + Hkv, hd] or [0, hd], biases of
    both products or empty ones, window [1] (int64); finish: norm [D], gate and up as one, down;
    widths: of what lies between the products, (Hq + 2 Hkv) hd, Hq hd, 2 I, I.
    """

    input_norm: np.ndarray
    attention: tuple[np.ndarray, ...]
    finish: tuple[np.ndarray, np.ndarray, np.ndarray]
    eps: np.float32
    widths: tuple[int, int, int, int]

    @property
    def num_bytes(self) -> int:
        """Of the large ones."""
        return sum(array.nbytes for array in (*self.attention, *self.finish))


class StackWeights(LayerWeights):
    """Those of several layers of one shape: each array with a leading axis of layers."""

    @classmethod
    def like(cls, weights: LayerWeights, depth: int) -> "StackWeights":
        """Room for `depth` layers like this one."""

        def room(array: np.ndarray) -> np.ndarray:
            return zeros((depth, *array.shape), array.dtype)

        attention = tuple(room(array) for array in weights.attention)
        norm, gate_up, down = (room(array) for array in weights.finish)
        first = room(weights.input_norm)
        return cls(first, attention, (norm, gate_up, down), weights.eps, weights.widths)

    def part(self, first: int, last: int) -> "StackWeights":
        """Those of the layers first..last - 1: views, no copies."""
        norm, gate_up, down = (array[first:last] for array in self.finish)
        attention = tuple(array[first:last] for array in self.attention)
        own = self.input_norm[first:last]
        return StackWeights(own, attention, (norm, gate_up, down), self.eps, self.widths)

    def put(self, layer: int, weights: LayerWeights) -> None:
        """Fill in a layer's. Raises ValueError for one that takes more room: see `widened`."""
        self.input_norm[layer] = weights.input_norm
        mine, theirs = (*self.attention, *self.finish), (*weights.attention, *weights.finish)
        for own, array in zip(mine, theirs, strict=True):
            own[layer] = widened(array) if array.dtype == np.uint8 and not is_narrow(own) else array

    def has_room_for(self, weights: LayerWeights) -> bool:
        """Whether none of the layer's matrices needs 32 bits a number where these have 16."""
        return all(
            is_narrow(theirs) or not is_narrow(own)
            for own, theirs in zip(matrices(self), matrices(weights), strict=True)
        )

    def widened(self) -> "StackWeights":
        """The same numbers, those of matrices in 32 bits."""
        qkv, out, *others = self.attention
        norm, gate_up, down = self.finish
        attention = (widened(qkv), widened(out), *others)
        finish = (norm, widened(gate_up), widened(down))
        return StackWeights(self.input_norm, attention, finish, self.eps, self.widths)


def matrices(weights: LayerWeights) -> tuple[np.ndarray, ...]:
    """Of query, key and value; output; gate and up; down."""
    return (*weights.attention[:2], *weights.finish[1:])


Stored = tuple[np.ndarray, np.ndarray]
"""Keys and values in the cache, [rows, max_len, Hkv, hd]; of a stack with a leading axis."""


@dataclass(frozen=True, slots=True)
class Kernels:
    """The compiled functions, and the threads that run them.

    `layer.py`, `products.py` and `elementwise.py` say what each computes.
    """

    pack_panels: Callable[[np.ndarray], np.ndarray]
    product_pass: Callable[..., None]
    normalise_rows: Callable[..., None]
    attention_pass: Callable[..., None]
    finish_pass: Callable[..., None]
    stack_pass: Callable[..., None]
    store_context: Callable[..., None]
    team: Team

    def product(self, x: Tensor, panels: np.ndarray, size: int) -> Tensor:
        """x [T, in] -> [T, size]."""
        out = torch.empty(x.shape[0], size)
        if x.shape[0]:
            source = x.contiguous().numpy()
            self.team.run(self.product_pass, source, panels, out.numpy(), num_bytes=panels.nbytes)
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
        stored: Stored,
        table: SpanTable,
    ) -> Tensor:
        """Normed inputs [T, in] -> [T, D]; writes keys and values to `stored`."""
        num_tokens = inputs.shape[0]
        out = torch.empty(num_tokens, weights.input_norm.shape[0])
        self.team.run(
            self.attention_pass,
            inputs.contiguous().numpy(),
            weights.attention,
            weights.eps,
            _scene(rotation, stored, table),
            _room(num_tokens, weights.widths[:2]),
            out.numpy(),
            num_bytes=weights.num_bytes,
        )
        return out

    def finish(self, residual: Tensor, attended: Tensor, weights: LayerWeights) -> Tensor:
        """residual, attended [T, D] -> [T, D]."""
        out = torch.empty(residual.shape)
        self.team.run(
            self.finish_pass,
            residual.contiguous().numpy(),
            attended.contiguous().numpy(),
            weights.finish,
            weights.eps,
            _room(residual.shape[0], weights.widths[2:]),
            out.numpy(),
            num_bytes=weights.num_bytes,
        )
        return out

    def stack(
        self,
        x: Tensor,
        weights: StackWeights,
        rotation: Tensor,
        stored: Stored,
        table: SpanTable,
        taps: Sequence[int],
    ) -> tuple[Tensor, Tensor]:
        """x [T, D] -> [T, D] after the last layer, and [taps, T, D] after those of `taps`.

        Writes keys and values to `stored`, of all layers.
        """
        num_tokens = x.shape[0]
        out, tapped = torch.empty(x.shape), torch.empty(len(taps), *x.shape)
        self.team.run(
            self.stack_pass,
            x.contiguous().numpy(),
            (weights.input_norm, weights.attention, weights.finish),
            weights.eps,
            _scene(rotation, stored, table),
            (
                np.empty(x.shape, np.float32),
                np.empty(x.shape, np.float32),
                _room(num_tokens, weights.widths[:2]),
                _room(num_tokens, weights.widths[2:]),
            ),
            np.array(taps, np.int64),
            tapped.numpy(),
            out.numpy(),
            num_bytes=weights.num_bytes,
        )
        return out, tapped


def _scene(rotation: Tensor, stored: Stored, table: SpanTable) -> tuple[np.ndarray, ...]:
    return (rotation.numpy(), *stored, table.slots, table.spans, table.parents)


def _room(num_tokens: int, widths: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    return tuple(np.empty((num_tokens, width), np.float32) for width in widths)
