"""The rounds of a block: warm-up, then every arm in turn, round after round, kept once whole."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Protocol

from dspark_bench.core.errors import PointsFailedError
from dspark_bench.machine.gpu_process import GpuTelemetry
from dspark_bench.machine.watch import MachineWatch
from dspark_bench.measure.interleave import turn_tokens
from dspark_bench.measure.round_records import (
    RoundLog,
    RoundRecords,
    recorded_turns,
    round_records,
)
from dspark_bench.measure.rounds import RoundPlan, Style
from dspark_bench.measure.standing import Scoreboard, Standing, pair_of_arms
from dspark_bench.measure.turns import (
    OnTurn,
    Order,
    Runner,
    Turn,
    TurnResult,
    plan_round,
    run_together,
    run_turns,
)
from dspark_bench.metrics.frames import BASELINE, SPECULATIVE
from dspark_bench.metrics.log_ratio import SHARE
from dspark_bench.metrics.machine import Window
from dspark_bench.metrics.precision import Looks, is_reached, plan_looks, units_needed


class RoundWatcher(Protocol):
    """Told of what happens between turns."""

    @property
    def on_turn(self) -> OnTurn:
        """Called after each turn."""
        ...

    @property
    def on_standing(self) -> "OnStanding":
        """Called after each whole round, and whether it is one after which may be stopped."""
        ...


OnStanding = Callable[[Standing, bool], None]


@dataclass(frozen=True, slots=True)
class Turns:
    """The turns of all arms, warm-up first, in whole rounds; windows: what was seen around them;
    errors: why arms fell out, by label; num_rounds: whole ones;
    num_looks: moments at which it could have ended; share: what intervals are to cover,
    more than 95 % where several looks share the error; is_reached: whether the precision asked for
    was, None without one; num_needed: units that it would have taken, where that is known; stopped:
    the signal that ended them early, or None.
    """

    done: Sequence[TurnResult]
    windows: Sequence[Window]
    telemetry: GpuTelemetry
    errors: Mapping[str, Exception]
    num_rounds: int
    num_looks: int
    share: float
    is_reached: bool | None
    num_needed: int | None
    stopped: BaseException | None = None

    def of(self, label: str) -> tuple[list[TurnResult], tuple[Window, ...]]:
        """The baseline's and one arm's, as the two arms of a point."""
        own = {BASELINE: BASELINE, label: SPECULATIVE}
        windows = [replace(w, arm=own[w.arm]) for w in self.windows if w.arm in own]
        return pair_of_arms(self.done, label), tuple(windows)


class Rounds:
    """The rounds of a block as far as they have got. Mutated by each.

    precision: half width of S, as a share, at which they end; None: all are served; unbuilt: why
    arms of the order have no worker.
    """

    def __init__(
        self,
        plan: RoundPlan,
        order: Order,
        workers: Mapping[str, Runner],
        precision: float | None,
        watcher: RoundWatcher,
        unbuilt: Mapping[str, Exception],
    ) -> None:
        self.num_whole = 0
        self._plan, self._order, self._workers = plan, order, workers
        self._precision, self._watcher = precision, watcher
        is_by_prompt = plan.style is Style.ONE_BY_ONE
        self._looks = Looks((), SHARE)
        if precision is not None:
            self._looks = plan_looks(plan.round_units, is_by_prompt, precision)
        self._board = Scoreboard(plan)
        self._standing = self._board.standing(self._looks.share)
        self._is_reached = False
        self._done: list[TurnResult] = []
        self._windows: list[Window] = []
        self._num_arms = len(workers) + len(unbuilt) - 1
        self._errors = dict(unbuilt)

    @property
    def goes_on(self) -> bool:
        """Whether there is a round left, and need of it, and somebody to compare."""
        is_left = self.num_whole < len(self._plan.rounds) and not self._is_reached
        if self._precision is not None and self.num_whole and not self._is_known:
            return False
        has_arms = len(self._errors) < self._num_arms
        return is_left and has_arms and BASELINE not in self._errors

    @property
    def _is_known(self) -> bool:
        """Whether there is an S at all: rounds too small for a steady part never give one."""
        return any(found.value is not None for found in self._standing.speedups.values())

    def turns(self, telemetry: GpuTelemetry, stopped: BaseException | None = None) -> Turns:
        """What came of them."""
        asked, intervals = self._precision, tuple(self._standing.speedups.values())
        return Turns(
            self._done,
            self._windows,
            telemetry,
            self._errors,
            self.num_whole,
            max(1, len(self._looks.rounds)),
            self._looks.share,
            None if asked is None else self._is_reached,
            None if asked is None else units_needed(intervals, asked, self._looks.share),
            stopped,
        )

    def warm_up(self, turns: Sequence[Turn]) -> None:
        """Serve what is left out of every metric."""
        turns = [turn for turn in turns if turn.arm not in self._errors]
        watch = MachineWatch()
        served = run_turns(turns, self._workers, self._watcher.on_turn, watch.around)
        self._keep(served.done, watch.windows)
        self._errors |= served.errors

    def take_over(self, log: RoundLog) -> None:
        """Take the rounds on record as they were; an arm that is missing in one has fallen out."""
        for records in log.load()[: len(self._plan.rounds)]:
            planned = self._planned()
            done, windows = recorded_turns(records, planned)
            missing = {turn.arm for turn in planned} - {item.turn.arm for item in done}
            for arm in missing:
                self._errors[arm] = PointsFailedError("fell out before the interruption")
            for item in done:
                self._watcher.on_turn(item)
            self._count(done, windows)

    def serve_next(self) -> RoundRecords:
        """Serve one round with every arm that has not fallen out, and return its records."""
        watch = MachineWatch()
        if self._plan.style is Style.WHOLE_SETS:
            planned = [turn for turn in self._planned() if turn.arm not in self._errors]
            served = run_turns(planned, self._workers, self._watcher.on_turn, watch.around)
            self._errors |= served.errors
            served_turns = list(served.done)
        else:
            served_turns = self._serve_together(watch)
        done = [item for item in served_turns if item.turn.arm not in self._errors]
        self._count(done, watch.windows)
        return round_records(done, watch.windows)

    def _planned(self) -> list[Turn]:
        number = self.num_whole
        sets, first = self._plan.sets(number), self._plan.first_block(number)
        return plan_round(number, sets, self._order, first)

    def _count(self, done: Sequence[TurnResult], windows: Sequence[Window]) -> None:
        """Another round is whole."""
        self._keep(done, windows)
        self.num_whole += 1
        self._board.add(done)
        self._standing = self._board.standing(self._looks.share)
        is_look = self.num_whole in self._looks.rounds
        if is_look and self._precision is not None:
            self._is_reached = is_reached(self._standing.speedups.values(), self._precision)
        self._watcher.on_standing(self._standing, is_look)

    def _keep(self, done: Sequence[TurnResult], windows: Sequence[Window]) -> None:
        self._done += done
        self._windows += windows

    def _serve_together(self, watch: MachineWatch) -> list[TurnResult]:
        """Set after set, all arms side by side in each. One that raises takes part in no more."""
        done: list[TurnResult] = []
        for block, turns in groupby(self._planned(), key=lambda turn: turn.block):
            served = run_together(
                [turn for turn in turns if turn.arm not in self._errors],
                self._workers,
                turn_tokens(self._plan.concurrency),
                self._order.rows_from(block),
                self._watcher.on_turn,
                watch.around,
            )
            self._errors |= served.errors
            done += served.done
        return done
