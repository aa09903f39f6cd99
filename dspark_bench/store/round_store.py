"""The rounds of a block that is not done yet, on the disk: each whole or not at all."""

import os
import shutil
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Final

import pandas as pd

from dspark_bench.machine.environment import Environment
from dspark_bench.measure.round_records import RoundRecords
from dspark_bench.metrics.frames import BASELINE
from dspark_bench.store.point_store import ASIDE, read_json, write_json

BLOCKS: Final = ".blocks"
_FRAMES: Final = ("cycles", "requests")


class RoundStore:
    """`.blocks/ID` below a sweep's folder: one folder per round, `0000` on.

    Rounds belong to the code and the machine that measured them; others never see them.
    """

    def __init__(self, folder: Path, block_id: str, environment: Environment) -> None:
        self._folder = folder / BLOCKS / f"{block_id}{_origin(environment)}"

    def load(self) -> list[RoundRecords]:
        """The whole rounds from the first on; what comes after a damaged one is deleted."""
        found: list[RoundRecords] = []
        while (records := _read(self._folder / f"{len(found):04}")) is not None:
            found.append(records)
        for path in self._folder.glob("*"):
            if not path.name.isdecimal() or int(path.name) >= len(found):
                shutil.rmtree(path, ignore_errors=True)
        return found

    def append(self, records: RoundRecords) -> None:
        """Write the next round aside and rename it into place. Raises OSError."""
        number = len(list(self._folder.glob("[0-9]*")))
        aside = self._folder / f"{ASIDE}-{number:04}-{os.getpid()}"
        try:
            aside.mkdir(parents=True)
            for name in _FRAMES:
                getattr(records, name).to_parquet(aside / f"{name}.parquet", index=False)
            write_json(aside / "turns.json", {"turns": records.turns, "windows": records.windows})
            aside.rename(self._folder / f"{number:04}")
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def forget(self) -> None:
        """Delete the block's rounds: its points are stored, or are to be measured afresh."""
        shutil.rmtree(self._folder, ignore_errors=True)
        _remove_empty(self._folder.parent)


def forget_foreign(folder: Path, environment: Environment) -> None:
    """Delete rounds that other code or another machine has measured: nobody goes on from them.

    For a run that holds the folder alone.
    """
    for path in (folder / BLOCKS).glob("*"):
        if not path.name.endswith(_origin(environment)):
            shutil.rmtree(path, ignore_errors=True)
    _remove_empty(folder / BLOCKS)


def forget_blocks(folder: Path, point_ids: Collection[str]) -> None:
    """Delete the rounds of every block that holds one of these points, whoever measured them."""
    for path in (folder / BLOCKS).glob("*"):
        if not _arms(path).isdisjoint(point_ids):
            shutil.rmtree(path, ignore_errors=True)
    _remove_empty(folder / BLOCKS)


def stored_blocks(folder: Path, environment: Environment) -> list[frozenset[str]]:
    """The points of every block that has rounds of this code and machine on record, by their ids.

    By its first round: an arm that fell out in that one is not known.
    """
    found = []
    for path in sorted((folder / BLOCKS).glob(f"*{_origin(environment)}")):
        arms = _arms(path)
        if arms:
            found.append(arms)
    return found


def _arms(block: Path) -> frozenset[str]:
    content = read_json(block / "0000" / "turns.json") or {}
    named = {str(turn["arm"]) for turn in content.get("turns", [])}
    return frozenset(named - {BASELINE})


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def _origin(environment: Environment) -> str:
    return f"-{environment.code_hash[:8]}-{environment.machine_id[:8]}"


def _read(path: Path) -> RoundRecords | None:
    content = read_json(path / "turns.json")
    if content is None:
        return None
    try:
        cycles, requests = (pd.read_parquet(path / f"{name}.parquet") for name in _FRAMES)
        return RoundRecords(cycles, requests, content["turns"], content["windows"])
    except Exception:  # a damaged file raises whatever the parquet reader meets
        return None
