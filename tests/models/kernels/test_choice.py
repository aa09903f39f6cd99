"""Which implementation serves whom, and why."""

import builtins
from typing import Any

import pytest
import torch

from dspark_bench.models.kernels import choice
from dspark_bench.models.kernels.choice import Wanted, choose_kernels
from tests import tiny

CPU = torch.device("cpu")


def test_fp32_on_a_cpu_runs_compiled() -> None:
    chosen = choose_kernels(Wanted.AUTO, torch.float32, CPU, 64)
    assert (chosen.name, chosen.reason[:10]) == ("compiled", "numba for ")


@pytest.mark.parametrize(
    ("wanted", "dtype", "device", "head_dim", "reason"),
    [
        (Wanted.TORCH, torch.float32, "cpu", 64, "engine.kernels=torch"),
        (Wanted.AUTO, torch.bfloat16, "cpu", 64, "weights are bfloat16"),
        (Wanted.AUTO, torch.float32, "cuda", 64, "the device is cuda"),
        (Wanted.AUTO, torch.float32, "cpu", 40, "head_dim is 40, no multiple of 16"),
    ],
)
def test_everything_else_runs_on_torch(
    wanted: Wanted, dtype: torch.dtype, device: str, head_dim: int, reason: str
) -> None:
    chosen = choose_kernels(wanted, dtype, torch.device(device), head_dim)
    assert (chosen.name, chosen.kernels, chosen.reason) == ("torch", None, reason)


def test_without_numba_the_reason_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    load = builtins.__import__

    def refuse(name: str, *rest: Any, **named: Any) -> Any:
        if name.startswith("llvmlite"):
            raise ImportError("no such wheel")
        return load(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", refuse)
    found = choice.compiled_kernels.__wrapped__()
    assert (found.kernels, found.reason) == (None, "numba cannot be loaded: no such wheel")


def test_what_cannot_be_kept_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> None:
        raise OSError("no space left on the device")

    monkeypatch.setattr("dspark_bench.models.kernels.compiled.compile_kernels", full)
    found = choice.compiled_kernels.__wrapped__()
    assert (found.name, found.reason) == (
        "torch",
        "numba cannot compile the kernels: no space left on the device",
    )


def test_drafters_follow_their_target() -> None:
    config = tiny.target().config
    assert tiny.target(True, Wanted.TORCH).kernels_for(config) is None
    assert tiny.target().kernels_for(config) is tiny.target().kernel_choice.kernels
