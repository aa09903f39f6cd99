"""What a sweep shows while it runs: progress between turns.

Nothing here runs by itself: a bar that refreshed in a thread would be measured with the engine.
"""

import time
from collections.abc import Callable, Mapping, Sequence

from rich.console import Console
from rich.live import Live
from rich.text import Text

from dspark_bench.measure.standing import Standing
from dspark_bench.measure.turns import TurnResult
from dspark_bench.metrics.precision import half_width

_REFRESH_S = 0.5
_BAR = 24
_FIRST_UNITS = 24
"""Prompts of the first provisional line: fewer say little."""


class SweepDisplay:
    """Live line with an ETA on a terminal, one line per point elsewhere. Pickles as silent.

    num_points: points still to be measured.
    """

    def __init__(self, console: Console, num_points: int) -> None:
        self._console = console
        self._num_points = num_points
        self._num_done = 0
        self._label = ""
        self._turns = (0, 0)
        self._num_arms = 1
        self._standing: tuple[str, ...] = ()
        self._num_units = 0
        self._started_s = time.monotonic()
        self._drawn_s = self._started_s
        self._said: set[str] = set()
        self._live: Live | None = None
        if console.is_terminal and num_points > 0:
            self._live = Live(console=console, auto_refresh=False, transient=True)
            self._live.start()

    def __reduce__(self) -> tuple[Callable[[], "SweepDisplay"], tuple[()]]:
        """A launcher's other process shows nothing."""
        return silent_display, ()

    def begin(self, labels: Sequence[str]) -> None:
        """A block begins, with points of these labels."""
        first = labels[0]
        more = f" and {len(labels) - 1} more" if len(labels) > 1 else ""
        self._label, self._num_arms = f"{first}{more}", len(labels)
        self._turns, self._standing, self._num_units = (0, 0), (), 0
        self._draw(is_forced=True)

    def end(
        self,
        label: str,
        outcome: str,
        warnings: Sequence[str] = (),
        doubts: Sequence[str] = (),
        took_s: float | None = None,
    ) -> None:
        """A point has ended. warnings: what made the machine too noisy, a line each; doubts: what
        else makes the figures doubtful; took_s: its own part of its block's time, if known.
        """
        self._num_done += 1
        self._num_arms = max(0, self._num_arms - 1)
        took = "" if took_s is None else f" ({took_s:.0f} s)"
        line = f"[{self._num_done}/{self._num_points}] {label}: {outcome}{took}"
        self._console.print(Text(line))
        for warning in warnings:
            self._console.print(Text(f"  noisy machine: {warning}"))
        for doubt in doubts:
            self._console.print(Text(f"  warning: {doubt}"))

    def stand(self, standing: Standing, labels: Mapping[str, str], is_look: bool) -> None:
        """A round is whole. Without a terminal, a line where it may be the last, and before that
        a provisional one whenever there is twice as much.
        """
        self._standing = tuple(standing_lines(standing, labels))
        is_new = is_look or standing.num_units >= max(_FIRST_UNITS, 2 * self._num_units)
        if self._live is None and is_new and self._standing:
            self._num_units = standing.num_units
            unit = "prompts" if standing.is_by_prompt else "rounds"
            how = "" if is_look else ", provisional"
            line = f"after {standing.num_units} {unit}{how}: {'; '.join(self._standing)}"
            self._console.print(Text(line), soft_wrap=True)
        self._draw(is_forced=True)

    def close(self) -> None:
        """Remove the live line."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def say(self, notes: Sequence[str]) -> None:
        """Each note once a sweep, however many points it holds for."""
        for note in notes:
            if note not in self._said:
                self._said.add(note)
                self._console.print(Text(f"note: {note}"), soft_wrap=True)

    def plan(self, num_turns: int) -> None:
        """So many turns will be taken by all arms of the block together."""
        self._turns = (0, num_turns)
        self._draw(is_forced=True)

    def turn(self, result: TurnResult) -> None:
        """A turn has been taken."""
        self._turns = (self._turns[0] + 1, self._turns[1])
        self._draw(is_forced=False)

    def _draw(self, is_forced: bool) -> None:
        now_s = time.monotonic()
        if self._live is None or (now_s - self._drawn_s < _REFRESH_S and not is_forced):
            return
        self._drawn_s = now_s
        done, planned = self._turns
        share = done / planned if planned else 0.0
        bar = "█" * round(share * _BAR) + "░" * (_BAR - round(share * _BAR))
        stage = f"{bar} {share:4.0%}" if planned else "loading and profiling"
        place = f"[{self._num_done + 1}/{self._num_points}]"
        line = f"{place} {self._label}  {stage}  {self._eta(share)}"
        shown = "\n  ".join([line, *self._standing])
        self._live.update(Text(shown), refresh=True)

    def _eta(self, share: float) -> str:
        progress = self._num_done + share * self._num_arms
        if progress < 0.05:
            return ""
        elapsed_s = time.monotonic() - self._started_s
        left_s = elapsed_s * (self._num_points - progress) / progress
        return f"about {left_s:.0f} s left"


def standing_lines(standing: Standing, labels: Mapping[str, str]) -> list[str]:
    """S of every arm so far, such as `semi_ar gamma=4 mixed S 1.52 ±4.9 %`."""
    lines = []
    for key, interval in standing.speedups.items():
        width = half_width(interval)
        reach = "" if width is None else f" ±{width:.1%}"
        value = "not known" if interval.value is None else f"{interval.value:.2f}"
        lines.append(f"{labels.get(key, key)} S {value}{reach}")
    return lines


def silent_display() -> SweepDisplay:
    """A display that shows nothing."""
    return SweepDisplay(Console(quiet=True), 0)
