"""Where a cycle's wall time goes. The parts of consecutive cycles tile the time of a run."""

from dataclasses import dataclass

from dspark_bench.core.clock import Clock


@dataclass(slots=True)
class StageTimes:
    """Seconds of one cycle by part; `engine` is whatever the four others are not."""

    draft: float = 0.0
    schedule: float = 0.0
    verify: float = 0.0
    accept: float = 0.0
    engine: float = 0.0


class StageTimer:
    """Charges the time since the previous mark to a part.

    cycle_started_s: when the cycle at hand began, seconds from the run's start.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.started_s = clock()
        self._last = self.started_s
        self.times = StageTimes()
        self.cycle_started_s = 0.0

    def draft(self) -> None:
        """Charge to drafting, the drafter's context included."""
        self.times.draft += self._lap()

    def schedule(self) -> None:
        """Charge to planning draft and verify lengths."""
        self.times.schedule += self._lap()

    def verify(self) -> None:
        """Charge to the target's pass."""
        self.times.verify += self._lap()

    def accept(self) -> None:
        """Charge to sampling and rejection."""
        self.times.accept += self._lap()

    def engine(self) -> None:
        """Charge to everything else."""
        self.times.engine += self._lap()

    def close(self) -> StageTimes:
        """End the cycle: the rest goes to `engine`, and the next cycle starts here."""
        self.engine()
        times, self.times = self.times, StageTimes()
        self.cycle_started_s = self.now_s()
        return times

    def skip(self) -> None:
        """Forget the time since the previous mark (an idle wait); a cycle starts here."""
        self._lap()
        self.cycle_started_s = self.now_s()

    def exclude(self) -> None:
        """Take the time since the previous mark out of the run: it is charged to nothing."""
        self.started_s += self._lap()

    def now_s(self) -> float:
        """Seconds from the run's start to the last mark."""
        return self._last - self.started_s

    def _lap(self) -> float:
        now = self._clock()
        lap, self._last = now - self._last, now
        return lap
