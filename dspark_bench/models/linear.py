"""A linear layer that stays fast for the few-row products that decoding is made of.

With compiled kernels it is theirs: one pass over the weights, and a row's bits do not depend on
how many rows there are. Otherwise, on x86 CPUs, oneDNN's prepacked product: the stock fp32 one
reads weights that are not in cache at half its speed, and costs two to three times more for 5 rows
than for 1, so that verification would be charged for a slow kernel. Which one it is depends on
dtype and size alone, so a run can be repeated.
"""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dspark_bench.models.kernels.interface import Kernels
from dspark_bench.models.kernels.panels import is_narrow

_PackedProduct = Callable[[Tensor, Tensor, Tensor | None], Tensor]

PACK_MAX_BYTES = 256 * 2**20


class Linear:
    """y = x W^T + b for x [T, in]; weight [out, in], bias [out] or None.

    kernels: the compiled ones, for a weight in fp32 on a CPU, or None for torch's operations.
    panels: the weight as the compiled kernels read it; empty without them.
    """

    __slots__ = (
        "_kernels",
        "_packed",
        "_product",
        "_size",
        "_weight",
        "bias",
        "num_weight_bytes",
        "panels",
    )

    def __init__(self, weight: Tensor, bias: Tensor | None, kernels: Kernels | None) -> None:
        self.bias = bias
        self._kernels, self._size = kernels, weight.shape[0]
        self._product: _PackedProduct | None = None
        self._packed: Tensor | None = None
        self._weight: Tensor | None = None
        self.panels = np.empty(0, np.uint8)
        self.num_weight_bytes = weight.numel() * weight.element_size()
        if kernels is not None:
            self.panels = kernels.pack_panels(weight.numpy())
            if is_narrow(self.panels):
                self.num_weight_bytes //= 2
            return
        self._product = _packed_product() if _is_packable(weight) else None
        self._packed = _pack(weight) if self._product is not None else None
        self._weight = weight if self._packed is None else None

    def __call__(self, x: Tensor) -> Tensor:
        """x [T, in] -> [T, out]."""
        if self._kernels is not None:
            out = self._kernels.product(x, self.panels, self._size)
            return out if self.bias is None else out.add_(self.bias)
        if self._product is not None and self._packed is not None:
            return self._product(x, self._packed, self.bias)
        assert self._weight is not None
        return F.linear(x, self._weight, self.bias)


def _is_packable(weight: Tensor) -> bool:
    size_bytes = weight.numel() * weight.element_size()
    is_known = weight.dtype == torch.float32 or (
        weight.dtype == torch.bfloat16 and _can_pack_bfloat16()
    )
    return weight.device.type == "cpu" and is_known and size_bytes <= PACK_MAX_BYTES


def _can_pack_bfloat16() -> bool:
    """Whether this processor has the instructions; the stock product does without them."""
    namespace = torch.ops.mkldnn
    has_test = hasattr(namespace, "_is_mkldnn_bf16_supported")
    return bool(has_test and namespace._is_mkldnn_bf16_supported())


def _packed_product() -> _PackedProduct | None:
    """oneDNN's prepacked product, or None where this torch build lacks it."""
    if not torch.backends.mkldnn.is_available():
        return None
    namespace = torch.ops.mkldnn
    if not hasattr(namespace, "_linear_pointwise") or not hasattr(
        namespace, "_reorder_linear_weight"
    ):
        return None
    operator = namespace._linear_pointwise.default

    def product(x: Tensor, packed: Tensor, bias: Tensor | None) -> Tensor:
        result: Tensor = operator(x, packed, bias, "none", [], "")
        return result

    return product


def _pack(weight: Tensor) -> Tensor:
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous())
    return packed
