"""Kinds that show single points: the gap, the cycle, positions, the table."""

from pathlib import Path

import pandas as pd
import pytest

from tests.plots.folders import (
    GAP,
    STAGES,
    assert_from_summary,
    figure_of,
    row,
    skipped,
    two_drafters,
    write_sweep,
)


def test_the_gap_is_shown_at_each_drafters_best_length(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path / "s", two_drafters())
    data = figure_of(folder, "gap").data
    assert data["point_id"].tolist() == ["parallel4", "semi_ar4"]
    assert data["waterfall"].tolist() == ["parallel at gamma 4", "semi_ar at gamma 4"]
    assert_from_summary(data, folder, *GAP, "speedup_theory", "speedup", "speedup_ci_low")


def test_gaps_without_terms_are_skipped(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path / "s", [row("a", gap_truncation=None)])
    assert skipped(folder, "gap") == "no point has gap_truncation"


def test_a_cycle_has_its_stages_and_its_baseline(tmp_path: Path) -> None:
    stored = row("new", gamma=8, cycle_s=0.0064, cycle_s_ci_low=0.006, cycle_s_ci_high=0.007)
    folder = write_sweep(tmp_path / "s", [row("old"), stored])
    data = figure_of(folder, "cycle_breakdown").data
    assert data["point_id"].tolist() == ["old", "new"]
    assert_from_summary(data, folder, *STAGES, "baseline_step_s", "cycle_s_ci_low")
    assert data["cycle_s"].tolist() == pytest.approx([0.0064, 0.0064])  # the sum of the stages


def test_positions_come_with_intervals_and_counts(tmp_path: Path) -> None:
    rows = [
        row("few", n_cycles=10, concurrency=8),
        row("many", n_cycles=1000),
        row("scheduled", n_cycles=9000, scheduler="hardware_aware"),
        row("other", drafter="ar", drafter_hash="ar", n_cycles=5),
        row("long", n_cycles=5000, gamma=16),
    ]
    figure = figure_of(write_sweep(tmp_path / "s", rows), "acceptance_by_position")
    data = figure.data
    assert "Faint: n below 20." not in figure.caption[0]
    # gamma 4 is what both drafters have; a scheduler that selects says nothing about drafters
    assert set(data["point_id"]) == {"many", "other"}
    own = data[data["point_id"] == "many"].set_index(["curve", "position"])
    assert own["value"].to_dict() == {
        ("agreement", 1): 0.8,
        ("agreement", 2): 0.7,
        ("conditional_acceptance", 1): 0.75,
    }
    assert own["count"].tolist() == [55, 55, 40]  # 30 accepted and 10 rejected
    bounds = own.loc[("conditional_acceptance", 1)]
    assert (bounds["value_ci_low"], bounds["value_ci_high"]) == (0.6, 0.9)
    assert pd.isna(own.loc[("agreement", 1), "value_ci_low"])


def test_old_points_say_that_they_have_no_intervals(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path / "s", [row("a")], position_intervals={})
    assert (
        figure_of(folder, "acceptance_by_position")
        .caption[0]
        .endswith("No point stores an interval of acceptance.")
    )
    bare = write_sweep(tmp_path / "bare", [row("a")], positions={})
    assert skipped(bare, "acceptance_by_position") == "no point has acceptance by position"


def test_a_point_with_an_interval_is_preferred_to_one_with_more_cycles(tmp_path: Path) -> None:
    lone = row("lone", n_cycles=9000, concurrency=16, accepted_length_ci_low=None)
    folder = write_sweep(tmp_path / "s", [lone, row("few", n_cycles=300)])
    assert set(figure_of(folder, "acceptance_by_position").data["point_id"]) == {"few"}
    assert figure_of(folder, "table1").data["point_id"].tolist() == ["few"]


def test_groups_with_intervals_come_before_those_without(tmp_path: Path) -> None:
    def of(name: str) -> list[dict[str, object]]:
        workloads = [f"{name}{place}" for place in range(3)]
        return [row(w, workload=w, prompts_hash=w) for w in workloads]

    write_sweep(tmp_path / "old", of("bare"), position_intervals={})
    write_sweep(tmp_path / "new", of("sure"))
    figure = figure_of(tmp_path, "acceptance_by_position")
    shown = list(dict.fromkeys(figure.data["point_id"]))
    assert len(shown) == 4 and shown[1:] == ["sure0", "sure1", "sure2"]
    assert "2 further groups of points are not shown" in figure.caption


def test_positions_with_few_drafts_are_called_faint(tmp_path: Path) -> None:
    few = {"accepted": [9.0, 0.0], "rejected": [1.0, 0.0], "agreement": [55.0, 55.0]}
    folder = write_sweep(tmp_path / "s", [row("a")], position_counts=few)
    assert figure_of(folder, "acceptance_by_position").caption[0].endswith("Faint: n below 20.")


def test_the_table_has_a_row_per_drafter_and_a_column_per_workload(tmp_path: Path) -> None:
    rows = [
        row("m", workload="math", prompts_hash="m", accepted_length=5.25),
        row("p", workload="prose", prompts_hash="p"),
        row("x", workload="math", prompts_hash="m", drafter="a_b", drafter_hash="x"),
        row("short", workload="math", prompts_hash="m", gamma=2),
    ]
    folder = write_sweep(tmp_path / "s", rows)
    figure = figure_of(folder, "table1")
    assert figure.canvas is None
    assert set(figure.data["point_id"]) == {"m", "p", "x"}  # gamma 4 fills most cells
    assert_from_summary(figure.data, folder, "accepted_length", "accepted_length_ci_low", "gamma")
    lines = figure.texts["md"].splitlines()
    assert lines[0] == "| target | drafter | gamma | math | prose |"
    expected = "| zoo | semi_ar | 4 | 5.25 [2.40, 2.60], n 24 | 2.50 [2.40, 2.60], n 24 |"
    assert expected in lines
    assert "| zoo | a_b | 4 | 2.50 [2.40, 2.60], n 24 | - |" in lines
    assert r"zoo & a\_b & 4 & 2.50 [2.40, 2.60], n 24 & - \\" in figure.texts["tex"]


def test_an_empty_panel_says_that_it_was_not_measured(tmp_path: Path) -> None:
    positions = {"conditional_acceptance": [0.8, 0.7]}
    folder = write_sweep(tmp_path / "s", [row("a")], positions=positions)
    canvas = figure_of(folder, "acceptance_by_position").canvas
    assert canvas is not None
    texts = [[text.get_text() for text in axes.texts] for axes in canvas.axes]
    assert texts == [["not measured"], [], []]
