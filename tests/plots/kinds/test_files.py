"""Kinds that read a file of a point: reliability, cost curve, timeline."""

import json
from pathlib import Path

import pandas as pd
import pytest

from dspark_bench.plots.kinds.reliability import wilson
from dspark_bench.plots.kinds.timeline import _steps
from tests.plots.folders import figure_of, row, skipped, write_sweep

BINS = """stage,position,bin,count,num_survived,mean_predicted
before,1,3,40,10,0.22
before,1,14,60,57,0.97
before,2,3,50,20,0.25
after,1,4,100,67,0.3
after,2,3,50,20,0.21
"""
SURFACE = {
    "requests": [1, 2],
    "widths": [0, 3],
    "step_s": [[0.005, 0.008], [0.006, 0.01]],
    "slots": [1],
    "draft_s": [[0.001], [0.002]],
    "absorb_s": [0.0, 0.0],
    "uneven_s": [0.0, 0.0],
}
TIMELINE = """arm,time_s,duration_s,num_cycles,num_waiting,batch_size,verify_budget,tok_s
baseline,0.0,0.5,1,2.0,8.0,,100
speculative,0.0,0.25,1,3.0,8.0,4.5,200
speculative,0.25,0.25,1,0.0,4.0,6.0,220
"""


def test_reliability_shows_bins_and_scores_of_one_point(tmp_path: Path) -> None:
    scores = {
        "before": {"ece": [0.05, 0.06], "auc": [0.8, None], "n": [100, 50]},
        "after": {"ece": [0.02, 0.03], "auc": [0.81, 0.7], "n": [100, 50]},
    }
    plain = BINS.replace("after,1,4,100,67,0.3\n", "after,1,3,40,10,0.22\nafter,1,14,60,57,0.97\n")
    plain = plain.replace("after,2,3,50,20,0.21", "after,2,3,50,20,0.25")
    folder = write_sweep(
        tmp_path / "s",
        [row("none", n_cycles=9000), row("fitted"), row("bare", n_cycles=99999)],
        files={"none": {"reliability.csv": plain}, "fitted": {"reliability.csv": BINS}},
        calibration=scores,
    )
    figure = figure_of(folder, "reliability")
    data = figure.data
    assert set(data["point_id"]) == {"fitted"}  # calibration changed something there
    source = pd.read_csv(folder / "points/fitted/reliability.csv")
    pd.testing.assert_frame_equal(data[list(source.columns)], source)
    assert data["observed"].tolist() == pytest.approx([0.25, 0.95, 0.4, 0.67, 0.4])
    assert data["ece"].tolist() == [0.05, 0.05, 0.06, 0.02, 0.03]
    assert pd.isna(data["auc"].iloc[2]) and data["auc"].iloc[4] == 0.7
    assert "one of 2" in figure.caption[0]


def test_reliability_prefers_long_drafts_to_more_cycles(tmp_path: Path) -> None:
    short = "\n".join(line for line in BINS.splitlines() if ",2,3," not in line)
    folder = write_sweep(
        tmp_path / "s",
        [row("short", n_cycles=9000, gamma=1), row("long", gamma=2)],
        files={"short": {"reliability.csv": short}, "long": {"reliability.csv": BINS}},
    )
    assert set(figure_of(folder, "reliability").data["point_id"]) == {"long"}


def test_a_run_without_calibration_says_so(tmp_path: Path) -> None:
    head, *lines = BINS.splitlines()
    same = [line for line in lines if line.startswith("before")]
    text = "\n".join([head, *same, *(line.replace("before", "after") for line in same)])
    folder = write_sweep(tmp_path / "s", [row("a")], files={"a": {"reliability.csv": text}})
    assert figure_of(folder, "reliability").caption[0].endswith("before and after are the same.")


def test_wilson_by_hand() -> None:
    # 0 of 10: [0, z^2/(10 + z^2)]; 5 of 10 is symmetric about one half.
    low, high = wilson(pd.Series([0.0, 5.0]), pd.Series([10.0, 10.0]))
    assert (low[0], high[0]) == (0, pytest.approx(3.8416 / 13.8416))
    assert low[1] == pytest.approx(1 - high[1]) and low[1] == pytest.approx(0.2366, abs=1e-4)


def test_a_surface_is_shown_once_as_steps_per_second(tmp_path: Path) -> None:
    text = json.dumps({"surface": SURFACE})
    slower = json.dumps({"surface": SURFACE | {"step_s": [[0.01, 0.02], [0.02, 0.04]]}})
    files = {name: {"cost_surface.json": text} for name in ("a", "b")}
    rows = [row("a"), row("b", concurrency=2), row("c", gamma=8), row("d", gamma=2)]
    folder = write_sweep(tmp_path / "s", rows, files=files | {"c": {"cost_surface.json": slower}})
    data = figure_of(folder, "cost_curve").data
    assert dict.fromkeys(data["point_id"]) == {"a": None, "c": None}
    own = data[data["point_id"] == "a"]
    assert own["tokens"].tolist() == [1, 4, 2, 8]
    assert own["step_s"].tolist() == [0.005, 0.008, 0.006, 0.01]
    assert own["steps_per_s"].tolist() == pytest.approx([200, 125, 1 / 0.006, 100])
    assert set(data["panel"]) == {"gamma=4", "gamma=8"}


def test_the_timeline_is_of_the_busiest_point(tmp_path: Path) -> None:
    calm = TIMELINE.replace(",6.0,220", ",4.5,220")
    folder = write_sweep(
        tmp_path / "s",
        [row("calm", queue_max=9, concurrency=8), row("lively", queue_max=3, concurrency=8)],
        files={"calm": {"timeline.csv": calm}, "lively": {"timeline.csv": TIMELINE}},
    )
    figure = figure_of(folder, "timeline")
    source = pd.read_csv(folder / "points/lively/timeline.csv")
    pd.testing.assert_frame_equal(figure.data[list(source.columns)], source)
    assert "Point s/lively, one of 2" in figure.caption[0]


def test_pauses_of_an_open_loop_are_shown_as_idle() -> None:
    own = pd.DataFrame(
        {"time_s": [0.0, 5.0], "duration_s": [1.0, 2.0], "batch_size": [3, 4]}, dtype=float
    )
    assert _steps(own, "batch_size") == ([0, 1, 5, 7], [3, 0, 4, 4])


@pytest.mark.parametrize(
    ("kind", "name", "absent"),
    [
        ("reliability", "reliability.csv", "no point has reliability bins"),
        ("cost_curve", "cost_surface.json", "no point used measured step costs"),
        ("timeline", "timeline.csv", "no point has a timeline"),
    ],
)
def test_absent_and_corrupt_files_are_reasons(
    tmp_path: Path, kind: str, name: str, absent: str
) -> None:
    assert skipped(write_sweep(tmp_path / "old", [row("a")]), kind).startswith(absent)
    broken = write_sweep(tmp_path / "bad", [row("a")], files={"a": {name: "\x00{1,"}})
    reason = skipped(broken, kind)
    assert "cannot read" in reason and name in reason and "\n" not in reason
