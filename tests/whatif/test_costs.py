"""Where costs come from, and what they say."""

import json
from pathlib import Path
from typing import Any

import pytest

from dspark_bench.core.errors import ResultsError
from dspark_bench.reading.gather import gather
from dspark_bench.reading.surfaces import read_surface
from dspark_bench.whatif.base import find_base
from dspark_bench.whatif.costs import CycleCosts, RequestCosts, costs_at, surfaces_of
from tests.export.folders import edit_metrics
from tests.whatif.folders import SURFACE, profile, write_record, write_surface


def test_a_point_profile_comes_before_a_points_surface_and_a_named_file_before_both(
    tmp_path: Path,
) -> None:
    folder = write_record(tmp_path / "s")
    write_surface(folder / "points" / "c" / "cost_surface.json")
    base = find_base(gather(folder))
    own = surfaces_of(base.owners, None)
    assert [item.source for item in own] == ["surface of c"]
    assert isinstance(costs_at(2, 1, base.points, own, False), RequestCosts)
    assert isinstance(costs_at(3, 1, base.points, own, False), CycleCosts)  # no such profile
    assert isinstance(costs_at(2, 4, base.points, own, False), CycleCosts)
    named = surfaces_of(base.owners, write_surface(tmp_path / "named.json"))
    found = costs_at(2, 1, base.points, named, True)
    assert isinstance(found, CycleCosts) and found.source == "named.json"


def test_the_surface_of_the_largest_batches_is_read_first(tmp_path: Path) -> None:
    folder = write_record(tmp_path / "s")
    small = {"requests": [1], "step_s": [[0.01] * 4], "draft_s": [[0.001] * 3]}
    small |= {"absorb_s": [0.0], "uneven_s": [0.0]}
    write_surface(folder / "points" / "a" / "cost_surface.json", **small)
    write_surface(folder / "points" / "b" / "cost_surface.json")
    found = surfaces_of(find_base(gather(folder)).owners, None)
    assert [item.source for item in found] == ["surface of b", "surface of a"]


@pytest.mark.parametrize(
    "broken",
    [
        None,
        {"profile": None},
        {"profile": {"step_s": 0.01}},
        {"profile": "x"},
        {"mean_output_tokens": None},
        {"mean_output_tokens": 1.0},
        {"profile": profile(2)["profile"] | {"step_s": 0.0}},
        {"profile": profile(2)["profile"] | {"verify_s": [0.01]}},
        {"profile": profile(2)["profile"] | {"draft_s": [None] * 9}},
        {"profile": profile(2)["profile"] | {"prefill_s": "x"}},
    ],
)
def test_a_profile_that_is_not_whole_is_none(tmp_path: Path, broken: dict[str, Any] | None) -> None:
    folder = write_record(tmp_path / "s")
    edit_metrics(folder, "a", model_inputs=broken or {"profile": {}})
    found = costs_at(2, 1, find_base(gather(folder)).points, (), False)
    assert isinstance(found, str) and "gamma 4 only" in found


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", json.dumps(SURFACE | {"widths": [1, 2, 3, 4]}), '{"surface": 3}']
)
def test_a_file_without_a_surface_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "costs.json"
    path.write_text(text)
    with pytest.raises(ResultsError, match=r"costs\.json"):
        read_surface(path)
    with pytest.raises(ResultsError, match=r"absent\.json"):
        read_surface(tmp_path / "absent.json")
