"""The measurement protocol: a baseline and the arms of a block take turns in one process.

With one user a turn is one request, and all arms work on it side by side: they hand over after a
few tokens, so that all meet the same state of the machine. In other closed loops a turn is a whole
set, and the arms hand over after about a second of work. In open loops whole sets run one after the
other, with the same arrivals for every arm.
"""

import gc
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, fields
from typing import Any, Final, Protocol

import pandas as pd

from dspark_bench.core.prompt_hash import prompt_hash
from dspark_bench.core.records import CycleRecord, RequestRecord, RunResult
from dspark_bench.core.types import Request
from dspark_bench.measure.interleave import interleave
from dspark_bench.metrics.loops import COLUMN, flag_loops

WARMUP_REPEAT: Final = -1


class Runner(Protocol):
    """One arm: an engine that keeps its cache and scheduler state across turns, with its load."""

    def run(self, requests: Sequence[Request], seed: int) -> RunResult:
        """Serve the requests and return their records."""
        ...

    def steps(self, requests: Sequence[Request], seed: int) -> Iterator[RunResult]:
        """The same cycle by cycle, so that other arms may work in between."""
        ...


@dataclass(frozen=True, slots=True)
class Turn:
    """One run of one arm. repeat: the round; block: the set of turns over the same requests that it
    belongs to, one of each arm; number: its place among all turns of the measurement.
    """

    arm: str
    repeat: int
    block: int
    requests: tuple[Request, ...]
    seed: int
    is_warmup: bool
    number: int = 0


@dataclass(frozen=True, slots=True)
class TurnResult:
    """A turn with its records."""

    turn: Turn
    result: RunResult


OnTurn = Callable[[TurnResult], None]
Around = Callable[[Turn], AbstractContextManager[None]]


def unwatched(turn: Turn) -> AbstractContextManager[None]:
    """Nothing is read around a turn."""
    return nullcontext()


@dataclass(frozen=True, slots=True)
class Order:
    """Who takes turns, and how. orders: rows of arms, the baseline among them; each set of turns
    takes the next row; seeds: of each arm's noise.
    """

    orders: tuple[tuple[str, ...], ...]
    seeds: Mapping[str, int]

    def row(self, block: int) -> tuple[str, ...]:
        """The arms in the order of one set of turns."""
        return self.orders[block % len(self.orders)]

    def rows_from(self, block: int) -> tuple[tuple[str, ...], ...]:
        """All orders, that of one set of turns first: who hands over to whom within it."""
        first = block % len(self.orders)
        return self.orders[first:] + self.orders[:first]


def plan_round(
    repeat: int, sets: Sequence[Sequence[Request]], order: Order, first_block: int
) -> list[Turn]:
    """Every arm once over every set of requests. first_block: number of the round's first set."""
    turns = []
    for block, requests in enumerate(sets, first_block):
        for place, arm in enumerate(row := order.row(block)):
            noise = repeat_seed(order.seeds[arm], repeat)
            number = block * len(row) + place
            turns.append(Turn(arm, repeat, block, tuple(requests), noise, False, number))
    return turns


def plan_warmup(requests: Sequence[Request], num_requests: int, order: Order) -> list[Turn]:
    """One turn per arm over the first requests; flagged, and left out of every metric."""
    chosen = tuple(requests[:num_requests])
    if not chosen:
        return []
    return [
        Turn(arm, WARMUP_REPEAT, WARMUP_REPEAT, chosen, repeat_seed(seed, WARMUP_REPEAT), True, -1)
        for arm, seed in order.seeds.items()
    ]


def repeat_seed(seed: int, repeat: int) -> int:
    """Noise seed of one repeat: all arms share it, no two repeats do."""
    digest = hashlib.sha256(f"{seed}/{repeat}".encode()).digest()
    return int.from_bytes(digest[:7], "big")


@dataclass(frozen=True, slots=True)
class Served:
    """What came of some turns: results in the order of their turns, and why arms fell out."""

    done: tuple[TurnResult, ...]
    errors: Mapping[str, Exception]


def run_turns(
    turns: Sequence[Turn],
    arms: Mapping[str, Runner],
    on_turn: OnTurn,
    around: Around = unwatched,
) -> Served:
    """Run turn after turn; `on_turn` is called between them, while nothing is timed.

    An arm that raises takes no further turn, and the others go on. around: entered right before
    each turn, left right after it.
    """
    done: list[TurnResult] = []
    errors: dict[str, Exception] = {}
    for turn in turns:
        if turn.arm in errors:
            continue
        try:
            with around(turn), garbage_kept():
                result = arms[turn.arm].run(turn.requests, turn.seed)
        except Exception as error:
            errors[turn.arm] = error
            continue
        done.append(TurnResult(turn, result))
        on_turn(done[-1])
    return Served(tuple(done), errors)


def run_together(
    turns: Sequence[Turn],
    arms: Mapping[str, Runner],
    turn_tokens: int,
    orders: Sequence[Sequence[str]],
    on_turn: OnTurn,
    around: Around = unwatched,
) -> Served:
    """Run one turn of each arm side by side (`interleave`): they hand over every `turn_tokens`.
    orders: see there.
    """
    by_arm = {turn.arm: turn for turn in turns}
    runs = {arm: arms[arm].steps(turn.requests, turn.seed) for arm, turn in by_arm.items()}
    kept = [[arm for arm in row if arm in by_arm] for row in orders]
    with garbage_kept():
        results, errors = interleave(runs, turn_tokens, kept, lambda arm: around(by_arm[arm]))
    done = [TurnResult(by_arm[arm], result) for arm, result in results.items()]
    for item in done:
        on_turn(item)
    return Served(tuple(done), errors)


def cycle_frame(done: Sequence[TurnResult]) -> pd.DataFrame:
    """`cycles.parquet`: every cycle record with its arm, repeat, block, warm-up flag and turn."""
    names = [field.name for field in fields(CycleRecord)]
    return pd.DataFrame(
        [_row(record, names, item.turn) for item in done for record in item.result.cycles]
    )


def request_frame(done: Sequence[TurnResult]) -> pd.DataFrame:
    """`requests.parquet`: every request record with its arm, repeat, block, warm-up flag and turn.

    prompt_hash: 16 hex digits over the prompt's tokens; is_degenerate: `loops.flag_loops`.
    """
    names = [field.name for field in fields(RequestRecord)]
    rows = []
    prompts: dict[str, tuple[int, ...]] = {}
    for item in done:
        hashes = {r.request_id: prompt_hash(r.prompt_tokens) for r in item.turn.requests}
        prompts |= {hashes[r.request_id]: r.prompt_tokens for r in item.turn.requests}
        for record in item.result.requests:
            known = {"prompt_hash": hashes.get(record.request_id, "")}
            rows.append(_row(record, names, item.turn) | known)
    frame = pd.DataFrame(rows)
    return frame.assign(**{COLUMN: flag_loops(frame, prompts)}) if rows else frame


def _row(record: CycleRecord | RequestRecord, names: Sequence[str], turn: Turn) -> dict[str, Any]:
    row: dict[str, Any] = {
        "arm": turn.arm,
        "repeat": turn.repeat,
        "block": turn.block,
        "is_warmup": turn.is_warmup,
        "turn": turn.number,
    }
    for name in names:
        value = getattr(record, name)
        row[name] = list(value) if isinstance(value, tuple) else value
    return row


@contextmanager
def garbage_kept() -> Iterator[None]:
    """No garbage collection inside: a collection would be charged to whichever arm it hits."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
