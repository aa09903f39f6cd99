"""Kinds with a swept key on their axis: depth, draft length, threshold, load, frontier."""

from pathlib import Path

import pytest

from tests.plots.folders import (
    assert_from_summary,
    figure_of,
    row,
    skipped,
    two_drafters,
    write_sweep,
)


def test_depth_compares_one_class_at_one_length(tmp_path: Path) -> None:
    rows = [
        row("d1", drafter="one", drafter_hash="1", drafter_layers=1, accepted_length=2.0),
        row("d3", drafter_layers=3),
        row("d3g8", drafter_layers=3, gamma=8),
        row("p", drafter="parallel", drafter_hash="p", drafter_class="parallel", drafter_head=None),
    ]
    folder = write_sweep(tmp_path / "s", rows)
    data = figure_of(folder, "depth").data
    assert set(data["point_id"]) == {"d1", "d3", "p"}
    assert_from_summary(data, folder, "drafter_layers", "accepted_length", "speedup_ci_high")
    assert data.set_index("point_id")["series"].to_dict() == {
        "d1": "semi_ar",
        "d3": "semi_ar",
        "p": "parallel",
    }


def test_depth_needs_several(tmp_path: Path) -> None:
    reason = "no class of drafters ran at several depths"
    assert skipped(write_sweep(tmp_path / "one", two_drafters()), "depth") == reason
    old = [{k: v for k, v in row("a").items() if not k.startswith("drafter_l")}]
    assert skipped(write_sweep(tmp_path / "old", old), "depth") == "no point has drafter_layers"


def test_draft_length_shows_what_a_cycle_brings_and_takes(tmp_path: Path) -> None:
    folder = write_sweep(
        tmp_path / "s", [values | {"cycle_s": 0.0125} for values in two_drafters()]
    )
    data = figure_of(folder, "draft_length").data
    assert len(data) == 6
    assert_from_summary(data, folder, "gamma", "accepted_length", "cycle_s")
    one = write_sweep(tmp_path / "one", [row("a")])
    assert skipped(one, "draft_length") == "gamma takes one value only"


def test_thresholds_are_a_curve_per_workload(tmp_path: Path) -> None:
    rows = [
        row(
            f"{name}{level}", workload=name, prompts_hash=name, scheduler="threshold",
            acceptance_rate_scheduled=0.5 + level / 10, **{"scheduler.threshold": level},
        )
        for name in ("math", "prose")
        for level in (0.0, 0.9)
    ]  # fmt: skip
    folder = write_sweep(tmp_path / "s", [*rows, row("fixed")])
    data = figure_of(folder, "threshold").data
    assert data["series"].tolist() == ["math", "math", "prose", "prose"]
    assert_from_summary(
        data,
        folder,
        "scheduler.threshold",
        "acceptance_rate_scheduled",
        "accepted_length",
        "speedup",
    )
    alone = write_sweep(tmp_path / "alone", [row("a", gamma=4)])
    assert skipped(alone, "threshold") == "no point has scheduler=threshold"


def _loads() -> list[dict[str, object]]:
    """Two schedulers at 1 and 8 requests at once; more users send more requests."""
    return [
        row(
            f"{scheduler}{users}", scheduler=scheduler, concurrency=users,
            prompts_hash=f"of {users}", throughput_tok_s=100.0 * users,
            verify_budget=8.0 - users / 2,
        )
        for scheduler in ("fixed", "hardware_aware")
        for users in (8, 1)
    ]  # fmt: skip


def test_load_and_frontier_are_curves_over_loads(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path / "s", _loads())
    figure = figure_of(folder, "load")
    load = figure.data
    assert load["series"].tolist() == ["fixed"] * 2 + ["hardware_aware"] * 2
    assert load["level"].tolist() == [1, 8, 1, 8]
    assert set(load["panel"]) == {""}
    assert_from_summary(load, folder, "speedup", "speedup_ci_low", "verify_budget")
    assert "over the baseline that took turns with it" in figure.caption[0]
    frontier = figure_of(folder, "frontier")
    assert_from_summary(
        frontier.data, folder, "tok_s_per_user", "throughput_tok_s", "baseline_tok_s_per_user"
    )
    assert "prompts or rounds per point" in frontier.caption[0]


def test_drift_between_points_moves_neither_load_nor_frontier(tmp_path: Path) -> None:
    """The machine ran at half its speed while hardware_aware was measured; its S is the higher."""
    rows = []
    for values in _loads():
        slow = 0.5 if values["scheduler"] == "hardware_aware" else 1.0
        gain = 1.5 if values["scheduler"] == "hardware_aware" else 1.2
        users = float(str(values["concurrency"]))
        speeds = {"baseline_tok_s": 80.0 * users * slow, "baseline_tok_s_per_user": 80.0 * slow}
        speeds |= {"throughput_tok_s": 80.0 * users * slow * gain}
        speeds |= {"tok_s_per_user": 80.0 * slow * gain, "speedup": gain}
        rows.append(values | speeds | {"speedup_ci_low": gain - 0.1, "speedup_ci_high": gain + 0.2})
    folder = write_sweep(tmp_path / "s", rows)
    data = figure_of(folder, "frontier").data
    assert data["level"].tolist() == [1, 8, 1, 8]
    assert data["common_baseline_tok_s"].tolist() == [60.0, 480.0, 60.0, 480.0]
    expected = pytest.approx([72.0, 576.0, 90.0, 720.0])
    assert data["normalised_throughput_tok_s"].tolist() == expected
    assert data["normalised_tok_s_per_user"].tolist() == pytest.approx([72.0, 72.0, 90.0, 90.0])
    lows = data["normalised_throughput_tok_s_ci_low"].tolist()
    assert lows == pytest.approx([66.0, 528.0, 84.0, 672.0])
    by_series = figure_of(folder, "load").data.groupby("series")["speedup"].mean()
    assert by_series["hardware_aware"] > by_series["fixed"]


def test_open_loops_are_apart_and_on_their_rate(tmp_path: Path) -> None:
    open_loop = [
        row(f"r{rate}", load="poisson", rate=rate, concurrency=16, speedup_basis="open")
        for rate in (0.5, 4.0)
    ]
    folder = write_sweep(tmp_path / "s", [*_loads(), *open_loop])
    data = figure_of(folder, "load").data
    own = data[data["panel"] == "load=poisson"]
    assert own["level"].tolist() == [0.5, 4.0]
    assert set(own["load_axis"]) == {"rate"}
    assert set(data["panel"]) == {"load=poisson", "load=closed"}


def test_loads_that_only_happen_to_differ_are_no_curve_beside_one_that_was_swept(
    tmp_path: Path,
) -> None:
    write_sweep(tmp_path / "r" / "load", _loads())
    for users in (1, 16):
        lone = row(f"lone{users}", concurrency=users, max_new_tokens=96)
        write_sweep(tmp_path / "r" / f"other{users}", [lone])
    assert set(figure_of(tmp_path / "r", "load").data["sweep"]) == {"load"}
    for folder in (tmp_path / "r").glob("load"):
        folder.rename(tmp_path / "away")
    together = figure_of(tmp_path / "r", "load").data  # nothing else there: one curve of two sweeps
    assert together["point_id"].tolist() == ["lone1", "lone16"]


def test_one_load_is_no_axis(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path / "s", two_drafters())
    reason = "no configuration ran at several loads (concurrency or rate)"
    assert skipped(folder, "load") == skipped(folder, "frontier") == reason


def test_points_without_the_baselines_speed_per_user_say_so(tmp_path: Path) -> None:
    rows = [values | {"baseline_tok_s_per_user": None} for values in _loads()]
    folder = write_sweep(tmp_path / "s", rows)
    assert skipped(folder, "frontier") == "no point stores its baseline's speed per user"


def _trees(users: int = 1) -> list[dict[str, object]]:
    """Chains of 4 and 8, trees of 4 and 8 nodes of depth 4, and a drafter without trees."""
    points = []
    for place, (tree, gamma, nodes) in enumerate(
        (("best_first", 4, 8), ("none", 8, None), ("none", 4, None), ("best_first", 4, 4))
    ):
        points.append(
            row(
                f"{tree}{gamma}{nodes}at{users}", gamma=gamma, tree=tree, tree_nodes=nodes,
                concurrency=users, verify_budget=(nodes or gamma) + 0.75,
                accepted_length=2.0 + place / 10, speedup=1.0 + place / 10 + users,
                **{"tree.nodes": nodes},
            )
        )  # fmt: skip
    return [*points, row(f"ngram{users}", drafter="ngram", tree="none", concurrency=users)]


def test_nodes_are_a_curve_for_chains_and_one_for_trees_per_load(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path / "s", [*_trees(1), *_trees(16)])
    figure = figure_of(folder, "nodes")
    data = figure.data
    assert sorted(set(data["panel"])) == ["concurrency=1", "concurrency=16"]
    own = data[data["panel"] == "concurrency=16"]
    assert own["series"].tolist() == ["best_first(depth=4)"] * 2 + ["chain"] * 2
    assert own["verified_nodes"].tolist() == [3.75, 7.75] * 2
    assert_from_summary(data, folder, "accepted_length", "speedup", "speedup_ci_low", "gamma")
    assert "verify_budget - 1" in figure.caption[0]
    assert skipped(write_sweep(tmp_path / "old", two_drafters()), "nodes") == "no point has a tree"


def test_trees_of_another_depth_are_another_curve(tmp_path: Path) -> None:
    rows = [*_trees(), row("deep", gamma=8, tree="best_first", tree_nodes=8, verify_budget=8.9)]
    data = figure_of(write_sweep(tmp_path / "s", rows), "nodes").data.set_index("point_id")
    names = data["series"]
    assert names["deep"] != names["best_first48at1"] != names["none4Noneat1"]
