"""What is drawn, mark by mark, where no two numbers of the results are equal.

Read from the picture's own artists: a curve of another column, or bars of another figure's
interval, stand where nothing should.
"""

from pathlib import Path

import matplotlib.axes
import numpy as np
import pytest
from matplotlib.container import ErrorbarContainer

from dspark_bench.plots.kinds.gap import TERMS
from tests.plots.folders import STAGES, figure_of, row, write_sweep

WITH_BOUNDS = (
    *("speedup", "speedup_theory", "accepted_length", "cycle_s", "baseline_step_s"),
    *("throughput_tok_s", "baseline_tok_s", "tok_s_per_user", "baseline_tok_s_per_user"),
    "verify_budget",
)
"""Figures with an interval that reaches down twice as far as up."""
ALONE = ("speedup_model", *TERMS, *STAGES)


def numbers(place: int) -> dict[str, float]:
    """Values of the point at this place: 1.01, 1.02, ... times 2 for the next one, and so on."""
    found: dict[str, float] = {}
    for number, name in enumerate((*WITH_BOUNDS, *ALONE), start=1):
        value = 2.0**place * (1 + number / 100)
        found[name] = value
        if name in WITH_BOUNDS:
            found[f"{name}_ci_low"] = value - number / 50
            found[f"{name}_ci_high"] = value + number / 100
    return found


def rows(**axis: list[float]) -> list[dict[str, object]]:
    """Three points along an axis."""
    ((name, values),) = axis.items()
    return [
        row(f"p{place}", **{name: value}, **numbers(place)) for place, value in enumerate(values)
    ]


def bars(axes: matplotlib.axes.Axes, which: int = 1) -> list[np.ndarray]:
    """Of every curve with error bars: [points, (value, low end, high end)], by x or by y."""
    found = []
    for container in axes.containers:
        assert isinstance(container, ErrorbarContainer)
        line, _, collections = container.lines
        segments = collections[-1 if which == 1 else 0].get_segments()
        values = np.asarray(line.get_data()[which], dtype=float)
        ends = np.array([[part[0][which], part[1][which]] for part in segments])
        found.append(np.column_stack([values, ends]))
    return found


def wanted(name: str, places: int = 3) -> np.ndarray:
    """The same of one column of the results."""
    own = [numbers(place) for place in range(places)]
    return np.array([[n[name], n[f"{name}_ci_low"], n[f"{name}_ci_high"]] for n in own])


def test_the_s_curve_draws_theory_measurement_and_model(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path / "s", rows(gamma=[2, 4, 8]))
    (axes,) = figure_of(folder, "s_curve").canvas.axes
    theory, measured = bars(axes)
    np.testing.assert_allclose(theory, wanted("speedup_theory"))
    np.testing.assert_allclose(measured, wanted("speedup"))
    model = [numbers(place)["speedup_model"] for place in range(3)]
    drawn = [np.asarray(line.get_ydata(), dtype=float).tolist() for line in axes.lines]
    assert model in drawn
    assert [numbers(place)["speedup_theory"] for place in range(3)] in drawn


def test_each_optimum_is_that_of_its_own_curve(tmp_path: Path) -> None:
    """Measured S is best at 2, the formula's at 8."""
    points = rows(gamma=[2, 4, 8])
    for point, speed in zip(points, (1.9, 1.8, 1.7), strict=True):
        point["speedup"] = speed
    folder = write_sweep(tmp_path / "s", points)
    figure = figure_of(folder, "s_curve")
    data = figure.data.set_index("gamma")
    assert data["is_measured_optimum"].tolist() == [True, False, False]
    assert data["is_formula_optimum"].tolist() == [False, False, True]
    title = figure.canvas.axes[0].get_title(loc="left")
    assert "formula 8, measured 2" in title


def test_accepted_lengths_and_latencies_have_their_own_bars(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path / "s", rows(gamma=[2, 4, 8]))
    above, below = figure_of(folder, "draft_length").canvas.axes
    np.testing.assert_allclose(bars(above), [wanted("accepted_length")])
    steps = [[numbers(place)["baseline_step_s"]] for place in range(3)]
    np.testing.assert_allclose(bars(below), [wanted("cycle_s") / steps])


def test_nodes_have_accepted_lengths_above_and_speedups_below(tmp_path: Path) -> None:
    trees = [{"tree": "best_first", "tree_nodes": size} for size in (4, 8, 16)]
    points = [point | tree for point, tree in zip(rows(seed=[0, 0, 0]), trees, strict=True)]
    above, below = figure_of(write_sweep(tmp_path / "s", points), "nodes").canvas.axes
    np.testing.assert_allclose(bars(above), [wanted("accepted_length")])
    np.testing.assert_allclose(bars(below), [wanted("speedup")])


TIMES = ("cycle_s", "cycle_s_ci_low", "cycle_s_ci_high", *STAGES)
STEP = ("baseline_step_s", "baseline_step_s_ci_low", "baseline_step_s_ci_high")


@pytest.mark.parametrize(
    ("kind", "columns"),
    [
        ("draft_length", ["cycle_steps", "cycle_steps_ci_low", "cycle_steps_ci_high"]),
        ("cycle_breakdown", ["t_verify_steps", "cycle_steps", "baseline_step_steps_ci_low"]),
    ],
)
def test_a_minute_in_which_the_machine_is_slow_makes_no_difference(
    tmp_path: Path, kind: str, columns: list[str]
) -> None:
    """All times of one point are tripled, its baseline's too."""
    found = []
    for name, pace in (("quiet", 1.0), ("slow", 3.0)):
        points = rows(gamma=[2, 4, 8])
        for column in (*TIMES, *STEP):
            points[1][column] = pace * float(str(points[1][column]))
        found.append(figure_of(write_sweep(tmp_path / name, points), kind).data[columns])
    np.testing.assert_allclose(*(data.to_numpy(dtype=float) for data in found))


def test_the_frontier_draws_both_arms_at_their_own_speeds(tmp_path: Path) -> None:
    """One point per load: its own baseline is the common one, so that nothing is moved.

    Only the throughput has an interval: that of S, here from 0.9 to 1.2 of it, times the baseline.
    """
    points = rows(concurrency=[1, 2, 4])
    for place, point in enumerate(points):
        speed = numbers(place)["throughput_tok_s"] / numbers(place)["baseline_tok_s"]
        point |= {"speedup": speed, "speedup_ci_low": 0.9 * speed, "speedup_ci_high": 1.2 * speed}
    (axes,) = figure_of(write_sweep(tmp_path / "s", points), "frontier").canvas.axes
    by_y, by_x = bars(axes), bars(axes, which=0)
    for place, names in enumerate(
        (("tok_s_per_user", "throughput_tok_s"), ("baseline_tok_s_per_user", "baseline_tok_s"))
    ):
        np.testing.assert_allclose(by_x[place][:, 0], wanted(names[0])[:, 0])
        np.testing.assert_allclose(by_y[place][:, 0], wanted(names[1])[:, 0])
    throughputs = wanted("throughput_tok_s")[:, :1]
    np.testing.assert_allclose(by_y[0][:, 1:], throughputs * np.array([[0.9, 1.2]]))


def test_the_waterfall_ends_at_theory_and_measurement_with_the_interval_of_each(
    tmp_path: Path,
) -> None:
    (point,) = rows(gamma=[4])
    folder = write_sweep(tmp_path / "s", [point])
    (axes,) = figure_of(folder, "gap").canvas.axes
    own = numbers(0)
    heights = [patch.get_height() for patch in axes.patches]
    terms = [own[name] for name in TERMS]
    assert heights == pytest.approx([own["speedup_theory"], *map(abs, terms), own["speedup"]])
    intervals = [
        line.get_ydata() for line in axes.lines
        if len(set(np.asarray(line.get_xdata(), dtype=float))) == 1
    ]  # fmt: skip
    ends = [
        [own[f"{name}_ci_low"], own[f"{name}_ci_high"]] for name in ("speedup_theory", "speedup")
    ]
    np.testing.assert_allclose(np.array(intervals, dtype=float), ends)


def test_stages_are_stacked_in_the_order_of_the_legend(tmp_path: Path) -> None:
    (point,) = rows(gamma=[4])
    folder = write_sweep(tmp_path / "s", [point])
    canvas = figure_of(folder, "cycle_breakdown").canvas
    (axes,) = canvas.axes
    own = numbers(0)
    widths = [patch.get_width() for patch in axes.patches]
    assert widths == pytest.approx([own[name] / own["baseline_step_s"] for name in STAGES])
    (label,) = [text.get_text() for text in axes.get_yticklabels()]
    assert f"(step {own['baseline_step_s'] * 1e3:.3g} ms)" in label
    shown = [text.get_text() for legend in canvas.legends for text in legend.get_texts()]
    assert [text for text in shown if f"t_{text}_s" in STAGES] == [
        name.removeprefix("t_").removesuffix("_s") for name in STAGES
    ]


def test_a_position_has_its_own_value_bounds_and_count(tmp_path: Path) -> None:
    """Agreement rests on contexts, conditional acceptance on drafts that were decided."""
    folder = write_sweep(
        tmp_path / "s",
        [row("p")],
        positions={"agreement": [0.81, 0.72], "conditional_acceptance": [0.63, 0.54]},
        position_counts={
            "accepted": [41.0, 22.0], "rejected": [13.0, 24.0], "agreement": [95.0, 86.0]
        },
        position_intervals={
            "agreement": {"low": [0.80, 0.70], "high": [0.83, 0.75], "n": 9},
            "conditional_acceptance": {"low": [0.60, 0.50], "high": [0.64, 0.56], "n": 9},
        },
    )  # fmt: skip
    figure = figure_of(folder, "acceptance_by_position")
    columns = ["curve", "position", "value", "value_ci_low", "value_ci_high", "count"]
    assert figure.data[columns].to_numpy().tolist() == [
        ["agreement", 1, 0.81, 0.80, 0.83, 95.0],
        ["agreement", 2, 0.72, 0.70, 0.75, 86.0],
        ["conditional_acceptance", 1, 0.63, 0.60, 0.64, 54.0],
        ["conditional_acceptance", 2, 0.54, 0.50, 0.56, 46.0],
    ]
    agreement, conditional, counts = figure.canvas.axes
    np.testing.assert_allclose(bars(agreement)[0], [[0.81, 0.80, 0.83], [0.72, 0.70, 0.75]])
    np.testing.assert_allclose(bars(conditional)[0], [[0.63, 0.60, 0.64], [0.54, 0.50, 0.56]])
    drawn = [np.asarray(line.get_ydata(), dtype=float).tolist() for line in counts.lines]
    assert sorted(drawn) == [[54.0, 46.0], [95.0, 86.0]]


def test_a_cell_of_the_table_holds_value_bounds_and_n(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path / "s", rows(gamma=[4]), n=17)
    markdown = figure_of(folder, "table1").texts["md"]
    own = numbers(0)
    low, high = own["accepted_length_ci_low"], own["accepted_length_ci_high"]
    assert f"| {own['accepted_length']:.2f} [{low:.2f}, {high:.2f}], n 17 |" in markdown


def test_the_better_supported_point_is_shown(tmp_path: Path) -> None:
    """Of points that differ in threads: with an interval first, then the one with more cycles."""
    bare = {"accepted_length_ci_low": None, "accepted_length_ci_high": None}
    points = [
        row("few", threads=1, n_cycles=100, accepted_length=2.1),
        row("many", threads=2, n_cycles=900, accepted_length=2.2),
        row("bare", threads=3, n_cycles=5000, accepted_length=2.3, **bare),
    ]
    data = figure_of(write_sweep(tmp_path / "s", points), "table1").data
    assert data["accepted_length"].tolist() == [2.2]
