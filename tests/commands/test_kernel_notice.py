"""Whoever waits for the kernels' compiler is told why; whoever does not wait is told nothing."""

import time

import pytest

from dspark_bench.commands import kernel_notice
from dspark_bench.models.kernels.choice import KernelChoice

CHOICE = KernelChoice(None, "slow")


def slow_compiler() -> KernelChoice:
    time.sleep(0.3)
    return CHOICE


def test_a_long_compilation_is_announced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_notice, "compiled_kernels", slow_compiler)
    said: list[str] = []
    assert kernel_notice.load_kernels(said.append, patience_s=0.02) is CHOICE
    assert said == [kernel_notice.NOTICE]


def test_kernels_at_hand_are_no_news(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_notice, "compiled_kernels", lambda: CHOICE)
    said: list[str] = []
    kernel_notice.load_kernels(said.append, patience_s=0.2)
    time.sleep(0.4)
    assert said == []
