"""What the points of a sweep share, and what they do not."""

from pathlib import Path

import pytest

from dspark_bench.measure import build
from dspark_bench.measure.build import ModelCache
from tests.measure.points import plan
from tests.tiny_models import TinyZoo


def test_a_target_is_read_again_for_other_kernels(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    models = ModelCache()
    auto, torch_only = (
        plan(tiny_zoo, tmp_path, f"engine.kernels={name}")[0] for name in ("auto", "torch")
    )
    first = models.target(auto)
    assert (first.kernel_choice.name, models.target(auto)) == ("compiled", first)
    assert models.target(torch_only).kernel_choice.name == "torch"


def test_the_memory_is_read_once(tiny_zoo: TinyZoo, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[object] = []
    monkeypatch.setattr(build, "read_bandwidth_bytes_s", lambda device: taken.append(device) or 7.0)
    models, device = ModelCache(), build.torch.device("cpu")
    assert [models.read_bytes_s(device) for _ in range(3)] == [7.0] * 3
    assert taken == [device]
