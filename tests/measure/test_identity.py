"""What makes another point of the same command: an edited plug-in, another calibration."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from dspark_bench.config.point_config import Component, PointConfig
from dspark_bench.core.types import Request, SamplingParams
from dspark_bench.measure.identity import HashCache, Identity, identify
from dspark_bench.measure.predictions import engine_config
from tests.measure.points import plan
from tests.tiny_models import TinyZoo

_MINE = """
from dspark_bench.schedulers.fixed import FixedScheduler


class Mine(FixedScheduler):
    '''Like fixed.'''
"""


@pytest.fixture(scope="module")
def planned(
    tiny_zoo: TinyZoo, tmp_path_factory: pytest.TempPathFactory
) -> tuple[PointConfig, Identity]:
    return plan(tiny_zoo, tmp_path_factory.mktemp("point"), "gamma=2")


def test_editing_a_plug_in_makes_another_point(
    planned: tuple[PointConfig, Identity], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "my_scheduler_for_identity.py"
    module.write_text(_MINE)
    monkeypatch.syspath_prepend(str(tmp_path))
    component = Component("mine", "my_scheduler_for_identity.Mine", {})
    point = replace(planned[0], scheduler=component)
    first = identify(point, HashCache())
    assert identify(point, HashCache()) == first
    module.write_text(_MINE + "# edited\n")
    second = identify(point, HashCache())
    assert first.point_id != second.point_id != planned[1].point_id
    assert first.plugin_hashes != second.plugin_hashes


def test_only_a_calibration_of_this_sampling_makes_another_point(
    planned: tuple[PointConfig, Identity], tmp_path: Path
) -> None:
    point, identity = planned
    path = tmp_path / "calibration.json"
    point = replace(point, calibrator=replace(point.calibrator, arguments={"path": str(path)}))

    def with_entry(sampling: SamplingParams, temperature: float) -> str:
        entry = {
            "target_hash": identity.target_hash,
            "drafter_hash": identity.drafter_hash,
            "sampling": asdict(sampling),
            "temperatures": [temperature, temperature],
        }
        path.write_text(json.dumps({"schema_version": 1, "calibrations": [entry]}))
        return identify(point, HashCache()).point_id

    warm, warmer = with_entry(point.sampling, 2.0), with_entry(point.sampling, 3.0)
    other, another = (with_entry(SamplingParams(0.3), value) for value in (2.0, 3.0))
    assert len({warm, warmer, other}) == 3
    assert other == another


def test_how_prompts_are_read_makes_another_point(
    planned: tuple[PointConfig, Identity], tiny_zoo: TinyZoo, tmp_path: Path
) -> None:
    """The default, which is written out in every point, a chunk of another size, whole prompts."""
    assert planned[0].values["engine"]["prefill_tokens"] == 512
    found = {
        more: plan(tiny_zoo, tmp_path, "gamma=2", f"engine.prefill_tokens={more}")
        for more in ("512", "64", "null")
    }
    assert len({identity.point_id for _, identity in found.values()}) == 3
    assert [point.engine.prefill_tokens for point, _ in found.values()] == [512, 64, None]
    request = Request(0, "p", "", (1, 2), 4)
    rooms = [engine_config(point, [request], 3) for point, _ in found.values()]
    assert [room.prefill_tokens for room in rooms] == [512, 64, None]
