"""How the arms of a block stand after whole rounds: S of each, as far as it is known."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from dspark_bench.core.errors import ResultsError
from dspark_bench.measure.rounds import RoundPlan, Style
from dspark_bench.measure.turns import TurnResult, cycle_frame, request_frame
from dspark_bench.metrics.comparison import speed_by_prompt, speed_by_round
from dspark_bench.metrics.frames import BASELINE, SPECULATIVE
from dspark_bench.metrics.intervals import Interval
from dspark_bench.metrics.log_ratio import SHARE, log_ratio_interval
from dspark_bench.metrics.strata import IntArray
from dspark_bench.metrics.units import FloatArray

_SPEEDS = ["tokens", "time_s", "baseline_tokens", "baseline_time_s"]


@dataclass(frozen=True, slots=True)
class Standing:
    """speedups: S of each arm with its interval, by label; num_units: prompts (is_by_prompt) or
    rounds that these rest on.
    """

    speedups: Mapping[str, Interval]
    num_units: int
    is_by_prompt: bool


class Scoreboard:
    """Sums of every arm by unit. Mutated by each round."""

    def __init__(self, plan: RoundPlan) -> None:
        self._plan = plan
        self._speeds: dict[str, pd.DataFrame] = {}
        self._domains: dict[str, str] = {}

    def add(self, done: Sequence[TurnResult]) -> None:
        """Count the turns of a whole round. An arm that has no turn in it leaves the board."""
        labels = {item.turn.arm for item in done} - {BASELINE}
        self._speeds = {k: frame for k, frame in self._speeds.items() if k in labels}
        for label in labels:
            rows = self._by_unit(pair_of_arms(done, label))
            if rows is not None:
                known = [self._speeds[label]] if label in self._speeds else []
                self._speeds[label] = pd.concat([*known, rows]).groupby(level=0, sort=False).sum()
        for item in done:
            for request in item.turn.requests:
                self._domains.setdefault(request.prompt_id, request.domain)

    def tables(self) -> dict[str, FloatArray]:
        """[U, 4] of each arm by label: its tokens and seconds, then the baseline's."""
        return {k: frame[_SPEEDS].to_numpy(np.float64) for k, frame in self._speeds.items()}

    def strata(self) -> IntArray | None:
        """[U] the domain of every unit, numbered; None where units are no prompts, or all alike."""
        if self._plan.style is not Style.ONE_BY_ONE or not self._speeds:
            return None
        frame = next(iter(self._speeds.values()))
        codes, names = pd.factorize(pd.Series([self._domains[key] for key in frame.index]))
        return codes.astype(np.int64) if len(names) > 1 else None

    def standing(self, share: float = SHARE) -> Standing:
        """S of every arm, with intervals that cover it in a share of cases."""
        tables, strata = self.tables(), self.strata()
        speedups = {k: log_ratio_interval(t, share, strata) for k, t in tables.items()}
        num_units = max((len(table) for table in tables.values()), default=0)
        return Standing(speedups, num_units, self._plan.style is Style.ONE_BY_ONE)

    def _by_unit(self, done: Sequence[TurnResult]) -> pd.DataFrame | None:
        """None where nothing can be timed: the steady part may be missing in small rounds."""
        cycles, requests = cycle_frame(done), request_frame(done)
        try:
            if self._plan.style is Style.ONE_BY_ONE:
                return speed_by_prompt(cycles, requests)
            is_closed = self._plan.style is Style.TOGETHER
            rows = speed_by_round(cycles, requests, self._plan.concurrency, is_closed)
            return rows.set_index(pd.Index([str(done[0].turn.repeat)]))
        except ResultsError:
            return None


def pair_of_arms(done: Iterable[TurnResult], label: str) -> list[TurnResult]:
    """The baseline's turns and one arm's, named as the two arms of a point."""
    own = {BASELINE: BASELINE, label: SPECULATIVE}
    return [
        replace(item, turn=replace(item.turn, arm=own[item.turn.arm]))
        for item in done
        if item.turn.arm in own
    ]
