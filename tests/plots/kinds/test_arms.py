"""The arms of a block: sorted, and ranked by what was measured together."""

import json
from pathlib import Path

import pandas as pd
import pytest

from dspark_bench.plots.settings import shared_settings
from tests.plots.folders import assert_from_summary, figure_of, row, skipped, write_sweep
from tests.report.folders import write_times

_SECONDS = {f"p{n}": (1.0 + n, 1.25 * (1.0 + n)) for n in range(10)}


def _arm(folder: Path, point_id: str, faster: float) -> None:
    """Records of an arm that is faster by about a factor on every prompt."""
    scatter = (0.99, 1.0, 1.01) if faster > 1 else (1.0, 1.0, 1.0)
    times = {
        prompt: (own / (faster * scatter[place % 3]), base)
        for place, (prompt, (own, base)) in enumerate(_SECONDS.items())
    }
    write_times(folder / "points" / point_id, times)


def test_arms_by_falling_s_with_the_winners_lead_over_each(tmp_path: Path) -> None:
    rows = [
        row("slow", gamma=2, speedup=1.25, block_id="b"),
        row("fast", gamma=4, speedup=1.5, block_id="b"),
        row("alone", gamma=4, seed=1, speedup=9.0, block_id="c"),
    ]
    folder = write_sweep(tmp_path / "s", rows)
    _arm(folder, "slow", 1.0)
    _arm(folder, "fast", 1.2)
    data = figure_of(folder, "arms").data.set_index("point_id", drop=False)
    assert list(data["point_id"]) == ["fast", "slow"]
    assert list(data["verdict"]) == ["fastest", "clearly slower"]
    assert data.loc["slow", "lead"] == pytest.approx(1.2, rel=0.01)
    assert 1.15 < data.loc["slow", "lead_ci_low"] <= data.loc["slow", "lead_ci_high"] < 1.25
    assert data.loc["fast", "lead"] != data.loc["fast", "lead"]  # none over itself
    assert_from_summary(data.reset_index(drop=True), folder, "speedup", "speedup_ci_low", "gamma")


def test_arms_whose_records_are_gone_are_not_ranked(tmp_path: Path) -> None:
    rows = [row(f"g{gamma}", gamma=gamma, speedup=gamma, block_id="b") for gamma in (2, 4)]
    data = figure_of(write_sweep(tmp_path / "s", rows), "arms").data
    assert list(data["gamma"]) == [4, 2]
    assert (
        list(data["verdict"]) == ["not compared: the records are not there"] * 2
        and data["lead"].isna().all()
    )


def test_without_blocks_there_is_nothing_to_rank(tmp_path: Path) -> None:
    old = write_sweep(tmp_path / "old", [row("a"), row("b", gamma=8)])
    assert skipped(old, "arms") == "no point knows its block: measured by an earlier version"
    one = [row("a", block_id="x"), row("b", gamma=8, block_id="y")]
    assert skipped(write_sweep(tmp_path / "one", one), "arms") == "no block has two arms"


def test_arms_that_differ_in_a_schedulers_key_alone_are_called_by_it(tmp_path: Path) -> None:
    rows = [
        row(f"t{share}", scheduler="threshold", speedup=1 + share, block_id="b")
        for share in (0.3, 0.6)
    ]
    folder = write_sweep(tmp_path / "s", rows)
    for share in (0.3, 0.6):
        path = folder / "points" / f"t{share}" / "metrics.json"
        content = json.loads(path.read_text())
        content["point"]["keys"]["scheduler.threshold"] = share
        path.write_text(json.dumps(content))
    data = figure_of(folder, "arms").data
    assert list(data["series"]) == [
        "scheduler.threshold=0.6",
        "scheduler.threshold=0.3",
    ]
    assert list(data["scheduler.threshold"]) == [0.6, 0.3] and data["panel"].nunique() == 1


def test_a_caption_names_the_tree_that_all_points_share() -> None:
    said = {}
    for tree, nodes in (("none", None), ("beam", 8)):
        values = {"tree": tree, "tree_nodes": nodes}
        said[tree] = shared_settings(pd.DataFrame([row("a", **values), row("b", **values)]))
    assert "gamma=4, tree=beam, tree_nodes=8, workload=mixed" in said["beam"]
    assert "gamma=4, workload=mixed" in said["none"]
