"""The S curve's data: curves, panels, optima."""

from pathlib import Path

import pytest

from tests.plots.folders import (
    assert_from_summary,
    figure_of,
    metrics,
    row,
    skipped,
    two_drafters,
    write_sweep,
)

NUMBERS = (
    *("gamma", "speedup", "speedup_ci_low", "speedup_ci_high"),
    *("speedup_theory", "speedup_theory_ci_low", "speedup_model", "n_requests"),
)


def test_curves_by_drafter_and_rising_gamma(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path / "s", two_drafters())
    figure = figure_of(folder, "s_curve")
    data = figure.data
    assert_from_summary(data, folder, *NUMBERS)
    assert data["series"].tolist() == ["parallel"] * 3 + ["semi_ar"] * 3
    assert data["gamma"].tolist() == [2, 4, 8] * 2
    assert set(data["panel"]) == {""}
    assert set(data["n_units"]) == {24}
    assert "n = 24 prompts per point (72 requests)" in figure.caption[0]
    # Measured: both best at 4. Formula: 1.2 + .2, 1.25 + .4, .9 + .8 and 1.5, 2.0, 2.0.
    assert data.loc[data["is_measured_optimum"], "point_id"].tolist() == ["parallel4", "semi_ar4"]
    formula = data[data["is_formula_optimum"] & (data["series"] == "parallel")]
    assert formula["gamma"].tolist() == [8]


@pytest.mark.parametrize(
    ("key", "first", "second"),
    [
        ("workload", "math", "code"),
        ("temperature", 0.0, 1.0),
        ("load", "closed", "poisson"),
        ("concurrency", 1, 8),
        ("scheduler", "fixed", "confidence"),
        ("measure.repeats", 3, 5),
    ],
)
def test_other_settings_open_panels(
    tmp_path: Path, key: str, first: object, second: object
) -> None:
    rows = [
        row(f"{value}{gamma}", gamma=gamma, **{key: value})
        for value in (first, second)
        for gamma in (2, 4)
    ]
    data = figure_of(write_sweep(tmp_path / "s", rows), "s_curve").data
    titles = list(dict.fromkeys(data["panel"]))
    assert [title.split("=")[0] for title in titles] == [key, key]
    assert all(len(data[data["panel"] == title]) == 2 for title in titles)


def test_titles_name_workloads_not_their_hashes(tmp_path: Path) -> None:
    rows = [
        row(f"{name}{gamma}", gamma=gamma, workload=name, prompts_hash=name.upper())
        for name in ("math", "code")
        for gamma in (2, 4)
    ]
    data = figure_of(write_sweep(tmp_path / "s", rows), "s_curve").data
    assert set(data["panel"]) == {"workload=math", "workload=code"}


def test_a_point_measured_again_in_another_sweep_is_told_apart(tmp_path: Path) -> None:
    for name, speedup in (("old", 1.5), ("new", 1.6)):
        write_sweep(
            tmp_path / name, [row("a", speedup=speedup), row("b", gamma=2, speedup=speedup)]
        )
    data = figure_of(tmp_path, "s_curve").data
    assert set(data["panel"]) == {"sweep=old", "sweep=new"}
    assert len(data) == 4


def test_a_copy_of_a_measurement_is_shown_once(tmp_path: Path) -> None:
    for name in ("exhibit", "other"):
        write_sweep(tmp_path / name, [row("a"), row("b", gamma=2)])
    data = figure_of(tmp_path, "s_curve").data
    assert data["point_id"].tolist() == ["b", "a"]
    assert set(data["panel"]) == {""}


def test_panels_stand_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    rows = [
        row(f"{users}-{gamma}", concurrency=users, gamma=gamma)
        for users in (16, 4, 1)
        for gamma in (2, 4)
    ]
    data = figure_of(write_sweep(tmp_path / "s", rows), "s_curve").data
    titles = list(dict.fromkeys(data["panel"]))
    assert titles == ["concurrency=1", "concurrency=4", "concurrency=16"]


def test_groups_fit_with_a_panel_per_drafter(tmp_path: Path) -> None:
    rows = [
        row(
            f"{name}{place}{gamma}", drafter=name, drafter_hash=name, gamma=gamma,
            workload=f"w{place}", prompts_hash=f"w{place}",
        )
        for name in ("a", "b", "c", "d")
        for place in range(3)
        for gamma in (2, 4)
    ]  # fmt: skip
    figure = figure_of(write_sweep(tmp_path / "s", rows), "s_curve")
    assert set(figure.data["panel"]) == {"workload=w0", "workload=w1"}  # 2 x 4 of at most 9
    assert "1 further group of points is not shown" in figure.caption
    assert figure.canvas is not None
    titles = [axes.get_title(loc="left") for axes in figure.canvas.axes]
    assert titles[1].splitlines() == ["b, workload=w0", "best gamma: formula 2, measured 2"]


def test_two_checkpoints_of_a_drafter_are_two_curves(tmp_path: Path) -> None:
    rows = [
        row(f"{name}{gamma}", gamma=gamma, drafter_hash=name)
        for name in ("aaa", "bbb")
        for gamma in (2, 4)
    ]
    data = figure_of(write_sweep(tmp_path / "s", rows), "s_curve").data
    assert set(data["series"]) == {"drafter=aaa", "drafter=bbb"}
    assert set(data["panel"]) == {""}


def test_forced_acceptance_is_marked_simulated(tmp_path: Path) -> None:
    keys = {"keys": {"target": "zoo", "acceptance": "forced"}}
    folder = write_sweep(tmp_path / "s", [row("a"), row("b", gamma=2)], point=keys)
    assert set(figure_of(folder, "s_curve").data["panel"]) == {"(simulated acceptance)"}
    assert metrics()["point"] != keys


def test_curves_of_one_length_are_left_out_beside_longer_ones(tmp_path: Path) -> None:
    rows = [*two_drafters(), row("lone", drafter="ar", drafter_hash="ar")]
    figure = figure_of(write_sweep(tmp_path / "s", rows), "s_curve")
    assert "lone" not in set(figure.data["point_id"])
    assert "1 point whose gamma does not vary is not shown" in figure.caption


def test_one_point_is_a_figure_many_of_one_length_are_not(tmp_path: Path) -> None:
    one = write_sweep(tmp_path / "one", [row("a", speedup_model=None, speedup_ci_low=None)])
    assert figure_of(one, "s_curve").data["speedup"].tolist() == [1.5]
    many = [row("a"), row("b", concurrency=8)]
    reason = skipped(write_sweep(tmp_path / "many", many), "s_curve")
    assert reason == "gamma takes one value in every group of comparable points"


def test_nothing_to_plot_says_what_is_missing(tmp_path: Path) -> None:
    none = write_sweep(tmp_path / "none", [row("a", drafter="none", gamma=0)])
    assert skipped(none, "s_curve") == "no point has a drafter"
    unknown = write_sweep(tmp_path / "unknown", [row("a", speedup=None)])
    assert skipped(unknown, "s_curve") == "no point has speedup"
