"""Preallocated key/value cache: one row of fixed length per request.

A request's length is a number, so forgetting rejected tokens costs nothing: what lies beyond the
length is never read. Rows are handed out lowest first, which keeps a full batch contiguous.
"""

import heapq
from math import prod

import numpy as np
import torch
from torch import Tensor

from dspark_bench.core.errors import UsageError
from dspark_bench.models.config import TargetShape
from dspark_bench.models.kernels.room import zeros


def check_length(max_len: int, shape: TargetShape) -> None:
    """Raise UsageError for more positions than the target has."""
    most = shape.max_position_embeddings
    if not 1 <= max_len <= most:
        raise UsageError(
            f"max_len is {max_len}; valid for this target: 1 to {most} (its "
            "max_position_embeddings)"
        )


class KVCache:
    """Keys and values [layers, rows, max_len, Hkv, head_dim]; slot = row * max_len + place.

    index: the numbers 0, 1, 2, ... of all slots, for attention plans to cut views from.
    windows: those that its layers have, each once (None: everything before is seen);
    window_places: of each layer, among them.
    arrays: keys and values as the compiled kernels read them; None where the layers that use this
    cache run on torch's operations (`is_compiled` false).
    """

    def __init__(
        self,
        config: TargetShape,
        num_layers: int,
        num_rows: int,
        max_len: int,
        dtype: torch.dtype,
        device: torch.device,
        is_compiled: bool = False,
    ) -> None:
        shape = (num_layers, num_rows, max_len, config.num_key_value_heads, config.head_dim)
        windows = config.windows or (None,) * num_layers
        self.windows = tuple(dict.fromkeys(windows))
        self.window_places = tuple(self.windows.index(window) for window in windows)
        self.num_rows = num_rows
        self.num_shared_heads = config.num_attention_heads // config.num_key_value_heads
        self.max_len = max_len
        self.keys, self.values = (_zeros(shape, dtype, device) for _ in range(2))
        self._key_slots = self.keys.flatten(1, 2).unbind(0)
        self._value_slots = self.values.flatten(1, 2).unbind(0)
        self.arrays: tuple[np.ndarray, np.ndarray] | None = None
        if is_compiled:
            self.arrays = (self.keys.numpy(), self.values.numpy())
        self.index = torch.arange(num_rows * max_len, device=device)
        self._seen = torch.zeros((), dtype=dtype, device=device)
        self._unseen = torch.full((), -torch.inf, dtype=dtype, device=device)
        self.lengths = [0] * num_rows
        self._free = list(range(num_rows))

    @property
    def num_free(self) -> int:
        """Rows that no request holds."""
        return len(self._free)

    def acquire(self) -> int:
        """Hand out the lowest free row, empty. The caller checks `num_free` first."""
        row = heapq.heappop(self._free)
        self.lengths[row] = 0
        return row

    def release(self, row: int) -> None:
        """Take a row back; its content is forgotten."""
        self.lengths[row] = 0
        heapq.heappush(self._free, row)

    def set_length(self, row: int, length: int) -> None:
        """Commit or roll back in O(1): positions from `length` on are forgotten."""
        self.lengths[row] = length

    def swap(self, first: int, second: int) -> None:
        """Exchange what two rows hold, as far as either is filled."""
        filled = max(self.lengths[first], self.lengths[second])
        for stored in (self.keys, self.values):
            kept = stored[:, first, :filled].clone()
            stored[:, first, :filled] = stored[:, second, :filled]
            stored[:, second, :filled] = kept
        lengths = self.lengths
        lengths[first], lengths[second] = lengths[second], lengths[first]

    def write(self, layer: int, slots: Tensor, keys: Tensor, values: Tensor) -> None:
        """Store keys and values [T, Hkv, head_dim] of one layer at slots [T]."""
        self._key_slots[layer].index_copy_(0, slots, keys)
        self._value_slots[layer].index_copy_(0, slots, values)

    def write_all(self, slots: Tensor, keys: Tensor, values: Tensor) -> None:
        """Store keys and values [num_layers, T, Hkv, head_dim] of every layer at slots [T]."""
        self.keys.flatten(1, 2).index_copy_(1, slots, keys)
        self.values.flatten(1, 2).index_copy_(1, slots, values)

    def move(self, sources: Tensor, targets: Tensor) -> None:
        """Copy keys and values of every layer from slots [n] to slots [n]. They may overlap."""
        for stored in (self.keys.flatten(1, 2), self.values.flatten(1, 2)):
            stored.index_copy_(1, targets, stored.index_select(1, sources))

    def additive(self, visible: Tensor) -> Tensor:
        """An attention mask in the cache's dtype: 0 where `visible`, minus infinity elsewhere."""
        return torch.where(visible, self._seen, self._unseen)


def _zeros(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    if device.type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device)
    return (
        torch.from_numpy(zeros((prod(shape) * dtype.itemsize,), np.uint8)).view(dtype).view(shape)
    )
