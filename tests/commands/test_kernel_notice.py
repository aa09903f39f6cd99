"""Whoever waits for the kernels' compiler is told why; whoever does not wait is told nothing."""

import time
from pathlib import Path

import pytest
from rich.console import Console

from dspark_bench.commands import kernel_notice
from dspark_bench.commands.sweep_plan import SweepRequest, single_point
from dspark_bench.models.kernels.choice import KernelChoice
from tests.sweeps import tiny_overrides
from tests.tiny_models import TinyZoo

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


@pytest.mark.parametrize(
    ("more", "loaded"),
    [
        (("temperature=1",), ["kernels", "judge"]),
        (("temperature=0",), ["kernels"]),
        (("temperature=1", "engine.kernels=torch"), ["judge"]),
        (("temperature=1", "engine.dtype=bfloat16"), ["judge"]),
    ],
)
def test_what_a_point_runs_on_is_loaded_before_anything_is_timed(
    tiny_zoo: TinyZoo,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    more: tuple[str, ...],
    loaded: list[str],
) -> None:
    found: list[str] = []
    monkeypatch.setattr(kernel_notice, "load_kernels", lambda say: found.append("kernels"))
    monkeypatch.setattr(kernel_notice, "chain_judge", lambda: found.append("judge"))
    overrides = (*tiny_overrides(tiny_zoo, tmp_path), *more)
    point = single_point(SweepRequest(overrides), "run").config
    kernel_notice.prepare_kernels(point, Console(quiet=True))
    assert found == loaded
