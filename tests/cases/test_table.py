"""Every row of the table of cases, typed as a user types it."""

import shutil
from pathlib import Path

import pytest

from tests.cases.inputs import write_kit
from tests.cases.row import Row, type_in, wrong
from tests.cases.table import ROWS

_CASES = (
    1,
    2,
    3,
    5,
    7,
    8,
    9,
    10,
    11,
    13,
    14,
    15,
    16,
    18,
    19,
    20,
    21,
    22,
    23,
    24,
    26,
    27,
    29,
    30,
    32,
)


@pytest.fixture(scope="session")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cases") / "kit"
    folder.mkdir()
    write_kit(folder)
    return folder


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_the_right_exit_code_and_lines(
    row: Row, kit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if row.needs is not None and shutil.which(row.needs) is None:
        pytest.skip(f"no {row.needs} here")
    box = Path(shutil.copytree(kit, tmp_path / "box"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("NOWHERE", raising=False)
    if row.prepare is not None:
        row.prepare(box)
    if row.patch is not None:
        row.patch(monkeypatch)
    outcome = type_in(row, box, monkeypatch)
    assert wrong(row, outcome, str(tmp_path / "home")) == [], outcome.out + outcome.err
    assert not (tmp_path / "home").exists() and not list(box.glob("[~$]*"))


def test_every_case_has_a_row_and_no_two_are_called_alike() -> None:
    assert tuple(sorted({row.case for row in ROWS})) == _CASES
    assert len({row.id for row in ROWS}) == len(ROWS)


def test_a_wrong_outcome_is_noticed(
    kit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The judge itself: of one command, each thing that a row can ask for and not get."""
    good = Row(0, "x", "run --hydra-help", 2, ("--hydra-help is not", "offered"))
    outcome = type_in(good, kit, monkeypatch)
    assert wrong(good, outcome, "/h") == []
    for row, says in (
        (Row(0, "x", good.typed, 0, ()), "exit code 2, right is 0"),
        (Row(0, "x", good.typed, 2, ("offered", "--hydra-help is not")), "does not say"),
        (Row(0, "x", good.typed, 2, (), ("offered",)), "says 'offered'"),
    ):
        (found,) = wrong(row, outcome, "/h")
        assert found.startswith(says)
