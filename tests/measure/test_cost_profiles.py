"""Kept surfaces: whose they are, when they are believed, and on which prompts they are measured."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from dspark_bench.core.cost_surface import CostSurface
from dspark_bench.core.types import Request
from dspark_bench.machine.environment import Environment, read_environment
from dspark_bench.measure import cost_profiles
from dspark_bench.measure.cost_profiles import ProfiledSurface, measure_surface_now, surface_for
from tests.measure.points import Built, built
from tests.tiny_models import TinyZoo


def surface(*step_s: float) -> CostSurface:
    """One request; drafts of up to two."""
    return CostSurface((1,), (0, 1, 2), (step_s,), (1, 2), ((0.1, 0.2),), (0.0,), (0.0,))


@pytest.fixture(scope="module")
def one(tiny_zoo: TinyZoo, tmp_path_factory: pytest.TempPathFactory) -> Built:
    return built(tiny_zoo, tmp_path_factory.mktemp("point"), "gamma=2")


@pytest.fixture(scope="module")
def here() -> Environment:
    return read_environment()


@pytest.fixture
def ask(
    one: Built, here: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., ProfiledSurface]:
    """`surface_for` on a machine that measures what is handed in."""
    point = replace(one.point, results_dir=tmp_path)

    def asked(measured: CostSurface, **changed: Any) -> ProfiledSurface:
        monkeypatch.setattr(cost_profiles, "measure_surface", lambda *_: measured)
        return surface_for(
            changed.get("point", point),
            changed.get("objects", one.objects),
            changed.get("identity", one.identity),
            changed.get("environment", here),
        )

    return asked


@pytest.mark.parametrize(
    ("now", "origin"),
    [
        ((1.2, 2.4, 3.6), "kept"),
        ((0.82, 1.64, 2.46), "kept"),
        ((1.3, 2.6, 3.9), "measured"),
        ((0.7, 1.4, 2.1), "measured"),
        ((0.2, 2.0, 3.3), "kept"),  # one cell far off, the median 1
        ((9.0, 2.0, 3.3), "kept"),
        ((1.0, 3.0, 4.5), "measured"),  # one cell as before, the median half as much again
    ],
)
def test_a_kept_surface_is_believed_within_a_quarter(
    ask: Callable[..., ProfiledSurface], now: Sequence[float], origin: str
) -> None:
    assert ask(surface(1.0, 2.0, 3.0)).origin == "measured"
    found = ask(surface(*now))
    assert found.origin == origin
    assert found.surface == surface(*((1.0, 2.0, 3.0) if origin == "kept" else now))


def test_a_surface_belongs_to_machine_code_models_and_settings(
    ask: Callable[..., ProfiledSurface],
    one: Built,
    here: Environment,
    tiny_zoo: TinyZoo,
    tmp_path: Path,
) -> None:
    point = replace(one.point, results_dir=tmp_path)
    others: list[dict[str, Any]] = [
        {},
        {"environment": replace(here, cpu_model="another")},
        {"environment": replace(here, code_hash="another")},
        {"environment": replace(here, torch_build="another")},
        {"identity": replace(one.identity, target_hash="another")},
        {"identity": replace(one.identity, drafter_hash="another")},
        {"point": replace(point, gamma=1)},
        {"point": replace(point, max_new_tokens=7)},
        {"point": replace(point, sampling=replace(point.sampling, temperature=0.5))},
    ]
    others.append({"objects": built(tiny_zoo, tmp_path, "engine.kernels=torch").objects})
    paths = [ask(surface(1.0, 2.0, 3.0), **changed).path for changed in others]
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(threads + 1)
        paths.append(ask(surface(1.0, 2.0, 3.0)).path)
    finally:
        torch.set_num_threads(threads)
    assert len(set(paths)) == len(others) + 1
    assert ask(surface(1.0, 2.0, 3.0)).path == paths[0]


def test_surfaces_are_measured_on_prompts_that_the_run_does_not_serve(
    one: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Request] = []

    def spy(serve: object, prompts: Sequence[Request], *_: object) -> CostSurface:
        asked.extend(prompts)
        return surface(1.0, 2.0, 3.0)

    monkeypatch.setattr(cost_profiles, "measure_surface", spy)
    measure_surface_now(one.point, one.objects)
    assert asked == list(one.objects.prompts.calibration)
    assert not set(asked) & set(one.objects.prompts.requests)
