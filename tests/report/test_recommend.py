"""Who wins, how sure that is, and what would change it, by hand-computed figures."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from dspark_bench import cli
from dspark_bench.core.errors import ResultsError
from dspark_bench.metrics.intervals import Interval
from dspark_bench.plots.results import load_results
from dspark_bench.reading.gather import gather
from dspark_bench.report.ratios import unpaired_ratio
from dspark_bench.report.recommend import left_out, recommend
from dspark_bench.report.tables import gap_tables
from dspark_bench.report.warnings import find_warnings
from dspark_bench.report.wording import headline, lines
from tests.report.folders import cells, write_sweep, write_times


def _faster(point_id: str, factor: float, **values: object) -> dict[str, object]:
    own = {"speedup": 1.25 * factor, "speedup_ci_low": 1.2 * factor}
    return cells(point_id, **(own | {"speedup_ci_high": 1.3 * factor} | values))


def test_the_fastest_wins_and_the_next_is_told_what_it_lacks(tmp_path: Path) -> None:
    rows = [cells("a"), _faster("b", 1.6, gamma=7, drafter="parallel")]
    (found,) = recommend(gather(write_sweep(tmp_path / "s", rows)))
    assert found.winner.label == "parallel at gamma 7 with fixed"
    assert found.winner.speedup == Interval(2.0, 1.92, 2.08, 24)
    (other,) = found.challengers
    assert other.ratio.value == pytest.approx(1.6)
    assert not other.is_clear and not other.is_paired and found.ties == ()
    assert "the winner is ahead by 60.0%" in "\n".join(lines(found))
    assert "not comparable, not paired" in "\n".join(lines(found))
    needed = {change.term: change.needed for change in other.changes}
    assert needed["tokens per cycle"] == pytest.approx(2.0 * 1.6)
    # a cycle of 1.6 steps has to become one of 1.0: verify 1.1 -> 0.5; drafts are only 0.4 of it
    assert needed["verify cost"] == pytest.approx(0.5)
    assert needed["draft cost"] is None
    best = {change.term: change.best for change in other.changes}
    assert best["draft cost"] == pytest.approx(1.25 * 1.6 / 1.2)
    # alpha: emitted 2.0 -> 3.2, beyond the formula's sum as now
    alpha = needed["alpha"]
    assert alpha is not None

    def expected(rate: float) -> float:
        return sum(rate**power for power in range(5))

    assert expected(alpha) - expected(0.55) == pytest.approx(1.2, abs=1e-6)


def test_alpha_that_cannot_suffice_is_said(tmp_path: Path) -> None:
    rows = [cells("a", gamma=1), _faster("b", 1.6, gamma=7)]
    (found,) = recommend(gather(write_sweep(tmp_path / "s", rows)))
    (alpha,) = [c for c in found.challengers[0].changes if c.term == "alpha"]
    assert alpha.needed is None
    assert alpha.best == pytest.approx(1.25 * (2.0 - 0.55 + 1.0) / 2.0)
    assert "alpha alone does not suffice" in "\n".join(lines(found))


@pytest.mark.usefixtures("without_figures")
def test_a_drafter_without_one_accepted_token_is_told_what_it_lacks(tmp_path: Path) -> None:
    rows = [cells("a", alpha=0.0, emitted_length=1.0), _faster("b", 1.6, gamma=7)]
    folder = write_sweep(tmp_path / "s", rows)
    (found,) = recommend(gather(folder))
    (alpha,) = [c for c in found.challengers[0].changes if c.term == "alpha"]
    assert alpha.needed == pytest.approx(0.380, abs=1e-3)  # 1 + a + a^2 + a^3 + a^4 = 1.6
    assert alpha.relative is None
    assert "alpha higher (0.000 to 0.380)" in "\n".join(lines(found))
    assert cli.execute(["report", str(folder), "--out", str(tmp_path / "r")]) == 0
    assert "| 0.000 to 0.380 |" in (tmp_path / "r" / "report.md").read_text()


def test_what_would_let_it_draw_level_is_said_once_per_drafter(tmp_path: Path) -> None:
    """The next, and the best of every other drafter: of `ar`, which is next, not a second time."""
    rows = [
        _faster("a", 1.5),
        _faster("b", 1.4, drafter="ar"),
        _faster("c", 1.3, drafter="ar", gamma=7),
        _faster("d", 1.2, drafter="parallel"),
        _faster("e", 1.1, drafter="parallel", gamma=7),
    ]
    (found,) = recommend(gather(write_sweep(tmp_path / "s", rows)))
    told = [item.candidate.point.point_id for item in found.challengers if item.changes]
    assert told == ["b", "d"]


def test_each_load_and_workload_has_its_own_winner(tmp_path: Path) -> None:
    rows = [
        cells("a", workload="prose", prompts_hash="p"),
        _faster("b", 1.1, workload="prose", prompts_hash="p", gamma=7),
        _faster("c", 1.2, concurrency=16),
        _faster("d", 1.1, concurrency=16, gamma=7),
        _faster("e", 1.3, concurrency=2),
        _faster("f", 1.3, load="poisson", rate=4.0, concurrency=64),
    ]
    found = recommend(gather(write_sweep(tmp_path / "s", rows)))
    assert [(item.setting, item.winner.point.point_id) for item in found] == [
        ("math, 2 requests at once", "e"),
        ("math, 16 requests at once", "c"),
        ("math, poisson at 4 requests/s", "f"),
        ("prose, 1 request at a time", "b"),
    ]
    assert "in 3 of 4 settings" in headline(found)
    assert "only one configuration" in found[0].notes[-1]


def test_unpaired_speeds_are_compared_by_welchs_t() -> None:
    """Against scipy: errors out of the two intervals, Satterthwaite's degrees of their sum."""
    ratio = unpaired_ratio(Interval(2.0, 1.9, 2.1, 24), Interval(1.6, 1.5, 1.7, 10))
    ours = math.log(2.1 / 1.9) / 2 / (stats.t.ppf(0.975, 23) * (1 + 1 / 24))
    theirs = math.log(1.7 / 1.5) / 2 / (stats.t.ppf(0.975, 9) * (1 + 1 / 10))
    square = ours**2 + theirs**2
    degrees = square**2 / (ours**4 / 23 + theirs**4 / 9)
    width = math.sqrt(square) * stats.t.ppf(0.975, degrees) * (1 + 1 / 10)
    assert (ratio.value, ratio.n) == (1.25, 10)
    assert ratio.low == pytest.approx(1.25 * math.exp(-width))
    assert ratio.high == pytest.approx(1.25 * math.exp(width))


def test_a_widened_interval_has_no_larger_error_and_the_ratio_its_level() -> None:
    wide = Interval(1.0, 1 / 1.2, 1.2, 9)
    error = math.log(1.2) / (stats.t.ppf(0.99, 8) * (1 + 1 / 9))
    ratio = unpaired_ratio(wide, wide, (0.98, 0.98))
    assert ratio.high is not None
    reach = stats.t.ppf(0.99, 16) * (1 + 1 / 9) * math.sqrt(2) * error
    assert math.log(ratio.high) == pytest.approx(reach, rel=1e-6)


def test_an_unpaired_ratio_needs_two_intervals_and_few_units_widen_it() -> None:
    known = Interval(1.0, 0.9, 1.1, 9)
    for lacking in (Interval(2.0, None, None, 9), Interval(2.0, 1.9, 2.1, 1)):
        assert unpaired_ratio(lacking, known).low is None
        assert unpaired_ratio(known, lacking).high is None
    # the same errors over 3 units each: Welch's degrees are 4, Student's t 2.776 and not 1.96
    three = Interval(1.0, 1 / 1.2, 1.2, 3)
    low = unpaired_ratio(three, three).low
    assert low is not None
    error = math.log(1.2) / (4.302653 * 4 / 3)
    assert -math.log(low) == pytest.approx(2.776445 * 4 / 3 * math.sqrt(2) * error, rel=1e-6)


@pytest.mark.parametrize("n", [5, 6])
def test_six_units_are_enough_here_as_everywhere(tmp_path: Path, n: int) -> None:
    (found,) = recommend(gather(write_sweep(tmp_path / "s", [cells("a")], n=n)))
    too_few = [note for note in found.notes if "too little data" in note]
    assert len(too_few) == (n < 6)
    assert all("rests on 5 prompts; num_requests=6 or more" in note for note in too_few)


def test_prompts_are_paired_where_times_were_kept(tmp_path: Path) -> None:
    """Prompts differ tenfold; by prompt, the winner is always a tenth ahead."""
    rows = [cells("a", speedup_ci_low=0.9, speedup_ci_high=1.6), _faster("b", 1.1, gamma=7)]
    folder = write_sweep(tmp_path / "s", rows)
    seconds = {f"p{n}": (1.0 + n, 1.25 * (1.0 + n)) for n in range(10)}
    write_times(folder / "points" / "a", seconds)
    ahead = (1.09, 1.1, 1.11)
    times = {p: (s / ahead[i % 3], t) for i, (p, (s, t)) in enumerate(seconds.items())}
    write_times(folder / "points" / "b", times)
    (found,) = recommend(gather(folder))
    (other,) = found.challengers
    assert other.is_paired and other.is_clear and found.ties == ()
    assert other.ratio.low is not None and other.ratio.high is not None
    assert 1.08 < other.ratio.low < 1.1 < other.ratio.high < 1.12
    write_times(folder / "points" / "b", {"elsewhere": (1.0, 1.0)})
    (found,) = recommend(gather(folder))
    assert not found.challengers[0].is_paired and not found.challengers[0].is_clear
    assert "not comparable with the others: not paired" in headline([found])


def test_as_many_other_prompts_are_no_pairs(tmp_path: Path) -> None:
    """Ten prompts each; one of a's is another, and that takes no verdict from the others."""
    rows = [cells("a"), _faster("b", 2.0, gamma=7), _faster("c", 1.5, gamma=5)]
    folder = write_sweep(tmp_path / "s", rows)
    for point_id, first, faster in (("a", 0, 1.0), ("b", 1, 2.0), ("c", 1, 1.5)):
        seconds = {
            f"p{n:02}": (1.0 / faster, 1.25 + 0.01 * faster * (n % 3))
            for n in range(first, first + 10)
        }
        write_times(folder / "points" / point_id, seconds)
    (found,) = recommend(gather(folder))
    leads = {item.candidate.point.point_id: item for item in found.challengers}
    assert (leads["a"].is_paired, leads["a"].is_clear) == (False, False)
    assert (leads["c"].is_paired, leads["c"].is_clear) == (True, True)


def test_prompts_are_paired_by_name_in_whatever_order_they_were_served(tmp_path: Path) -> None:
    """Prompts differ tenfold and the winner is a tenth ahead on each: by place they would not be.

    Names are of one length, so that no order by name is an order by time.
    """
    rows = [cells("a"), _faster("b", 1.1, gamma=7)]
    folder = write_sweep(tmp_path / "s", rows)
    names = [f"p{17 * n % 10}" for n in range(10)]
    seconds = {name: (1.0 + n, 1.25 * (1.0 + n)) for n, name in enumerate(names)}
    write_times(folder / "points" / "a", seconds)
    other = {p: (s / 1.1, t * (1 + 0.001 * int(p[1:]))) for p, (s, t) in reversed(seconds.items())}
    write_times(folder / "points" / "b", other)
    (found,) = recommend(gather(folder))
    (lead,) = found.challengers
    assert lead.is_paired and lead.is_clear
    assert lead.ratio.low is not None and lead.ratio.high is not None
    assert 1.09 < lead.ratio.low < lead.ratio.high < 1.12


def test_what_cannot_be_believed_is_not_ranked(tmp_path: Path) -> None:
    rows = [
        cells("a"),
        _faster("b", 2.0, timing_invalid="true", gamma=2),
        _faster("c", 3.0, lossless="false", scheduler="oracle"),
        cells("d", drafter="none"),
        cells("e", status="failed", speedup="", gamma=3),
        cells("f", speedup="", gamma=5),
    ]
    gathered = gather(write_sweep(tmp_path / "s", rows))
    (found,) = recommend(gathered)
    assert found.winner.point.point_id == "a" and found.challengers == ()
    reasons = {point.point_id: reason for point, reason in left_out(gathered)}
    assert set(reasons) == {"b", "c", "d", "f"}
    assert "lossless" in reasons["c"] and "timing_invalid" in reasons["b"]


def test_machines_are_never_compared_and_revisions_are_said(tmp_path: Path) -> None:
    write_sweep(tmp_path / "r" / "one", [cells("a")])
    write_sweep(
        tmp_path / "r" / "two", [_faster("b", 1.1, gamma=7)], environment={"code_hash": "x"}
    )
    other = {"machine_id": "m1"}
    write_sweep(tmp_path / "r" / "three", [_faster("c", 1.2, gamma=8)], environment=other)
    found = recommend(gather(tmp_path / "r"))
    assert sorted(item.winner.point.point_id for item in found) == ["b", "c"]
    (mixed,) = [item for item in found if item.winner.point.point_id == "b"]
    assert "its points come from 2 revisions of the code" in mixed.notes


def test_the_same_configuration_twice_counts_once_and_not_by_its_luck(tmp_path: Path) -> None:
    write_sweep(tmp_path / "r" / "one", [_faster("a", 1.5)], n=10)
    write_sweep(tmp_path / "r" / "two", [cells("a")], n=20)
    (found,) = recommend(gather(tmp_path / "r"))
    assert (found.winner.point.sweep, found.challengers) == ("two", ())
    assert "measured 2 times (S 1.25, 1.88)" in found.notes[-1]


def test_copies_and_what_fixed_does_not_read_are_no_further_measurements(tmp_path: Path) -> None:
    write_sweep(tmp_path / "r" / "one", [cells("a")], keys={"calibrator": "checkpoint"})
    write_sweep(tmp_path / "r" / "two", [cells("a")], keys={"calibrator": "checkpoint"})
    (found,) = recommend(gather(tmp_path / "r"))
    assert found.challengers == () and not any("measured" in note for note in found.notes[:-1])
    write_sweep(tmp_path / "r" / "three", [cells("b", speedup=1.3)], keys={"calibrator": "none"})
    (found,) = recommend(gather(tmp_path / "r"))
    assert found.challengers == ()
    assert any("was measured 2 times (S 1.30, 1.25)" in note for note in found.notes)


def test_thin_data_is_said(tmp_path: Path) -> None:
    rows = [cells("a", concurrency=8)]
    (found,) = recommend(gather(write_sweep(tmp_path / "s", rows, n=3)))
    assert "rests on 3 rounds; measure.repeats=6" in found.notes[0]


@pytest.mark.parametrize(("users", "key"), [(1, "num_requests"), (8, "measure.max_rounds")])
def test_thin_data_is_said_where_a_precision_decides(tmp_path: Path, users: int, key: str) -> None:
    rows = [cells("a", concurrency=users)]
    folder = write_sweep(tmp_path / "s", rows, n=3, keys={"measure.precision": 0.05})
    (found,) = recommend(gather(folder))
    assert f"; {key}=6 or more gives intervals" in found.notes[0]


def test_an_interrupted_winner_goes_on(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path / "s", [cells("a")], n=3, keys={"measure.precision": 0.05})
    file = folder / "points" / "a" / "metrics.json"
    content = json.loads(file.read_text())
    content["facts"]["interrupted"] = True
    file.write_text(json.dumps(content))
    (found,) = recommend(gather(folder))
    assert "rests on 3 prompts; going on with the same command gives" in found.notes[0]


def test_a_stale_point_is_neither_ranked_nor_drawn_and_is_named(tmp_path: Path) -> None:
    """The fastest and best supported one of its configuration, were it of this code."""
    rows = [
        cells("a"),
        _faster("b", 2.0, status="stale"),
        _faster("c", 1.5, gamma=7, status="stale"),
    ]
    folder = write_sweep(tmp_path / "s", rows)
    gathered = gather(folder)
    (found,) = recommend(gathered)
    assert (found.winner.point.point_id, found.challengers) == ("a", ())
    assert not any("measured 2 times" in note for note in found.notes)
    named = {point.point_id: reason for point, reason in left_out(gathered)}
    drawn = load_results(folder)
    assert drawn.rows["point_id"].tolist() == ["a"]
    assert named == {item.point_id: item.reason for item in drawn.skipped} != {}
    assert all(reason.startswith("stale: ") and "--fresh" in reason for reason in named.values())
    assert any(line.startswith("2 of 3 points: stale: ") for line in find_warnings(gathered))
    (table,) = gap_tables(gathered)
    assert sorted(row[-1].text for row in table.rows) == ["a", "b (stale)", "c (stale)"]


def test_an_interval_is_called_wide_by_its_half_width(tmp_path: Path) -> None:
    """S of 1.25: 6 % are 1.175 to 1.325, 11 % are 1.1125 to 1.3875."""
    rows = [
        cells("a", speedup_ci_low=1.175, speedup_ci_high=1.325),
        cells("b", gamma=7, speedup_ci_low=1.1125, speedup_ci_high=1.3875),
    ]
    found = find_warnings(gather(write_sweep(tmp_path / "s", rows)))
    (wide,) = [line for line in found if "wider than +-10%" in line]
    assert wide.startswith("1 of 2 points") and "(s/b)" in wide


def test_an_interrupted_point_counts_unless_its_times_were_spoilt(tmp_path: Path) -> None:
    """Its rounds are whole; a warning and the tables name it."""
    rows = [cells("a"), _faster("b", 2.0, gamma=7), _faster("c", 3.0, gamma=5)]
    folder = write_sweep(tmp_path / "s", rows)
    for point_id, is_spoilt in (("b", False), ("c", True)):
        path = folder / "points" / point_id / "metrics.json"
        content = json.loads(path.read_text())
        content["facts"] |= {"interrupted": True, "timing_invalid": is_spoilt}
        path.write_text(json.dumps(content))
    gathered = gather(folder)
    (found,) = recommend(gathered)
    assert found.winner.point.point_id == "b"
    assert [item.candidate.point.point_id for item in found.challengers] == ["a"]
    assert load_results(folder).rows["point_id"].tolist() == ["a", "b"]
    ((left, reason),) = left_out(gathered)
    assert left.point_id == "c" and reason.startswith("timing_invalid")
    assert any(
        "interrupted: figures of the whole rounds so far" in w for w in find_warnings(gathered)
    )
    (table,) = gap_tables(gathered)
    assert {"b (interrupted)", "c (interrupted)"} < {row[-1].text for row in table.rows}


def test_only_stale_points_are_no_answer_and_it_is_said_what_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_sweep(tmp_path / "s", [cells("a", status="stale")])
    for command in ("recommend", "plot"):
        assert cli.execute([command, str(folder)]) == 2
        assert "--fresh measures it again" in capsys.readouterr().err


def test_slower_than_the_baseline_is_said(tmp_path: Path) -> None:
    rows = [_faster("a", 0.6), _faster("b", 0.5, gamma=7)]
    (found,) = recommend(gather(write_sweep(tmp_path / "s", rows)))
    assert found.beats_baseline is False
    assert "slower than no speculation" in headline([found])


def test_keys_of_a_chosen_part_tell_configurations_apart(tmp_path: Path) -> None:
    for threshold in (0.3, 0.6):
        keys = {"scheduler.threshold": threshold}
        row = _faster(f"t{threshold}", 1 + threshold, scheduler="threshold")
        write_sweep(tmp_path / "r" / str(threshold), [row], keys=keys)
    (found,) = recommend(gather(tmp_path / "r"))
    assert found.winner.label == "semi_ar at gamma 4 with threshold (scheduler.threshold=0.6)"


def test_the_command_and_its_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [cells("a"), _faster("b", 1.6, gamma=7), cells("c", status="failed", gamma=9)]
    folder = write_sweep(tmp_path / "s", rows, pending=("later",))
    assert cli.execute(["recommend", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("Another machine: Test CPU (4 cores)\n\nmath, 1 request at a time  ")
    assert shown.splitlines()[3].startswith("semi_ar gamma 7  ")
    assert "warning: 1 of 3 points: failed" in shown
    assert "1 point asked for" in shown
    assert cli.execute(["recommend", str(folder), "--why"]) == 0
    assert capsys.readouterr().out.startswith("semi_ar at gamma 7 with fixed is fastest here: 2.0")
    empty = write_sweep(tmp_path / "empty", [], pending=("x",))
    assert cli.execute(["recommend", str(empty)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    none = write_sweep(tmp_path / "none", [cells("n", drafter="none")])
    with pytest.raises(ResultsError, match="two baselines"):
        recommend(gather(none))


@pytest.mark.parametrize("name", ["sweep.json", "metrics.json", "environment.json"])
def test_a_damaged_file_is_named_and_the_rest_is_read(tmp_path: Path, name: str) -> None:
    write_sweep(tmp_path / "r" / "good", [cells("a")])
    bad = write_sweep(tmp_path / "r" / "bad", [_faster("b", 1.1, gamma=7)])
    place = bad if name == "sweep.json" else bad / "points" / "b"
    (place / name).write_bytes(b"\xff\x00{not")
    gathered = gather(tmp_path / "r")
    assert len(gathered.problems) == 1 and f"cannot read {name}" in gathered.problems[0]
    winners = [item.winner.point.point_id for item in recommend(gathered)]
    assert "a" in winners or winners == ["b"]


def test_only_damaged_sweeps_are_one_clear_line(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path / "s", [cells("a")])
    (folder / "points" / "a" / "metrics.json").write_text("{")
    with pytest.raises(ResultsError, match=r"no measured point .*metrics.json") as caught:
        gather(folder)
    assert "\n" not in str(caught.value)


def test_a_speedup_within_the_noise_floor_is_neither_faster_nor_slower(tmp_path: Path) -> None:
    """S of 1.02 to 1.04 is clear of its own interval, but the baseline differs by 5 %."""
    near = {"speedup": 1.03, "speedup_ci_low": 1.02, "speedup_ci_high": 1.04}
    rows = [cells("a", **near, noise_floor=0.05, aa_ratio_ci_low=0.96, aa_ratio_ci_high=1.05)]
    gathered = gather(write_sweep(tmp_path / "s", rows))
    (found,) = recommend(gathered)
    assert found.beats_baseline is None
    assert "within the timing noise floor (5.0%) of no speculation" in headline([found])
    assert any("S within the timing noise floor" in line for line in find_warnings(gathered))
    rows = [cells("a", **near, noise_floor=0.005)]
    (found,) = recommend(gather(write_sweep(tmp_path / "quiet", rows)))
    assert found.beats_baseline is True and "noise" not in headline([found])
    rows = [cells("a", **(near | {"speedup_ci_high": 1.06}), noise_floor=0.05)]
    (found,) = recommend(gather(write_sweep(tmp_path / "near", rows)))
    assert found.beats_baseline is True
    assert "its interval reaches into the timing noise floor (5.0% around 1)" in found.notes
    slow = {"speedup": 0.97, "speedup_ci_low": 0.96, "speedup_ci_high": 0.98, "noise_floor": 0.05}
    (found,) = recommend(gather(write_sweep(tmp_path / "slow", [cells("a", **slow)])))
    assert found.beats_baseline is None and "slower" not in headline([found])


def test_a_lead_within_the_noise_floor_is_not_clear(tmp_path: Path) -> None:
    """The winner is 10 % ahead on every prompt, clear of chance: a floor of 20 % swallows that."""
    for floor, is_clear in ((0.2, False), (0.01, True)):
        rows = [cells("a", noise_floor=floor), _faster("b", 1.1, gamma=7, noise_floor=0.01)]
        folder = write_sweep(tmp_path / str(floor), rows)
        _timed(folder, a=1.0, b=1.1)
        (found,) = recommend(gather(folder))
        (other,) = found.challengers
        assert other.is_beaten and other.is_clear is is_clear
        text = "\n".join(lines(found))
        assert ("within the timing noise floor (20.0%)" in text) is not is_clear


def _timed(folder: Path, num_prompts: int = 12, **faster: float) -> None:
    """Records of points that serve every prompt so many times as fast, with a scatter of a
    hundredth that is each point's own.
    """
    for number, (point_id, factor) in enumerate(faster.items()):
        scatter = np.random.default_rng(number).normal(1.0, 0.01, num_prompts)
        seconds = {
            f"p{n}": ((1.0 + n) * scatter[n] / factor, 1.25 * (1.0 + n)) for n in range(num_prompts)
        }
        write_times(folder / "points" / point_id, seconds)


def test_ties_are_a_named_set_and_the_beaten_are_not_in_it(tmp_path: Path) -> None:
    rows = [cells("a", gamma=2), _faster("b", 1.001, gamma=3), _faster("c", 0.5, gamma=7)]
    folder = write_sweep(tmp_path / "s", rows)
    _timed(folder, a=1.0, b=1.001, c=0.5)
    (found,) = recommend(gather(folder))
    assert [other.candidate.point.row["gamma"] for other in found.ties] in ([2], [3])
    assert [other.is_clear for other in found.challengers] == [False, True]
    assert "tied with semi_ar at gamma" in headline([found])


def test_lost_records_are_named_and_make_no_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_sweep(tmp_path / "s", [cells("a", gamma=2), _faster("b", 2.0, gamma=3)])
    _timed(folder, a=1.0, b=2.0)
    assert recommend(gather(folder))[0].challengers[0].is_clear
    assert cli.execute(["recommend", str(folder)]) == 0
    assert "records cannot be used" not in capsys.readouterr().out
    (folder / "points" / "a" / "cycles.parquet").unlink()
    (found,) = recommend(gather(folder))
    assert not found.challengers[0].is_clear
    assert cli.execute(["recommend", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert "warning: records cannot be used, so that leads are not paired: " in shown
    assert "a/cycles.parquet is missing" in shown and "unpaired" in shown


def test_below_six_prompts_there_is_no_verdict(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path / "s", [cells("a", gamma=2), _faster("b", 2.0, gamma=3)])
    _timed(folder, num_prompts=5, a=1.0, b=2.0)
    (found,) = recommend(gather(folder))
    assert not found.challengers[0].is_clear and found.ties == ()
    assert found.reason == "5 units: no verdict below 6"


def _ratio(low: object, high: object) -> dict[str, object]:
    return {"aa_ratio_ci_low": low, "aa_ratio_ci_high": high}


def test_noisy_machines_and_odd_baselines_are_warned_of(tmp_path: Path) -> None:
    rows = [
        cells("a", noise_floor=0.05, **_ratio(1.01, 1.05), noise_floor_basis="3 pairs"),
        cells(
            "b",
            gamma=7,
            noise_floor="",
            **_ratio("", ""),
            noise_floor_basis="not measured: 1 pairs",
        ),
    ]
    folder = write_sweep(tmp_path / "s", rows)
    path = folder / "points" / "a" / "metrics.json"
    content = json.loads(path.read_text())
    content["machine"] = {"num_cores": 4, "other_cores": 2.0, "other_cores_max": 3.0}
    content["gpu"] = {"obstacle": None, "arms": {"baseline": {"clock_reasons": {"hw_thermal": 1}}}}
    path.write_text(json.dumps(content))
    found = find_warnings(gather(folder))
    assert "1 of 2 points: timed on a noisy machine (s/a)" in found
    assert any(line.startswith("s/a: other processes kept 2.0 of 4 cores") for line in found)
    assert "s/a: GPU clocks were held down by hw_thermal" in found
    assert any("the baseline differed from itself" in line and "(s/a)" in line for line in found)
    assert "1 of 2 points: timing noise floor not measured: 1 pairs (s/b)" in found


@pytest.mark.parametrize(("watched", "warns"), [({}, True), ({"other_cores": 0.01}, False)])
def test_the_load_before_a_run_counts_only_where_nobody_watched_it(
    tmp_path: Path, watched: dict[str, float], warns: bool
) -> None:
    """An installation that is just over raises the load average of the next minute."""
    rows = [cells("a", **watched)]
    folder = write_sweep(tmp_path / "s", rows, environment={"load_average_1m": 3.0})
    lines = find_warnings(gather(folder))
    assert any("begun while the machine was busy" in line for line in lines) == warns


def test_points_of_different_blocks_are_not_paired(tmp_path: Path) -> None:
    """Same prompts, but other minutes of the machine: each has a baseline of its own."""
    seconds = {f"p{n}": (1.0 + n, 1.25 * (1.0 + n)) for n in range(10)}
    for name, blocks, is_paired in (("one", "aa", True), ("two", "ab", False)):
        rows = [
            cells("a", block_id=blocks[0]),
            _faster("b", 1.1, gamma=7, block_id=blocks[1]),
        ]
        folder = write_sweep(tmp_path / name, rows)
        write_times(folder / "points" / "a", seconds)
        ahead = (1.09, 1.1, 1.11)
        times = {p: (s / ahead[i % 3], t) for i, (p, (s, t)) in enumerate(seconds.items())}
        write_times(folder / "points" / "b", times)
        (found,) = recommend(gather(folder))
        assert found.challengers[0].is_paired is is_paired
        assert found.challengers[0].is_clear is is_paired
