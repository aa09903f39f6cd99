"""Whole rounds of a block as tables, and back: what a block goes on from after an interruption."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Protocol, TypeVar

import numpy as np
import pandas as pd

from dspark_bench.core.records import CycleRecord, RequestRecord, RunResult
from dspark_bench.measure.turns import Turn, TurnResult, cycle_frame, request_frame
from dspark_bench.metrics.machine import Reading, Window

Record = TypeVar("Record", CycleRecord, RequestRecord)
_KEY = ("arm", "repeat", "block")


@dataclass(frozen=True, slots=True)
class RoundRecords:
    """One round of all arms. cycles, requests: as `turns.cycle_frame` makes them, arms by their
    labels; turns: label, repeat, set and seconds of each turn; windows: what was seen around them.
    """

    cycles: pd.DataFrame
    requests: pd.DataFrame
    turns: list[dict[str, Any]]
    windows: list[dict[str, Any]]


class RoundLog(Protocol):
    """Where a block's whole rounds are kept until its points are stored."""

    def load(self) -> list[RoundRecords]:
        """The whole rounds that are there, from the first on."""
        ...

    def append(self, records: RoundRecords) -> None:
        """Keep the next round, whole or not at all. Raises OSError."""
        ...


class NoLog:
    """Keeps nothing."""

    def load(self) -> list[RoundRecords]:
        """None."""
        return []

    def append(self, records: RoundRecords) -> None:
        """Nothing."""


def round_records(done: Sequence[TurnResult], windows: Sequence[Window]) -> RoundRecords:
    """The tables of one round."""
    turns = [
        {**{name: getattr(item.turn, name) for name in _KEY}, "wall_s": item.result.wall_s}
        for item in done
    ]
    return RoundRecords(
        cycle_frame(done), request_frame(done), turns, [asdict(window) for window in windows]
    )


def recorded_turns(
    records: RoundRecords, planned: Sequence[Turn]
) -> tuple[list[TurnResult], list[Window]]:
    """The turns of a round as they came out of the engine. planned: of every arm, as planned now;
    those that are not on record are left out.
    """
    cycles = _by_turn(records.cycles)
    requests = _by_turn(records.requests)
    by_key = {(turn.arm, turn.repeat, turn.block): turn for turn in planned}
    done = []
    for entry in records.turns:
        key = (entry["arm"], entry["repeat"], entry["block"])
        if key in by_key:
            result = RunResult(
                _records(requests.get(key), RequestRecord),
                _records(cycles.get(key), CycleRecord),
                entry["wall_s"],
            )
            done.append(TurnResult(by_key[key], result))
    return done, [_window(entry) for entry in records.windows]


def _by_turn(frame: pd.DataFrame) -> Mapping[Any, pd.DataFrame]:
    return {} if frame.empty else dict(iter(frame.groupby(list(_KEY), sort=False)))


def _records(frame: pd.DataFrame | None, kind: type[Record]) -> list[Record]:
    if frame is None:
        return []
    names = [field.name for field in fields(kind)]
    columns = [[_plain(value) for value in frame[name]] for name in names]
    return [kind(**dict(zip(names, row, strict=True))) for row in zip(*columns, strict=True)]


def _plain(value: Any) -> Any:
    """A cell as the engine had it."""
    if isinstance(value, np.ndarray | list):
        return tuple(np.asarray(value).tolist())
    return value.item() if isinstance(value, np.generic) else value


def _window(entry: Mapping[str, Any]) -> Window:
    readings = {name: Reading(**entry[name]) for name in ("before", "after")}
    return Window(**{**entry, **readings})
