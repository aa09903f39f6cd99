"""The S curve's data, panels and files."""

from pathlib import Path

import numpy as np
import pytest

from dspark_bench.core.errors import ResultsError, UsageError
from dspark_bench.plots.figures import plot
from dspark_bench.plots.s_curve import caption
from tests.plots.folders import row, two_drafters, write_sweep


def test_curves_by_drafter_and_rising_gamma(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path / "s", two_drafters())
    report = plot(folder)
    (panel,) = report.panels
    semi_ar, parallel = panel.curves
    assert (semi_ar.label, parallel.label) == ("semi_ar", "parallel")
    np.testing.assert_allclose(semi_ar.gamma, [2, 4, 8])
    np.testing.assert_allclose(semi_ar.measured, [1.3, 1.6, 1.2])
    np.testing.assert_allclose(semi_ar.low, [1.2, 1.5, 1.1])
    np.testing.assert_allclose(semi_ar.high, [1.35, 1.65, 1.25])
    np.testing.assert_allclose(parallel.theory, [1.6, 1.65, 1.3])
    np.testing.assert_allclose(parallel.model, [1.3, 1.35, 1.0])
    assert semi_ar.gamma[semi_ar.best] == 4
    assert report.written == (folder / "figures/s_curve.png", folder / "figures/s_curve.svg")
    assert report.written[0].read_bytes().startswith(b"\x89PNG")
    text = report.written[1].read_text()
    assert "n = 24 prompts or A-B blocks per point (72 requests)" in text
    assert "gamma (draft tokens per cycle)" in text


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
    rows = [row("a", **{key: first}), row("b", **{key: second})]
    report = plot(write_sweep(tmp_path / "s", rows), formats=("svg",))
    assert [panel.title.split("=")[0] for panel in report.panels] == [key, key]
    assert all(len(panel.curves) == 1 for panel in report.panels)


def test_titles_name_workloads_not_their_hashes(tmp_path: Path) -> None:
    rows = [
        row("a", workload="math", prompts_hash="x"),
        row("b", workload="code", prompts_hash="y"),
    ]
    titles = [p.title for p in plot(write_sweep(tmp_path / "s", rows), formats=("svg",)).panels]
    assert titles == ["workload=math", "workload=code"]


def test_same_point_in_two_sweeps_is_told_apart(tmp_path: Path) -> None:
    write_sweep(tmp_path / "old", [row("a")])
    write_sweep(tmp_path / "new", [row("a", speedup=1.1)])
    titles = {panel.title for panel in plot(tmp_path, tmp_path / "out", ("svg",)).panels}
    assert titles == {"sweep=old", "sweep=new"}


def test_two_checkpoints_of_a_drafter_are_two_curves(tmp_path: Path) -> None:
    rows = [row("a", drafter_hash="aaa"), row("b", drafter_hash="bbb")]
    (panel,) = plot(write_sweep(tmp_path / "s", rows), formats=("svg",)).panels
    assert [c.label for c in panel.curves] == ["semi_ar drafter=aaa", "semi_ar drafter=bbb"]


def test_forced_acceptance_is_marked_simulated(tmp_path: Path) -> None:
    rows = [row("a", acceptance="exact"), row("b", acceptance="forced")]
    panels = plot(write_sweep(tmp_path / "s", rows), formats=("svg",)).panels
    assert [panel.title.endswith("(simulated acceptance)") for panel in panels] == [False, True]


def test_missing_figures_do_not_stop_the_plot(tmp_path: Path) -> None:
    rows = [
        row("a", speedup_model=None, speedup_ci_low=None, speedup_ci_high=None),
        row("b", gamma=8, speedup=None),
        row("c", gamma=0, drafter="none"),
    ]
    report = plot(write_sweep(tmp_path / "s", rows), formats=("png",))
    assert np.isnan(report.panels[0].curves[0].model).all()
    assert {point.point_id for point in report.skipped} == {"b", "c"}


def test_caption_gives_ranges(tmp_path: Path) -> None:
    write_sweep(tmp_path / "a", [row("a", gamma=2, n_requests=10)], n=5)
    write_sweep(tmp_path / "b", [row("b", gamma=4, n_requests=72)], n=24)
    report = plot(tmp_path, tmp_path / "out", ("svg",))
    assert "n = 5 to 24 prompts or A-B blocks per point (10 to 72 requests)" in caption(
        report.panels
    )


def test_errors_are_plain(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path / "s", [row("c", gamma=0, drafter="none")])
    with pytest.raises(ResultsError, match="no speedup against gamma"):
        plot(folder)
    with pytest.raises(UsageError, match="png, svg, pdf"):
        plot(folder, formats=("gif",))
