"""Malformed inputs in this process; `make bench-bad-input` runs all of them as commands."""

from pathlib import Path

import pytest

from tests.bad_input.case import Case, Outcome, changed, describe, open_box, overridden, problems
from tests.bad_input.catalogue import catalogue, representative
from tests.bad_input.edits import write
from tests.bad_input.inprocess import run_here
from tests.bad_input.run import Done, run_case, section

_CASES = catalogue()
_FAST = representative(_CASES, every=40)
_SLOW = [case for case in _CASES if case not in _FAST]


def _check(case: Case, stock: Path, tmp_path: Path) -> None:
    outcome = run_here(case, stock, tmp_path / "box")
    assert not problems(case, outcome), describe(case, outcome)


@pytest.mark.parametrize("case", _FAST, ids=lambda case: case.id[:80])
def test_a_representative_part(case: Case, stock: Path, tmp_path: Path) -> None:
    _check(case, stock, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("case", _SLOW, ids=lambda case: case.id[:80])
def test_the_rest(case: Case, stock: Path, tmp_path: Path) -> None:
    _check(case, stock, tmp_path)


def test_the_catalogue_is_large_and_reaches_every_command() -> None:
    assert len(_CASES) >= 150
    verbs = {case.arguments[0] for case in _CASES}
    assert verbs >= {
        *("sweep", "run", "plot", "report", "recommend", "check"),
        *("export", "whatif"),
        *("train", "calibrate", "profile", "verify", "list", "doctor"),
    }


def test_a_command_in_a_process_of_its_own_ends_as_here(stock: Path, tmp_path: Path) -> None:
    number = next(i for i, case in enumerate(_CASES) if case.says == "gamma is 0")
    outcome = run_case(number, stock, tmp_path, is_fresh=False)
    assert not problems(_CASES[number], outcome), describe(_CASES[number], outcome)
    text = section([Done(_CASES[number], outcome)], "1a2b3c4", "")
    assert "| overrides | 1 | 1/1 | 1/1 | 0 | 0 | 0 |" in text
    assert "No problem was found." in text
    wrong = section([Done(_CASES[number], Outcome(0, "", "", ("stray.txt",)))], "1a2b3c4", "")
    assert "| overrides | 1 | 0/1 | 0/1 | 0 | 0 | 1 |" in wrong
    assert "- wrong: overrides: gamma=0" in wrong


def test_the_harness_sees_what_is_wrong(stock: Path, tmp_path: Path) -> None:
    case = Case("harness", "a sound sweep", overridden("sweep", "name=sound"), "gamma")
    before = open_box(stock, tmp_path / "box", case)
    write("stray.txt", "x")(tmp_path / "box")
    write("results/kept.txt", "x")(tmp_path / "box")
    written = changed(before, tmp_path / "box", case)
    assert written == ("stray.txt",)
    two_lines = Outcome(2, "", "error: gamma\nand more\n", written)
    assert len(problems(case, two_lines)) == 2
    trace = Outcome(70, "", "Traceback (most recent call last):\n", ())
    assert len(problems(case, trace)) == 3
    assert problems(case, Outcome(2, "", "error: gamma is 0; valid: 1 or more\n", ())) == []
