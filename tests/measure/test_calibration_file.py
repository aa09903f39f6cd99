"""Whose temperatures a point is given, of several that lie in one file."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from dspark_bench.config.point_config import PointConfig
from dspark_bench.core.types import SamplingParams
from dspark_bench.measure.calibration_file import add_entry, find_calibration, read_entries
from tests.measure.points import plan
from tests.tiny_models import TinyZoo

_SAMPLINGS = {
    1.5: SamplingParams(),
    2.5: SamplingParams(0.6),
    3.5: SamplingParams(0.6, top_k=20),
    4.5: SamplingParams(0.6, top_p=0.9),
    5.5: SamplingParams(0.0),
}
"""Each calibrated by the temperature that is its key here."""


@pytest.fixture(scope="module")
def planned(tiny_zoo: TinyZoo, tmp_path_factory: pytest.TempPathFactory) -> PointConfig:
    return plan(tiny_zoo, tmp_path_factory.mktemp("point"), "gamma=2")[0]


@pytest.fixture
def point(planned: PointConfig, tmp_path: Path) -> PointConfig:
    """A point that reads a file of five entries for its models and one for other ones."""
    path = tmp_path / "mine.json"
    names = {"target_hash": "t", "drafter_hash": "d"}
    entries = [
        names | {"sampling": asdict(sampling), "temperatures": [value] * 3}
        for value, sampling in _SAMPLINGS.items()
    ]
    entries.insert(0, entries[0] | {"target_hash": "other", "temperatures": [9.0]})
    path.write_text(json.dumps({"schema_version": 1, "calibrations": entries}))
    return replace(planned, calibrator=replace(planned.calibrator, arguments={"path": str(path)}))


@pytest.mark.parametrize("value", _SAMPLINGS)
def test_the_entry_of_this_very_sampling_is_taken(point: PointConfig, value: float) -> None:
    found = find_calibration(replace(point, sampling=_SAMPLINGS[value]), "t", "d")
    assert found.stored is not None and found.stored.temperatures == (value,) * 3


def test_another_sampling_or_other_weights_find_none(point: PointConfig) -> None:
    found = find_calibration(replace(point, sampling=SamplingParams(0.7)), "t", "d")
    assert found.stored is None and "made for temperature=1.0, temp" in str(found.note)
    for hashes in (("t", "other"), ("another", "d")):
        found = find_calibration(point, *hashes)
        assert found.stored is None and "made for other weights" in str(found.note)


def test_a_new_entry_takes_the_place_of_its_like_alone(point: PointConfig) -> None:
    path = Path(str(point.calibrator.arguments["path"]))
    before = read_entries(path)
    new = before[2] | {"temperatures": [7.0]}
    add_entry(path, new)
    kept = [entry for entry in before if entry != before[2]]
    assert read_entries(path) == [*kept, new]
    assert read_entries(path)[-1]["sampling"] == asdict(_SAMPLINGS[2.5])
    retrained = new | {"drafter_hash": "d2"}
    add_entry(path, retrained)
    assert read_entries(path) == [retrained]
