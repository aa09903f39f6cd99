"""The compiled product: against torch, and each row's bits against the row alone."""

import numpy as np
import pytest
import torch

from dspark_bench.models.kernels.choice import compiled_kernels
from dspark_bench.models.kernels.panels import numbers, widened
from dspark_bench.models.linear import Linear

SHAPES = [(1, 1), (3, 5), (16, 7), (40, 33), (69, 4), (512, 256), (2048, 256), (576, 1536)]
"""[out, in]: below, at and past a panel of 16 columns; the zoo's; a 135 M model's widest."""


def rows(count: int, width: int) -> torch.Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(count))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_product_is_torch_s(shape: tuple[int, int]) -> None:
    weight, bias = rows(*shape), rows(1, shape[0])[0]
    linear = Linear(weight, bias, compiled_kernels().kernels)
    for count in (1, 2, 5, 6, 7, 9, 10, 13, 19):
        x = rows(count, shape[1])
        wanted = torch.nn.functional.linear(x.double(), weight.double(), bias.double())
        error = (linear(x).double() - wanted).abs().max()
        assert error < 1e-6 * shape[1] + 1e-5


@pytest.mark.parametrize("shape", SHAPES)
def test_a_row_has_the_same_bits_in_every_batch(shape: tuple[int, int]) -> None:
    linear = Linear(rows(*shape), None, compiled_kernels().kernels)
    x = rows(33, shape[1])
    together = linear(x)
    for count in (*range(1, 12), 18, 32):
        for start in (0, 1, 33 - count):
            assert torch.equal(linear(x[start : start + count]), together[start : start + count])


def test_no_rows_give_no_rows() -> None:
    linear = Linear(rows(8, 4), None, compiled_kernels().kernels)
    assert linear(torch.empty(0, 4)).shape == (0, 8)


def narrow(weight: torch.Tensor) -> torch.Tensor:
    """Numbers of bf16, as fp32."""
    return weight.bfloat16().float()


@pytest.mark.parametrize("shape", SHAPES)
def test_weights_in_16_bits_give_the_bits_of_the_same_in_32(shape: tuple[int, int]) -> None:
    kernels, weight = compiled_kernels().kernels, narrow(rows(*shape))
    assert kernels is not None
    linear = Linear(weight, None, kernels)
    panels = linear.panels
    assert panels.shape[-1] == 32 and widened(panels).shape[-1] == 64
    for count in (1, 2, 5, 8, 9, 10, 19):
        x = rows(count, shape[1])
        assert torch.equal(linear(x), kernels.product(x, widened(panels), shape[0]))


def test_one_number_of_more_bits_keeps_all_32() -> None:
    """Nothing is rounded: not one number among many that have fewer."""
    weight = narrow(rows(5000, 24))
    weight[4999, 23] = 1 + 2.0**-20
    linear = Linear(weight, None, compiled_kernels().kernels)
    assert linear.panels.shape[-1] == 64 and linear.num_weight_bytes == 4 * weight.numel()
    x = rows(3, 24)
    error = (linear(x).double() - x.double() @ weight.double().T).abs().max()
    assert error < 1e-4
    weight[4999, 23] = 1
    linear = Linear(weight, None, compiled_kernels().kernels)
    assert linear.panels.shape[-1] == 32 and linear.num_weight_bytes == 2 * weight.numel()


def test_panels_by_hand() -> None:
    kernels = compiled_kernels().kernels
    assert kernels is not None
    weight = np.arange(34, dtype=np.float32).reshape(17, 2)
    for given in (weight, weight + np.float32(2.0**-10)):
        panels = kernels.pack_panels(given)
        assert panels.shape == (2, 2, 32 if given is weight else 64)
        found = numbers(panels)
        assert found.shape == (2, 2, 16)
        assert found[0, 0].tolist() == given[:16, 0].tolist()
        assert found[1, 1].tolist() == [given[16, 1]] + [0.0] * 15
