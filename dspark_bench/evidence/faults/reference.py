"""The uninterrupted sweep that every other one must come to."""

import time
from dataclasses import dataclass
from pathlib import Path

from dspark_bench.evidence.faults.inspection import (
    Counts,
    counts,
    finished,
    leftovers,
    metric_keys,
    problems,
)
from dspark_bench.evidence.faults.report import Tally
from dspark_bench.evidence.faults.sweeps import NAME, Bench, Ended


@dataclass(frozen=True, slots=True)
class Reference:
    """Counts of every point, the keys of their metrics, and how long the sweep took."""

    counts: Counts
    keys: frozenset[str]
    duration_s: float

    @classmethod
    def measure(cls, bench: Bench) -> "Reference":
        """Run the sweep once. Raises RuntimeError if it does not end well."""
        with bench.results() as results:
            started_s = time.monotonic()
            ended = bench.run(results)
            took_s = time.monotonic() - started_s
            wrong = problems(results / NAME)
            if ended.code or wrong:
                raise RuntimeError(f"the sweep itself fails: {ended.code} {wrong}\n{ended.text}")
            return cls(counts(results / NAME), metric_keys(results / NAME), took_s)

    def inspect(self, folder: Path, tally: Tally, when: str) -> dict[str, int]:
        """Note what is not whole; returns the finished points."""
        tally.problems += [f"{when}: {problem}" for problem in problems(folder, self.keys)]
        return finished(folder)

    def compare(self, folder: Path, ended: Ended, kept: dict[str, int], tally: Tally) -> None:
        """Note where a resumed sweep differs from the uninterrupted one.

        kept: points that had been finished, and when; they must not have been measured again.
        """
        num_before = len(tally.problems)
        tally.expect(ended.code == 0, f"resuming exits {ended.code}: {ended.error or ended.text}")
        after = self.inspect(folder, tally, "after resuming")
        tally.expect(counts(folder) == self.counts, "after resuming: other points or counts")
        again = [point_id for point_id, stamp in kept.items() if after.get(point_id) != stamp]
        tally.expect(not again, f"measured again: {', '.join(again)}")
        tally.expect(not leftovers(folder), f"left behind: {', '.join(leftovers(folder))}")
        if len(tally.problems) == num_before:
            tally.outcomes["then resumed to the same points and counts"] += 1
