"""`dspark-bench check` as typed: verdicts, exit codes, and every file it writes."""

import json
import shutil
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from dspark_bench import cli
from dspark_bench.core.errors import ResultsError
from dspark_bench.gate import assert_no_regression
from dspark_bench.gate.points import read_points
from dspark_bench.gate.report import read_side
from tests.gate.folders import records, recount, write_point


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Two points, 40 prompts each."""
    write_point(tmp_path / "base", "three", records())
    write_point(tmp_path / "base", "two", records(gamma=2, seed=1))
    return tmp_path / "base"


@pytest.fixture
def now(base: Path) -> Path:
    """The same results again."""
    return Path(shutil.copytree(base, base.parent / "now"))


def check(*arguments: object) -> int:
    return cli.execute(["check", *map(str, arguments)])


def lower_counts(folder: Path, position: int, share: float) -> None:
    """Turn `share` of the acceptances at a position into refusals, evenly over the cycles."""
    path = folder / "cycles.parquet"
    cycles = pd.read_parquet(path)
    passed = np.flatnonzero(cycles["num_accepted"] >= position)
    chosen = passed[np.arange(int(share * len(passed))) * len(passed) // int(share * len(passed))]
    cycles.loc[chosen, "num_accepted"] = position - 1
    cycles.loc[chosen, "is_rejected"] = True
    cycles.to_parquet(path, index=False)
    recount(folder)


def test_equal_results_pass(base: Path, now: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(now, "--baseline", base) == 0
    shown = capsys.readouterr().out
    assert "verdict: pass" in shown and "semi_ar gamma=3 mixed: 40 prompts paired" in shown


@pytest.mark.parametrize("options", [(), ("--update",)])
def test_simulated_acceptance_is_no_evidence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...]
) -> None:
    write_point(tmp_path / "forced", "three", records(), {"acceptance": "forced"})
    baseline = tmp_path / "baseline.json" if options else tmp_path / "forced"
    assert check(tmp_path / "forced", "--baseline", baseline, *options) == 2
    assert "three" in (said := capsys.readouterr().err) and "acceptance=forced" in said
    assert not (tmp_path / "baseline.json").exists()


WRONG = {"lossless": False, "lossless_evidence": "violated"}


@pytest.mark.parametrize("options", [(), ("--update",)])
def test_wrong_output_is_neither_checked_nor_a_baseline(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...]
) -> None:
    """The same counts as the baseline's: only what the point says of its output differs."""
    write_point(tmp_path / "wrong", "three", records(), summary=WRONG)
    write_point(tmp_path / "wrong", "two", records(gamma=2, seed=1))
    baseline = tmp_path / "baseline.json" if options else base
    assert check(tmp_path / "wrong", "--baseline", baseline, *options) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "(lossless_evidence is violated): three;" in said
    assert not (tmp_path / "baseline.json").exists()
    if not options:
        assert check(base, "--baseline", tmp_path / "wrong") == 2


def test_a_verdict_that_verify_reached_since_counts(tmp_path: Path) -> None:
    untested = {"lossless": None, "lossless_evidence": "untested"}
    facts = {"verification": "v.json"}
    write_point(tmp_path / "now", "two", records(gamma=2), facts=facts, summary=untested)
    (tmp_path / "verify").mkdir()
    (tmp_path / "verify" / "v.json").write_text('{"passed": true}')
    assert len(read_points(tmp_path / "now")) == 1
    (tmp_path / "verify" / "v.json").write_text('{"passed": false}')
    with pytest.raises(ResultsError, match="violated"):
        read_points(tmp_path / "now")


@pytest.mark.parametrize("evidence", ["exact", "near_tie", "verified", "untested"])
def test_output_that_is_not_known_to_be_wrong_is_compared(tmp_path: Path, evidence: str) -> None:
    write_point(tmp_path, "two", records(gamma=2), summary={"lossless_evidence": evidence})
    assert len(read_points(tmp_path)) == 1


def test_spoilt_times_spoil_the_speed_alone_and_excuse_no_older_code(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoilt = {"timing_invalid": True}
    write_point(tmp_path / "now", "three", records(), facts=spoilt)
    write_point(tmp_path / "now", "two", records(gamma=2, seed=1))
    assert check(tmp_path / "now", "--baseline", base) == 0
    assert check(tmp_path / "now", "--baseline", base, "--speed-margin", 0.5) == 2
    assert "no valid times" in capsys.readouterr().err
    plan = json.loads((tmp_path / "now" / "sweep.json").read_text())
    (tmp_path / "now" / "sweep.json").write_text(json.dumps(plan | {"code_hash": "new"}))
    environment = tmp_path / "now" / "points" / "three" / "environment.json"
    environment.write_text(json.dumps({"code_hash": "old"}))
    assert check(tmp_path / "now", "--baseline", base) == 2
    assert "is stale" in capsys.readouterr().err


def test_lowered_counts_fail_and_are_named(
    base: Path, now: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lower_counts(now / "points" / "three", position=2, share=0.08)
    assert check(now, "--baseline", base) == 1
    shown = capsys.readouterr().out
    assert "semi_ar gamma=3 mixed: regression: acceptance[2] by counts" in shown
    assert "gamma=2 mixed: regression" not in shown


def test_a_lower_chance_fails_by_expected_acceptance(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_point(tmp_path / "worse", "three", records(chance=0.57, seed=5))
    write_point(tmp_path / "worse", "two", records(gamma=2, chance=0.57, seed=6))
    assert check(tmp_path / "worse", "--baseline", base) == 1
    assert "regression: accept" in capsys.readouterr().out


def test_other_seeds_pass_by_expected_acceptance_and_are_open_by_counts(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seeds = {"acceptance.seed": 1}
    write_point(tmp_path / "other", "three", records(seed=7), keys=seeds)
    write_point(tmp_path / "other", "two", records(gamma=2, seed=8), keys=seeds)
    assert check(tmp_path / "other", "--baseline", base) == 0
    assert "other seeds" in capsys.readouterr().out
    bare = tmp_path / "bare"
    write_point(bare, "three", records(seed=7, has_overlaps=False), keys=seeds)
    write_point(bare, "two", records(gamma=2, seed=8, has_overlaps=False), keys=seeds)
    assert check(bare, "--baseline", base) == 3
    assert "inconclusive: " in capsys.readouterr().out
    assert check(bare, "--baseline", base, "--on-inconclusive", "pass") == 0


def test_five_prompts_are_inconclusive(
    base: Path, now: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for point in (now / "points").iterdir():
        for name in ("cycles", "requests"):
            frame = pd.read_parquet(point / f"{name}.parquet")
            frame[frame["request_id"] < 5].to_parquet(point / f"{name}.parquet", index=False)
        recount(point)
    assert check(now, "--baseline", base) == 3
    shown = capsys.readouterr().out
    assert "5 prompts on both sides; 20 or more are needed" in shown
    assert "35 of the baseline's 40 prompts were not run" in shown
    path = base.parent / "junit.xml"
    for wanted, code in (("fail", 3), ("pass", 0)):
        given = ("--baseline", base, "--on-inconclusive", wanted, "--junit", path)
        assert check(now, *given) == code
        suite = ElementTree.fromstring(path.read_text())
        assert (len(suite.findall(".//failure")) > 0) == (wanted == "fail")
        assert (len(suite.findall(".//skipped")) > 0) == (wanted == "pass")


def test_what_is_missing_or_other_is_a_set_up_error(
    base: Path, now: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def error_of(folder: Path) -> str:
        capsys.readouterr()
        assert check(folder, "--baseline", base) == 2
        shown = capsys.readouterr().err
        assert shown.startswith("error: ") and shown.count("\n") == 1
        return shown

    shutil.rmtree(now / "points" / "two")
    assert "is not finished" in error_of(now)
    (now / "sweep.json").write_text(json.dumps({"points": [{"point_id": "three"}]}))
    assert "lack 1 of 2 points of the baseline: semi_ar gamma=2 mixed" in error_of(now)
    assert "gamma=3 (baseline: 2)" in error_of(now)

    def other(name: str, **changes: object) -> Path:
        write_point(tmp_path / name, "three", records(), **changes)
        write_point(tmp_path / name, "two", records(gamma=2, seed=1))
        return tmp_path / name

    assert "target hash is dddd" in error_of(other("target", facts={"target_hash": "dddd"}))
    assert "acceptance mode is exact" in error_of(other("mode", keys={"acceptance": "exact"}))
    assert "schema version is 2" in error_of(other("schema", schema_version=2))
    cycles, requests = records()
    renamed = requests.assign(prompt_id="q" + requests["prompt_id"])
    write_point(tmp_path / "prompts", "three", (cycles, renamed))
    write_point(tmp_path / "prompts", "two", records(gamma=2, seed=1))
    assert "'qp0' is not in the baseline" in error_of(tmp_path / "prompts")
    rehashed = requests.assign(prompt_hash="x")
    write_point(tmp_path / "tokens", "three", (cycles, rehashed))
    write_point(tmp_path / "tokens", "two", records(gamma=2, seed=1))
    assert "'p0' has other tokens" in error_of(tmp_path / "tokens")
    write_point(other("twice"), "copy", records())
    assert "two points of the results are semi_ar gamma=3" in error_of(tmp_path / "twice")
    broken = other("broken") / "points" / "three" / "cycles.parquet"
    broken.write_bytes(broken.read_bytes()[:100])
    assert "cannot read" in error_of(tmp_path / "broken")
    (tmp_path / "empty").mkdir()
    assert "no sweep" in error_of(tmp_path / "empty")


def test_stale_points_do_not_speak_for_new_code(
    base: Path, now: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = json.loads((now / "sweep.json").read_text())
    plan["points"][0]["status"] = "stale"
    (now / "sweep.json").write_text(json.dumps(plan))
    assert check(now, "--baseline", base) == 2
    assert "1 point of" in capsys.readouterr().err


def test_a_key_of_a_later_version_is_noted_and_no_difference(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    later = {"load.new_key": 7, "cost.new_key": 7, "engine.threads": 3, "num_requests": 99}
    write_point(tmp_path / "later", "a", records(), keys=later)
    write_point(tmp_path / "later", "b", records(gamma=2, seed=1), keys=later)
    assert check(tmp_path / "later", "--baseline", base) == 0
    shown = capsys.readouterr().out
    assert "keys that only one side knows: load.new_key" in shown
    assert "threads" not in shown and "cost" not in shown


@pytest.mark.parametrize(
    "arguments",
    [
        ["now"],
        ["--baseline", "base"],
        ["now", "--baseline", "nowhere"],
        ["now", "--baseline", "base", "--margin", "2"],
        ["now", "--baseline", "base", "--margin", "nan"],
        ["now", "--baseline", "base", "--on-inconclusive", "maybe"],
        ["now", "--baseline", "base", "--update"],
        ["now", "--baseline", "base", "--speed-margin", "0"],
    ],
)
def test_bad_command_lines_exit_2(
    base: Path, now: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"base": base, "now": now, "nowhere": base / "nowhere"}
    assert check(*(places.get(argument, argument) for argument in arguments)) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_reports_for_machines(base: Path, now: Path, tmp_path: Path) -> None:
    lower_counts(now / "points" / "three", position=2, share=0.08)
    files = {name: tmp_path / "out" / name for name in ("junit", "markdown", "json")}
    options = [item for name, path in files.items() for item in (f"--{name}", path)]
    assert check(now, "--baseline", base, *options) == 1

    suite = ElementTree.fromstring(files["junit"].read_text())
    failures = suite.findall(".//failure")
    assert len(suite.findall("testcase")) == int(suite.get("tests", 0)) > 10
    assert len(failures) == int(suite.get("failures", 0)) >= 2
    assert any("acceptance[2]" in str(failure.get("message")) for failure in failures)

    text = files["markdown"].read_text()
    assert text.startswith("### Acceptance gate: regression")
    assert "| semi_ar gamma=3 mixed | acceptance[2] | counts |" in text

    found = json.loads(files["json"].read_text())
    assert found["verdict"] == "regression"
    verdicts = {point["label"]: point["verdict"] for point in found["points"]}
    assert verdicts == {"semi_ar gamma=3 mixed": "regression", "semi_ar gamma=2 mixed": "pass"}


def test_a_check_that_cannot_be_made_is_a_junit_error(base: Path, tmp_path: Path) -> None:
    write_point(tmp_path / "one", "three", records())
    assert check(tmp_path / "one", "--baseline", base, "--junit", tmp_path / "j.xml") == 2
    suite = ElementTree.fromstring((tmp_path / "j.xml").read_text())
    assert suite.get("errors") == "1" and suite.find(".//error") is not None


def test_update_writes_a_baseline_that_stands_for_its_results(
    base: Path, now: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "baseline.json"
    assert check(base, "--baseline", file, "--update") == 0
    assert check(now, "--baseline", file) == 0
    lower_counts(now / "points" / "three", position=2, share=0.08)
    assert check(now, "--baseline", file) == 1
    capsys.readouterr()
    assert check(now, "--baseline", file, "--update") == 0
    assert "acceptance[2]" in capsys.readouterr().out
    assert check(now, "--baseline", file) == 0

    content = json.loads(file.read_text())
    content["version"] = 99
    file.write_text(json.dumps(content))
    assert check(now, "--baseline", file) == 2
    content["version"] = 1
    content["points"][0]["repeats"][0]["accepted"].pop()
    file.write_text(json.dumps(content))
    assert check(now, "--baseline", file) == 2


def test_a_dead_drafter_or_a_tiny_run_is_no_baseline(tmp_path: Path) -> None:
    file = tmp_path / "baseline.json"
    write_point(tmp_path / "dead", "three", records(chance=0.0))
    assert check(tmp_path / "dead", "--baseline", file, "--update") == 1
    write_point(tmp_path / "tiny", "three", records(num_prompts=5))
    assert check(tmp_path / "tiny", "--baseline", file, "--update") == 2
    assert not file.exists()


def test_a_drafter_that_died_is_a_regression(base: Path, tmp_path: Path) -> None:
    write_point(tmp_path / "dead", "three", records(chance=-1.0, has_overlaps=False))
    write_point(tmp_path / "dead", "two", records(gamma=2, seed=1))
    assert check(tmp_path / "dead", "--baseline", base) == 1


def test_positions_with_few_trials_are_left_out_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = records(chance=0.3, num_cycles=20)
    write_point(tmp_path / "base", "p", few)
    assert check(tmp_path / "base", "--baseline", tmp_path / "base") == 0
    shown = capsys.readouterr().out
    assert "left out: acceptance[2] (" in shown and "trials in the baseline)" in shown


def test_the_first_repeats_are_compared_where_one_side_has_more(tmp_path: Path) -> None:
    write_point(tmp_path / "base", "p", records(num_repeats=2))
    write_point(tmp_path / "now", "p", records(num_repeats=1))
    assert check(tmp_path / "now", "--baseline", tmp_path / "base") == 0
    found = json_of(tmp_path)
    ratios = [figure["ratio"] for figure in found["points"][0]["figures"]]
    assert ratios == [1.0] * len(ratios)


def json_of(folder: Path) -> dict:
    arguments = [folder / "now", "--baseline", folder / "base", "--json", folder / "out.json"]
    check(*arguments)
    return json.loads((folder / "out.json").read_text())


def test_plan_names_sizes_for_both_kinds_of_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_point(tmp_path / "base", "p", records(num_repeats=2))
    sizes = []
    for margin in (0.02, 0.01):
        assert check("--plan", "--baseline", tmp_path / "base", "--margin", margin) == 0
        shown = capsys.readouterr().out
        assert "same prompts, other seeds: " in shown
        sizes.append(int(shown.partition("upper bound): ")[2].split()[0]))
    assert sizes[1] == pytest.approx(4 * sizes[0], rel=0.05)


def test_speed_is_checked_only_when_asked(base: Path, now: Path) -> None:
    for folder, slower in ((base, 1.0), (now, 1.1)):
        for name in ("three", "two"):
            place = folder / "points" / name
            cycles, requests = (
                pd.read_parquet(place / f"{kind}.parquet") for kind in ("cycles", "requests")
            )
            baseline = cycles.assign(arm="baseline", num_emitted=1, num_drafted=0, verify_len=0)
            timed = cycles.assign(t_verify_s=slower)
            pd.concat([baseline, timed]).to_parquet(place / "cycles.parquet", index=False)
            both = pd.concat([requests.assign(arm="baseline"), requests])
            both.to_parquet(place / "requests.parquet", index=False)
            recount(place)
    assert check(now, "--baseline", base) == 0
    assert check(now, "--baseline", base, "--speed-margin", 0.2) == 0
    assert check(now, "--baseline", base, "--speed-margin", 0.05) == 1


def test_thinned_results_have_no_speed(base: Path, now: Path) -> None:
    path = now / "points" / "three" / "cycles.parquet"
    cycles = pd.read_parquet(path)
    kept = [name for name in cycles.columns if not name.startswith("t_")]
    cycles[kept].to_parquet(path, index=False)
    assert check(now, "--baseline", base) == 0
    assert check(now, "--baseline", base, "--speed-margin", 0.1) == 2


def test_pytest_users_get_the_same(base: Path, now: Path) -> None:
    assert_no_regression(now, base)
    lower_counts(now / "points" / "three", position=2, share=0.08)
    with pytest.raises(AssertionError, match=r"semi_ar gamma=3 mixed: regression: acceptance\[2\]"):
        assert_no_regression(now, base)


def test_a_baseline_that_is_not_there_may_be_a_file_or_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"no file; valid: a file that --update wrote, or a res"):
        read_side(tmp_path / "none.json")
