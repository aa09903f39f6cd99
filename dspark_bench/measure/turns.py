"""The measurement protocol: baseline and speculation take turns in one process, A B B A.

With one user a turn is one request, so that both arms meet the same state of the machine within a
second; under any other load a turn is the whole request set.
"""

import gc
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, fields
from typing import Any, Protocol

import pandas as pd

from dspark_bench.core.protocols import Load
from dspark_bench.core.types import CycleRecord, Request, RequestRecord, RunResult
from dspark_bench.metrics.frames import BASELINE, SPECULATIVE

ARMS = (BASELINE, SPECULATIVE)
WARMUP_REPEAT = -1


class Runner(Protocol):
    """One arm: an engine that keeps its cache and scheduler state across turns."""

    def run(self, requests: Sequence[Request], load: Load, seed: int) -> RunResult:
        """Serve the requests and return their records."""
        ...


@dataclass(frozen=True, slots=True)
class Turn:
    """One run of one arm. block: the A-B pair that it belongs to."""

    arm: str
    repeat: int
    block: int
    requests: tuple[Request, ...]
    seed: int
    is_warmup: bool


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


def plan_turns(
    requests: Sequence[Request], is_one_by_one: bool, num_repeats: int, seed: int
) -> list[Turn]:
    """A B, B A, A B, ... over single requests (one user) or over whole request sets."""
    sets = [(request,) for request in requests] if is_one_by_one else [tuple(requests)]
    turns = []
    for repeat in range(num_repeats):
        for number, chosen in enumerate(sets):
            block = repeat * len(sets) + number
            order = ARMS if block % 2 == 0 else ARMS[::-1]
            noise = repeat_seed(seed, repeat)
            turns += [Turn(arm, repeat, block, chosen, noise, is_warmup=False) for arm in order]
    return turns


def plan_warmup(requests: Sequence[Request], num_requests: int, seed: int) -> list[Turn]:
    """One turn per arm over the first requests; flagged, and left out of every metric."""
    chosen = tuple(requests[:num_requests])
    if not chosen:
        return []
    noise = repeat_seed(seed, WARMUP_REPEAT)
    return [Turn(arm, WARMUP_REPEAT, WARMUP_REPEAT, chosen, noise, is_warmup=True) for arm in ARMS]


def repeat_seed(seed: int, repeat: int) -> int:
    """Noise seed of one repeat: both arms share it, no two repeats do."""
    digest = hashlib.sha256(f"{seed}/{repeat}".encode()).digest()
    return int.from_bytes(digest[:7], "big")


def run_turns(
    turns: Sequence[Turn],
    arms: Mapping[str, Runner],
    load: Load,
    on_turn: OnTurn,
    around: Around = unwatched,
) -> list[TurnResult]:
    """Run turn after turn; `on_turn` is called between them, while nothing is timed.

    around: entered right before each turn, left right after it.
    """
    done = []
    for turn in turns:
        with around(turn), garbage_kept():
            result = arms[turn.arm].run(turn.requests, load, turn.seed)
        done.append(TurnResult(turn, result))
        on_turn(done[-1])
    return done


def cycle_frame(done: Sequence[TurnResult]) -> pd.DataFrame:
    """`cycles.parquet`: every cycle record with its arm, repeat, block and warm-up flag."""
    names = [field.name for field in fields(CycleRecord)]
    return pd.DataFrame(
        [_row(record, names, item.turn) for item in done for record in item.result.cycles]
    )


def request_frame(done: Sequence[TurnResult]) -> pd.DataFrame:
    """`requests.parquet`: every request record with its arm, repeat, block and warm-up flag.

    prompt_hash: 16 hex digits over the prompt's tokens.
    """
    names = [field.name for field in fields(RequestRecord)]
    rows = []
    for item in done:
        hashes = {r.request_id: _prompt_hash(r) for r in item.turn.requests}
        for record in item.result.requests:
            known = {"prompt_hash": hashes.get(record.request_id, "")}
            rows.append(_row(record, names, item.turn) | known)
    return pd.DataFrame(rows)


def _prompt_hash(request: Request) -> str:
    text = ",".join(map(str, request.prompt_tokens))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _row(record: CycleRecord | RequestRecord, names: Sequence[str], turn: Turn) -> dict[str, Any]:
    row: dict[str, Any] = {
        "arm": turn.arm,
        "repeat": turn.repeat,
        "block": turn.block,
        "is_warmup": turn.is_warmup,
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
