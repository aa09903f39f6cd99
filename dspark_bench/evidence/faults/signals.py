"""kill -9 and Ctrl-C at random moments of a sweep, from its first import to its last file."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from dspark_bench.core.errors import EXIT_INTERRUPTED
from dspark_bench.evidence.faults.inspection import leftovers
from dspark_bench.evidence.faults.reference import Reference
from dspark_bench.evidence.faults.report import Tally
from dspark_bench.evidence.faults.sweeps import NAME, Bench, Ended, Running

WRITE_SHARE: Final = 0.4
"""Share of the signals that are aimed at a write, which lasts milliseconds."""
AGAIN_SHARE: Final = 0.6
_LONGEST_WRITE_S: Final = 0.03
_LONGEST_SECOND_S: Final = 0.3
_LOOK_S: Final = 0.002


@dataclass(frozen=True, slots=True)
class Moment:
    """Seconds after the start, or, if `write` is a number, after the write of that number began."""

    after_s: float
    write: int | None = None

    @classmethod
    def draw(cls, rng: np.random.Generator, duration_s: float, num_points: int) -> "Moment":
        """Anywhere in a run of `duration_s`, or in one of its writes: tables, then points."""
        if rng.random() < WRITE_SHARE:
            return cls(rng.uniform(0, _LONGEST_WRITE_S), int(rng.integers(num_points + 1)))
        return cls(rng.uniform(0, duration_s))

    def wait(self, running: Running, folder: Path) -> bool:
        """Until it has come. False if the run has ended before."""
        if self.write is not None and not _wait_for_write(running, folder, self.write):
            return False
        end_s = time.monotonic() + self.after_s
        while running.process.poll() is None and time.monotonic() < end_s:
            time.sleep(min(0.01, max(0.0, end_s - time.monotonic())))
        return running.process.poll() is None


def kills(bench: Bench, reference: Reference, wanted: int, rng: np.random.Generator) -> Tally:
    """kill -9 until it has hit `wanted` times; three in five resumed runs are killed again."""
    tally = Tally("kill -9", "at random moments of the whole run, 2 in 5 aimed at a write")
    duration_s = reference.duration_s
    while tally.n < wanted:
        with bench.results() as results:
            folder, kept, is_first = results / NAME, dict[str, int](), True
            while tally.n < wanted and (is_first or rng.random() < AGAIN_SHARE):
                running = bench.launch(results)
                moment = Moment.draw(rng, duration_s, len(reference.counts))
                if not moment.wait(running, folder):
                    duration_s = running.age_s if is_first else duration_s
                    break
                is_first = False
                running.end(signal.SIGKILL)
                tally.n += 1
                kept |= reference.inspect(folder, tally, f"kill {tally.n}")
                tally.outcomes[_place(folder, len(kept), len(reference.counts))] += 1
            reference.compare(folder, bench.run(results), kept, tally)
        bench.tell(tally.progress(wanted))
    return tally


def interrupts(bench: Bench, reference: Reference, wanted: int, rng: np.random.Generator) -> Tally:
    """Ctrl-C `wanted` times, every other one twice in quick succession; each is resumed."""
    tally = Tally("Ctrl-C", "the same moments; every other one a second time within 0.3 s")
    duration_s = reference.duration_s
    while tally.n < wanted:
        with bench.results() as results:
            folder = results / NAME
            running = bench.launch(results)
            moment = Moment.draw(rng, duration_s, len(reference.counts))
            if moment.wait(running, folder):
                tally.n += 1
                os.kill(running.process.pid, signal.SIGINT)
                if tally.n % 2 == 0:
                    time.sleep(rng.uniform(0, _LONGEST_SECOND_S))
                    ended = running.end(signal.SIGINT)
                else:
                    ended = running.end()
                _judge(ended, folder, tally)
            else:
                duration_s = running.age_s
                running.end()
            kept = reference.inspect(folder, tally, f"Ctrl-C {tally.n}")
            reference.compare(folder, bench.run(results), kept, tally)
        bench.tell(tally.progress(wanted))
    return tally


def _judge(ended: Ended, folder: Path, tally: Tally) -> None:
    """130 and one line; while the interpreter itself starts, no program can answer yet."""
    has_begun = "dspark_bench/cli/" in ended.text or folder.exists()
    if ended.code == EXIT_INTERRUPTED:
        tally.outcomes["exit 130"] += 1
        tally.expect(not ended.has_traceback, f"a traceback:\n{ended.text}")
    elif ended.code == 0:
        tally.outcomes["came while leaving, exit 0"] += 1
    elif ended.code == -signal.SIGINT and not has_begun:
        tally.outcomes["before the program's first line, ended by the signal"] += 1
    else:
        tally.problems.append(f"Ctrl-C {tally.n} exits {ended.code}:\n{ended.text}")
    left = leftovers(folder)
    tally.expect(not left, f"Ctrl-C {tally.n} leaves {', '.join(left)}")


def _place(folder: Path, num_finished: int, num_points: int) -> str:
    """Where in a run a kill has hit, by what it has left."""
    if leftovers(folder):
        return "hit in a write"
    if not folder.exists():
        return "hit before the folder was there"
    return "hit after the last point" if num_finished == num_points else "hit while measuring"


def _wait_for_write(running: Running, folder: Path, number: int) -> bool:
    """Until the write of this number begins: 0 is the first table, then the points."""
    seen: set[str] = set()
    while running.process.poll() is None:
        seen |= set(_asides(folder))
        if len(seen) > number:
            return True
        time.sleep(_LOOK_S)
    return False


def _asides(folder: Path) -> list[str]:
    """Names of what is being written just now."""
    found = []
    for place in (folder, folder / "points"):
        try:
            found += [name for name in os.listdir(place) if ".aside-" in name]  # noqa: PTH208
        except FileNotFoundError:
            continue
    return [name for name in found if "probe" not in name]
