"""The bench of planted edits, on a tree of a few lines."""

import json
import subprocess
from pathlib import Path

import pytest

from dspark_bench.evidence.mutants.edits import Edit, read_edits
from dspark_bench.evidence.mutants.record import Record, read_tests, write_tests
from dspark_bench.evidence.mutants.report import noticed, section
from dspark_bench.evidence.mutants.tree import ScratchTree
from dspark_bench.evidence.mutants.trial import (
    Outcome,
    SuiteRunner,
    all_files,
    read_output,
    stages,
    try_edit,
)

_CODE = "def twice(x):\n    return 2 * x\n\n\ndef half(x):\n    return x / 2\n"
_FILE = "dspark_bench/room/maths.py"
_TESTS = {
    "tests/room/test_a.py": "from dspark_bench.room.other import one\n\n\ndef test_one():\n"
    "    assert one() == 1\n",
    "tests/room/test_maths.py": "from dspark_bench.room.maths import twice\n\n\n"
    "def test_twice():\n    assert twice(3) == 6\n",
    "tests/hall/test_far.py": "from dspark_bench.room.maths import half\n\n\n"
    "def test_half():\n    assert half(3) == 1.5\n",
    "tests/hall/test_none.py": "def test_nothing():\n    assert True\n",
    "tests/evidence/mutants/test_edits.py": "def test_list():\n    assert False\n",
}
EDITS = {
    "room": Edit(_FILE, "2 * x", "2 + x", "twice is two more"),
    "rest": Edit(_FILE, "x / 2", "x // 2", "half is whole"),
    "survived": Edit(_FILE, "def twice(x):", "def twice(x, y=0):", "nothing"),
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in ({_FILE: _CODE} | _TESTS).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "dspark_bench/room/other.py").write_text("def one():\n    return 1\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --import-mode=importlib\n")
    return tmp_path


def test_an_edit_is_planted_where_its_text_occurs_once(tree: Path) -> None:
    edit = EDITS["room"]
    assert edit.fits(tree) and (edit.room, edit.module) == ("room", "dspark_bench.room.maths")
    edit.plant(tree)
    assert (tree / _FILE).read_text() == _CODE.replace("2 * x", "2 + x")
    assert not edit.fits(tree)
    assert not Edit(_FILE, "return ", "", "it is there twice").fits(tree)
    assert not Edit("dspark_bench/room/gone.py", "a", "b", "no such file").fits(tree)
    assert len({edit.key for edit in EDITS.values()}) == 3


def test_what_imports_the_module_comes_first_then_its_room_then_the_rest(tree: Path) -> None:
    own, near, room, rest = (
        *("tests/room/test_maths.py", "tests/hall/test_far.py"),
        *("tests/room/test_a.py", "tests/hall/test_none.py"),
    )
    assert stages(EDITS["room"], tree) == ((own,), (near,), (room,), (rest,))
    assert all_files(tree) == (near, rest, room, own)
    first = tree / "tests/room/test_first.py"
    first.write_text((tree / own).read_text())
    assert stages(EDITS["room"], tree)[:2] == ((own,), ("tests/room/test_first.py",))


def test_a_test_that_noticed_an_edit_before_comes_before_all_others(tree: Path) -> None:
    known = "tests/hall/test_none.py"
    first, *others = stages(EDITS["room"], tree, f"{known}::test_nothing")
    assert first == (known,) and known not in sum(others, ())
    assert stages(EDITS["room"], tree, "tests/gone.py::test") == stages(EDITS["room"], tree)


def test_edits_are_noticed_by_their_room_by_others_or_not_at_all(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # which saves their imports
    runner = SuiteRunner(tree, imported=())
    found = {}
    try:
        for name, edit in EDITS.items():
            edit.plant(tree)
            found[name] = try_edit(edit, runner, has_rest=name == "rest")
            (tree / _FILE).write_text(_CODE)
    finally:
        runner.close()
    assert [outcome.verdict for outcome in found.values()] == list(EDITS)
    assert found["room"].test == "tests/room/test_maths.py::test_twice"
    assert found["rest"].test == "tests/hall/test_far.py::test_half"


def test_what_pytest_says_is_read_and_what_it_cannot_run_is_no_finding() -> None:
    failed = "..F\nFAILED tests/a.py::test_b[x y] - assert 1 == 2\n1 failed\n"
    assert read_output(failed, 1) == "tests/a.py::test_b[x y]"
    assert read_output("ERROR tests/a.py - SyntaxError\n", 2) == "tests/a.py"
    assert read_output("..", 0) is None and read_output("no tests ran", 5) is None
    assert read_output("Segmentation fault", -11) == "pytest ended with -11"
    for code in (3, 4, 70):
        with pytest.raises(RuntimeError, match="could not run: usage"):
            read_output("usage", code)


def test_outcomes_are_kept_and_taken_up_again(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.json"
    first = Record(path)
    outcome = Outcome("room", "tests/a.py::test_b", 2.5)
    first.keep(EDITS["room"], outcome)
    first.keep_control("room")
    again = Record(path)
    assert again.find(EDITS["room"]) == outcome and again.find(EDITS["rest"]) is None
    assert again.has_control("room") and not again.has_control("")
    assert len(json.loads(path.read_text())) == 2
    assert [found.name for found in tmp_path.iterdir()] == ["outcomes.json"]


def test_which_test_noticed_an_edit_is_there_for_the_next_run(tmp_path: Path) -> None:
    path = tmp_path / "planted_bugs.csv"
    assert read_tests(path) == {}
    test = "tests/a.py::test_b[x, y]"
    known: dict[Edit, Outcome | None]
    known = {EDITS["room"]: Outcome("room", test, 1.0), EDITS["survived"]: None}
    write_tests(path, known)
    assert read_tests(path) == {EDITS["room"].key: test, EDITS["survived"].key: ""}
    write_tests(path, {EDITS["room"]: None, EDITS["rest"]: Outcome("rest", "tests/c.py::d", 1.0)})
    assert read_tests(path) == {EDITS["room"].key: test, EDITS["rest"].key: "tests/c.py::d"}
    assert [found.name for found in tmp_path.iterdir()] == ["planted_bugs.csv"]


def test_the_table_counts_by_room_and_names_what_survives() -> None:
    far = Edit("dspark_bench/hall/far.py", "a", "b", "it has moved")
    untried = Edit("dspark_bench/hall/far.py", "c", "d", "no time was left")
    outcomes: dict[Edit, Outcome | None] = {
        EDITS["room"]: Outcome("room", "t", 1.0),
        EDITS["rest"]: Outcome("rest", "t", 1.0),
        EDITS["survived"]: Outcome("survived", "", 1.0),
        far: Outcome("moved", "", 0.0),
        untried: None,
    }
    text = section(outcomes, "1a2b3c4", 12.4, has_rest=True)
    assert noticed(outcomes) == 2
    assert "Noticed: 2 of 5 (40%)." in text and "commit 1a2b3c4" in text
    assert "| room | 3 | 2 | 1 | 1 | 1 | 0 |" in text
    assert "| hall | 2 | 0 | 0 | 0 | 0 | 2 |" in text
    assert "| all | 5 | 2 | 1 | 1 | 1 | 2 |" in text
    assert "Survived:\n\n- `dspark_bench/room/maths.py`: nothing\n" in text
    assert "Code that has moved:\n\n- `dspark_bench/hall/far.py`: it has moved\n" in text


def test_a_list_that_is_no_list_of_edits_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("[[edit]]\nfile = 'f'\nold = 'a'\nnew = 'b'\nwhy = 'c'\n")
    with pytest.raises(TypeError, match="why"):
        read_edits(tmp_path)
    (tmp_path / "a.toml").write_text("title = 'x'\n")
    with pytest.raises(KeyError):
        read_edits(tmp_path)


def test_a_copy_gets_its_own_text_back_whatever_became_of_the_repository(
    tree: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    subprocess.run(("git", "init", "-q"), cwd=tree, check=True)
    scratch = ScratchTree(tree, tmp_path_factory.mktemp("copy") / "tree")
    path = scratch.folder / _FILE
    with scratch.planted(EDITS["room"]):
        (tree / _FILE).write_text("gone on\n")
        assert path.read_text() == _CODE.replace("2 * x", "2 + x")
    assert path.read_text() == _CODE
    assert not EDITS["room"].fits(tree)
