"""When a figure passes, fails or stays open, over one figure and over many."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dspark_bench.gate.compare import compare_point, figures_of, pair_counts
from dspark_bench.gate.counts import collect_counts
from dspark_bench.gate.figures import Figure, PointComparison, adjust, make_figure
from dspark_bench.gate.points import read_points
from dspark_bench.gate.report import GateReport
from dspark_bench.gate.speed import collect_speed
from dspark_bench.gate.statistics import quantile
from tests.gate.folders import records, write_point
from tests.metrics.records import cycle, drafted, request

MARGIN = 0.02


def figure(ratio: float, error: float, units: int = 100, must_pass: bool = True) -> Figure:
    """A figure of this ratio to a baseline of 2, with this standard error of its logarithm."""
    what = ("alpha", None, "expected")
    return make_figure(what, (2 * ratio, 2.0), error, units, MARGIN, must_pass, 1000)  # type: ignore[arg-type]


def judged(*figures: Figure) -> PointComparison:
    (point,) = adjust([PointComparison("p", figures, 100, 100, ())])
    return point


def test_bounds_are_one_sided_ones_of_students_t() -> None:
    found = figure(0.99, 0.01, units=20)
    reach = 0.01 * quantile(0.95, 19)
    assert (found.low, found.high) == pytest.approx(
        (0.99 * math.exp(-reach), 0.99 * math.exp(reach))
    )
    assert reach == pytest.approx(0.01 * 1.729, rel=1e-3)


@pytest.mark.parametrize(
    ("ratio", "error", "verdict"),
    [
        (1.00, 0.005, "pass"),
        (0.99, 0.005, "pass"),
        (1.00, 0.02, "open"),  # as good as can be, and its bound is 0.967
        (1.05, 0.05, "open"),  # better than the baseline, and its bound is 0.966
        (0.985, 0.005, "open"),  # above the margin, its bound is not
        (0.97, 0.005, "open"),  # below it, by chance once in 50
        (0.97, 0.003, "fail"),
        (0.90, 0.2, "open"),
        (0.0, 0.005, "fail"),
    ],
)
def test_a_figure_passes_by_its_bound_and_fails_by_its_p_value(
    ratio: float, error: float, verdict: str
) -> None:
    point = judged(figure(ratio, error))
    assert point.figures[0].verdict == verdict
    assert point.verdict == verdict


def test_what_cannot_be_estimated_stays_open() -> None:
    for found in (figure(math.nan, 0.01), figure(1.0, math.nan), figure(1.0, 0.0, units=1)):
        assert judged(found).verdict == "open"
        assert found.p_fail == 1.0


def test_one_of_forty_must_be_forty_times_less_likely_to_fail() -> None:
    """3.3 standard errors below the margin: p = 0.0007 alone, 0.027 among forty."""
    bad = figure(0.98 * math.exp(-0.033), 0.01)
    good = [figure(1.0, 0.005) for _ in range(39)]
    assert judged(bad).verdict == "fail"
    among = judged(bad, *good)
    assert among.figures[0].p_fail == pytest.approx(40 * bad.p_fail)
    assert among.figures[0].verdict == "open"


def test_figures_of_all_points_share_their_error() -> None:
    bad = figure(0.98 * math.exp(-0.033), 0.01)
    points = [PointComparison("bad", (bad,), 100, 100, ())]
    points += [PointComparison(str(i), (figure(1.0, 0.005),), 100, 100, ()) for i in range(39)]
    assert adjust(points)[0].figures[0].p_fail == pytest.approx(40 * bad.p_fail)


def test_of_many_bad_ones_each_is_found_and_later_ones_never_by_less() -> None:
    """Two certain losses, and a third whose own p-value times one would undercut theirs."""
    point = judged(figure(0.9, 0.004), figure(0.9, 0.004), figure(0.99, 0.01))
    assert [found.verdict for found in point.figures] == ["fail", "fail", "open"]
    ps = [0.010, 0.0102]
    first, second = (figure(0.98 * math.exp(-0.01 * quantile(1 - p, 99)), 0.01) for p in ps)
    both = judged(first, second).figures
    assert both[0].p_fail == pytest.approx(2 * first.p_fail)
    assert both[1].p_fail == both[0].p_fail


def test_an_open_figure_that_must_pass_leaves_the_check_inconclusive() -> None:
    wide = figure(1.0, 0.05)
    assert judged(figure(1.0, 0.001), wide).verdict == "open"
    free = judged(figure(1.0, 0.001), figure(1.0, 0.05, must_pass=False))
    assert free.verdict == "pass"
    for point, strict, lenient in (
        (judged(wide), 3, 0),
        (free, 0, 0),
        (judged(figure(0.5, 0.01)), 1, 1),
    ):
        report = GateReport("r", "b", MARGIN, (point,))
        assert (report.exit_code("fail"), report.exit_code("pass")) == (strict, lenient)


def test_a_report_is_as_bad_as_its_worst_point() -> None:
    passed, opened, failed = (
        judged(found) for found in (figure(1.0, 0.001), figure(1.0, 0.05), figure(0.5, 0.01))
    )
    for points, verdict in (
        ((passed, opened, failed), "fail"),
        ((passed, opened), "open"),
        ((passed, passed), "pass"),
    ):
        assert GateReport("r", "b", MARGIN, points).verdict == verdict


def frames(full_width: bool) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A prompt whose full-width cycles accept one of two; others accept all that they verify."""
    shaped = [drafted(1, 1, num_drafted=2, full_width=False, cycle=number) for number in range(6)]
    whole = [drafted(2, 1, True, full_width=True, cycle=number) for number in range(6, 8)]
    cycles = pd.DataFrame([*(whole if full_width else []), *shaped])
    requests = pd.DataFrame([request() | {"prompt_hash": "h"}])
    return cycles, requests


def test_a_selective_scheduler_speaks_by_its_full_width_cycles() -> None:
    (counts,) = collect_counts(*frames(True), gamma=2, is_selective=True).repeats
    assert counts.cycles.tolist() == [2] and counts.verified.tolist() == [[2, 2]]
    (counts,) = collect_counts(*frames(True), gamma=2, is_selective=False).repeats
    assert counts.cycles.tolist() == [8]
    with pytest.raises(Exception, match="scheduler=fixed"):
        collect_counts(*frames(False), gamma=2, is_selective=True)


def test_times_that_another_run_has_spoilt_are_no_times() -> None:
    cycles = pd.DataFrame([drafted(2, 1, True), cycle(arm="baseline", cycle=1)])
    requests = pd.DataFrame([request(), request(arm="baseline")])
    keys = {"load": "closed", "gamma": 2}
    found = collect_speed(cycles, requests, keys, {"timing_invalid": False}, 1)
    assert found is not None and found.labels == ("p0",)
    assert collect_speed(cycles, requests, keys, {"timing_invalid": True}, 1) is None
    thinned = cycles.drop(columns="t_verify_s")
    assert collect_speed(thinned, requests, keys, {}, 1) is None


def timed(seed: int, slow: float = 1.0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Forty prompts, a spread of a tenth in the times of either arm, the speculative `slow`er."""
    rng = np.random.default_rng(seed)
    cycles, requests = records()
    spread = np.exp(0.1 * rng.standard_normal(len(cycles)))
    mine = cycles.assign(t_verify_s=slow * spread, t_draft_s=0.0)
    theirs = mine.assign(arm="baseline", num_emitted=1, t_verify_s=spread[::-1])
    both = pd.concat([mine, theirs], ignore_index=True)
    steps = cycles.groupby("request_id").size()
    outputs = [tuple(range(steps[place])) for place in requests["request_id"]]
    baseline = requests.assign(arm="baseline", output_tokens=outputs)
    return both, pd.concat([requests, baseline], ignore_index=True)


@pytest.mark.parametrize(
    ("slow", "margin", "verdict"), [(1.0, 0.1, "pass"), (1.0, 0.001, "open"), (1.5, 0.1, "fail")]
)
def test_a_speed_must_be_proven_too(
    tmp_path: Path, slow: float, margin: float, verdict: str
) -> None:
    write_point(tmp_path / "base", "a", timed(1))
    write_point(tmp_path / "now", "a", timed(2, slow))
    (ours,), (theirs,) = read_points(tmp_path / "now"), read_points(tmp_path / "base")
    (point,) = adjust([compare_point(ours, theirs, 0.02, margin)])
    (speed,) = [found for found in point.figures if found.name == "speedup"]
    assert (speed.verdict, point.verdict) == (verdict, verdict)
    assert speed.n == 40 and speed.ratio == pytest.approx(1 / slow, rel=0.02)


def test_two_sides_of_equal_prompts_are_resampled_together(tmp_path: Path) -> None:
    """Prompts differ by more than the sides do: drawn apart, the ratio would scatter with them."""
    write_point(tmp_path / "base", "a", records())
    cycles, requests = records()
    write_point(tmp_path / "now", "a", (cycles, requests))
    (ours,), (theirs,) = read_points(tmp_path / "now"), read_points(tmp_path / "base")
    figures, _ = figures_of(pair_counts(ours, theirs, ours.counts.prompts), 0.02)
    assert all(found.low == found.ratio == found.high == 1.0 for found in figures)


def test_a_position_is_left_out_by_what_the_baseline_decided(tmp_path: Path) -> None:
    """Acceptance of 0.05 decides position 3 some 60 times in 1,200 cycles, and 0.9 over 900."""
    write_point(tmp_path / "rare", "a", records(chance=0.2, has_overlaps=False))
    write_point(tmp_path / "often", "a", records(chance=0.9, has_overlaps=False))
    (rare,), (often,) = read_points(tmp_path / "rare"), read_points(tmp_path / "often")
    left_out: list[tuple[str, ...]] = []
    for ours, theirs in ((rare, often), (often, rare)):
        left_out.append(figures_of(pair_counts(ours, theirs, ours.counts.prompts), 0.02)[1])
    assert left_out[0] == ()
    assert [name.partition(" ")[0] for name in left_out[1]] == ["acceptance[2]", "acceptance[3]"]
