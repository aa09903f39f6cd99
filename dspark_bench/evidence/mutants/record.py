"""Outcomes that are kept: while the bench runs, so that it goes on where it was interrupted, and in
the end, so that the next run begins with the test that noticed an edit before.
"""

import csv
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dspark_bench.evidence.mutants.edits import Edit
from dspark_bench.evidence.mutants.trial import Outcome

_CONTROL = "control"
_COLUMNS = ("key", "file", "breaks", "verdict", "test")


class Record:
    """Outcomes by edit, in one file per state of the code and extent of the tests."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, dict[str, Any]] = {}
        if path.is_file():
            self._known = json.loads(path.read_text(encoding="utf-8"))

    def find(self, edit: Edit) -> Outcome | None:
        """What became of an edit; None if it has not been tried."""
        found = self._known.get(edit.key)
        return None if found is None else Outcome(**found)

    def keep(self, edit: Edit, outcome: Outcome) -> None:
        """Write an outcome down."""
        self._write(edit.key, asdict(outcome))

    def has_control(self, room: str) -> bool:
        """Whether the tests of a room (empty: all the others) pass without an edit."""
        return f"{_CONTROL} {room}" in self._known

    def keep_control(self, room: str) -> None:
        """Write down that they pass."""
        self._write(f"{_CONTROL} {room}", {})

    def _write(self, key: str, content: dict[str, Any]) -> None:
        self._known[key] = content
        aside = self._path.with_suffix(".aside")
        aside.write_text(json.dumps(self._known, indent=1) + "\n", encoding="utf-8")
        aside.replace(self._path)


def read_tests(path: Path) -> dict[str, str]:
    """Which test noticed an edit, by the edit's key; nothing where the file is not there."""
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        return {row["key"]: row["test"] for row in csv.DictReader(file)}


def write_tests(path: Path, outcomes: Mapping[Edit, Outcome | None]) -> None:
    """Write what became of every edit, a row each, whole or not at all.

    Of one that was not tried the row keeps the test that it had, and no verdict.
    """
    known = read_tests(path)
    rows = [
        (edit.key, edit.file, edit.breaks, outcome.verdict, outcome.test)
        if outcome is not None
        else (edit.key, edit.file, edit.breaks, "", known.get(edit.key, ""))
        for edit, outcome in outcomes.items()
    ]
    aside = path.with_suffix(".aside")
    with aside.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([_COLUMNS, *rows])
    aside.replace(path)
