"""What `plot` writes, prints and refuses."""

import json
from pathlib import Path

import pandas as pd
import pytest

from dspark_bench import cli
from dspark_bench.core.errors import ResultsError, UsageError
from dspark_bench.plots.command import PlotRequest, run_plot
from dspark_bench.plots.kinds import find_kinds
from tests.plots.folders import row, two_drafters, write_sweep
from tests.plots.kinds.test_files import SURFACE

KINDS = (
    "s_curve arms gap cycle_breakdown acceptance_by_position table1 depth draft_length nodes "
    "threshold reliability frontier load cost_curve timeline"
).split()


def test_every_kind_is_found_and_has_a_place_of_its_own() -> None:
    kinds = find_kinds()
    assert sorted(kind.name for kind in kinds) == sorted(KINDS)
    assert len({kind.place for kind in kinds}) == len(kinds)


def test_data_lies_beside_each_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_sweep(tmp_path / "s", two_drafters())
    few = ["--kind", "s_curve", "--kind", "timeline"]
    assert cli.execute(["plot", str(folder), *few, "--format", "png,svg"]) == 0
    shown = capsys.readouterr().out
    figures = folder / "figures"
    assert (figures / "s_curve.png").read_bytes().startswith(b"\x89PNG")
    text = (figures / "s_curve.svg").read_text()
    assert "gamma (draft tokens per cycle)" in text
    assert "n = 24 prompts per point" in text
    assert str(figures / "s_curve.csv") in shown
    assert "skipped: timeline: no point has a timeline" in shown
    report = run_plot(PlotRequest((folder,), tmp_path / "again", ("svg",)))
    for figure in report.figures:
        written = pd.read_csv(tmp_path / "again" / f"{figure.kind}.csv", dtype={"point_id": str})
        expected = figure.data.replace({"": None, None: None}).dropna(axis=1, how="all")
        pd.testing.assert_frame_equal(written[list(expected.columns)], expected, check_dtype=False)
    again = (tmp_path / "again" / "s_curve.svg").read_text()
    assert again == text  # the same results give the same file


def test_kinds_styles_and_formats_can_be_chosen(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path / "s", two_drafters())
    out = tmp_path / "out"
    command = ["plot", str(folder), "--kind", "gap", "--kind", "s_curve", "--out", str(out)]
    assert cli.execute([*command, "--style", "dark", "--format", "pdf"]) == 0
    names = {path.name for path in out.iterdir()}
    assert names == {"gap-dark.pdf", "gap.csv", "s_curve-dark.pdf", "s_curve.csv"}


def test_several_sweeps_and_their_parent_give_the_same_figures(tmp_path: Path) -> None:
    write_sweep(tmp_path / "r" / "a", [row("a", gamma=2)])
    write_sweep(tmp_path / "r" / "b", [row("b", gamma=4)])
    few = ("s_curve", "gap")
    parent = run_plot(PlotRequest((tmp_path / "r",), tmp_path / "x", ("svg",), kinds=few))
    paths = (tmp_path / "r" / "a", tmp_path / "r" / "b")
    both = PlotRequest(paths, None, ("svg",), kinds=few)
    apart = run_plot(both)
    assert both.folder == tmp_path / "r" / "figures"
    assert [f.kind for f in parent.figures] == [f.kind for f in apart.figures]
    curves = [f.data for f in apart.figures if f.kind == "s_curve"]
    assert curves[0]["gamma"].tolist() == [2, 4]  # one curve over both


def test_a_file_of_profile_is_a_cost_curve(tmp_path: Path) -> None:
    path = tmp_path / "surface.json"
    path.write_text(json.dumps({"surface": SURFACE}))
    report = run_plot(PlotRequest((path,), formats=("svg",)))
    assert [figure.kind for figure in report.figures] == ["cost_curve"]
    assert (tmp_path / "figures" / "cost_curve.svg").is_file()


def test_half_finished_and_corrupt_sweeps_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    half = write_sweep(tmp_path / "r" / "half", [row("a")])
    points = [{"point_id": name, "status": "pending"} for name in ("a", "b", "c")]
    (half / "sweep.json").write_text(json.dumps({"points": points}))
    torn = write_sweep(tmp_path / "r" / "torn", [row("t")])
    (torn / "sweep.json").write_bytes(b"\xff\x00{")
    arguments = ["plot", str(tmp_path / "r"), "--format", "svg", "--kind", "table1"]
    assert cli.execute(arguments) == 0
    errors = capsys.readouterr().err.splitlines()
    assert "left out: half: 2 of 3 points not measured yet" in errors
    assert any(line.startswith("left out: torn: cannot read") for line in errors)
    assert len(errors) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--format", "gif"], "format 'gif' is unknown; valid: png, svg, pdf"),
        (["--kind", "pie"], "kind 'pie' is unknown; valid: s_curve, arms, gap"),
        (["--style", "neon"], "style 'neon' is unknown; valid: light, dark"),
    ],
)
def test_unknown_choices_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    folder = write_sweep(tmp_path / "s", [row("a")])
    assert cli.execute(["plot", str(folder), *options]) == UsageError.exit_code
    assert message in capsys.readouterr().err
    assert not (folder / "figures").exists()


def test_results_without_any_figure_are_an_error(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path / "s", [row("a", drafter="none", gamma=0)])
    with pytest.raises(ResultsError, match=r"no figure of .*: s_curve: no point has a drafter"):
        run_plot(PlotRequest((folder,)))
    with pytest.raises(ResultsError, match="is not a folder"):
        run_plot(PlotRequest((tmp_path / "absent",)))
