"""Records and counts that no sweep can have written are refused before anything is counted."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dspark_bench import cli
from dspark_bench.core.errors import ResultsError
from dspark_bench.gate.counts import Counts, check_counts, collect_counts
from dspark_bench.reading.records import check_records
from tests.gate.folders import records, write_point

GAMMA = 3
Change = Callable[[pd.DataFrame], pd.DataFrame]


def test_sound_records_pass() -> None:
    check_records(*records(), GAMMA)
    check_records(*records(has_overlaps=False, num_repeats=2), GAMMA)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f: f.assign(num_accepted=f["num_accepted"] + 1), "num_accepted; valid: up to"),
        (lambda f: f.assign(is_rejected=True), "num_accepted; valid: up to"),
        (lambda f: f.assign(verify_len=GAMMA + 1), "verify_len; valid: up to num_drafted"),
        (lambda f: f.assign(num_drafted=GAMMA + 1), "num_drafted; valid: up to gamma, 3"),
        (lambda f: f.assign(num_accepted=0.5), "num_accepted; valid: whole numbers"),
        (lambda f: f.assign(is_warmup="no"), "is_warmup; valid: true or false"),
        (lambda f: f.assign(expected_acceptance=[[1.01]] * len(f)), "numbers from 0 to 1"),
        (lambda f: f.assign(expected_acceptance=[[np.nan]] * len(f)), "numbers from 0 to 1"),
        (lambda f: pd.concat([f, f.iloc[:1]]), "cycle; valid: each one once"),
    ],
)
def test_cycles_that_cannot_be_are_named(change: Change, says: str) -> None:
    cycles, requests = records()
    with pytest.raises(ResultsError, match=says):
        check_records(change(cycles), requests, GAMMA)


def test_a_sum_of_probabilities_may_be_rounded_above_one() -> None:
    cycles, requests = records()
    check_records(cycles.assign(expected_acceptance=[[1 + 1e-6]] * len(cycles)), requests, GAMMA)


def test_a_request_has_one_prompt() -> None:
    cycles, requests = records()
    twice = pd.concat([requests, requests.assign(prompt_id="other")])
    with pytest.raises(ResultsError, match="one prompt per request"):
        check_records(cycles, twice, GAMMA)


def _sums() -> Counts:
    return collect_counts(*records(), GAMMA, is_selective=False).repeats[0]


@pytest.mark.parametrize(
    ("name", "factor", "says"),
    [
        ("cycles", 0.0, "there are no cycles"),
        ("verified", 2.0, "more drafts are verified than there are cycles"),
        ("accepted", 2.0, "more drafts are decided than verified"),
        ("rejected", 9.0, "more drafts are decided than verified"),
        ("overlaps", 2.0, "more acceptance is expected than reached"),
        ("all_overlaps", 2.0, "more acceptance is expected than verified"),
    ],
)
def test_counts_that_no_cycles_give(name: str, factor: float, says: str) -> None:
    counts = _sums()
    check_counts(counts)
    with pytest.raises(ValueError, match=says):
        check_counts(replace(counts, **{name: getattr(counts, name) * factor}))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_point(tmp_path / "gate", "0123456789abcdef", records())
    return tmp_path


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--json", "baseline.json"], "--json is baseline.json, which --baseline names too"),
        (["--junit", "a", "--markdown", "a"], "--markdown is a, which --junit names too"),
        (["--update", "--plan"], "valid: one of them"),
        (["--update", "--json", "a"], "--json writes a verdict, and --update gives none"),
        (["--plan", "--junit", "a"], "--junit writes a verdict, and --plan gives none"),
    ],
)
def test_nothing_takes_the_place_of_the_baseline(
    folder: Path,
    more: list[str],
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    command = ["check", "gate", "--baseline", "baseline.json"]
    assert cli.execute([*command, "--update"]) == 0
    before = Path("baseline.json").read_bytes()
    assert cli.execute([*command, *more]) == 2
    assert says in capsys.readouterr().err
    assert Path("baseline.json").read_bytes() == before
    assert not Path("a").exists()


def test_update_keeps_files_that_are_no_baseline(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "config.json").write_text('{"model_type": "qwen3"}')
    command: list[Any] = ["check", str(folder / "gate"), "--update", "--baseline"]
    assert cli.execute([*command, str(folder / "config.json")]) == 2
    assert "--update does not overwrite it" in capsys.readouterr().err
    assert (folder / "config.json").read_text() == '{"model_type": "qwen3"}'
    assert cli.execute([*command, str(folder / "baseline.json")]) == 0
    whole = (folder / "baseline.json").read_bytes()
    (folder / "baseline.json").write_bytes(whole[: len(whole) // 2])
    assert cli.execute([*command, str(folder / "baseline.json")]) == 0
    assert (folder / "baseline.json").read_bytes() == whole


def test_warm_up_and_baseline_are_not_judged() -> None:
    cycles, requests = records()
    warm = cycles.assign(is_warmup=True, repeat=-1, num_accepted=99)
    other = cycles.assign(arm="baseline", verify_len=0, num_drafted=0)
    check_records(pd.concat([warm, other, cycles]), requests, GAMMA)
