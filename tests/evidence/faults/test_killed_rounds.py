"""kill -9 during the rounds of a block: what was whole stays; at most one round is lost."""

import json
import signal
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dspark_bench.evidence.faults.inspection import counts, finished, leftovers, problems
from dspark_bench.evidence.faults.sweeps import NAME, Bench, Running, Setting
from dspark_bench.measure.round_loop import Rounds
from dspark_bench.measure.round_records import RoundRecords
from tests.evidence.faults.conftest import tiny_bench
from tests.evidence.faults.forked import start_fork
from tests.tiny_models import TinyZoo

_KILLS = 20
_NUM_ROUNDS = 24
_LONGEST_S = 0.6
"""After a process began its first round: a few rounds of these."""


@dataclass(frozen=True)
class Diary:
    """A file in which the child writes the number of every round that it begins."""

    path: Path

    def keep(self) -> None:
        """In the child, before the program starts."""
        original, path = Rounds.serve_next, self.path

        def written(rounds: Rounds) -> RoundRecords:
            with path.open("a") as file:
                file.write(f"{rounds.num_whole}\n")
            return original(rounds)

        Rounds.serve_next = written  # type: ignore[method-assign]

    def begun(self) -> list[int]:
        return [int(line) for line in self.path.read_text().split()] if self.path.exists() else []


def _rounds(folder: Path) -> dict[int, int]:
    """Rounds on the disk, each read whole, with the time in ns at which it was put there."""
    found = {}
    for place in folder.glob(".blocks/*/[0-9]*"):
        assert json.loads((place / "turns.json").read_text())["turns"], place
        frames = [pd.read_parquet(place / f"{name}.parquet") for name in ("cycles", "requests")]
        assert all(len(frame) for frame in frames)
        assert frames[0]["num_emitted"].sum() == frames[1]["output_tokens"].map(len).sum()
        found[int(place.name)] = place.stat().st_mtime_ns
    assert sorted(found) == list(range(len(found)))
    return found


def _wait(running: Running, diary: Diary, after_s: float) -> bool:
    """Until so long after its first round has begun. False if the run has ended before."""
    while running.process.poll() is None and not diary.begun():
        time.sleep(0.002)
    end_s = time.monotonic() + after_s
    while running.process.poll() is None and time.monotonic() < end_s:
        time.sleep(0.002)
    return running.process.poll() is None


def _kill_until_done(
    bench: Bench, results: Path, rng: np.random.Generator, most: int, outcomes: Counter[str]
) -> int:
    """Run, kill and resume one block until it is done or `most` kills have hit; then resume it to
    its end. Returns the kills that hit.
    """
    folder, num_kills = results / NAME, 0
    before: dict[int, int] = {}
    while num_kills < most:
        diary = Diary(results / f"diary-{num_kills}")
        running = bench.launch(results, setting=Setting(diary.keep))
        if not _wait(running, diary, rng.uniform(0, _LONGEST_S)):
            break
        running.end(signal.SIGKILL)
        num_kills += 1
        assert problems(folder) == []
        begun = diary.begun()
        assert begun[0] == len(before), "what was on the disk has been measured again"
        if finished(folder):
            outcomes["after the last round"] += 1
            break
        after = _rounds(folder)
        assert {number: after[number] for number in before} == before
        lost = [number for number in begun if number not in after]
        assert len(lost) <= 1
        outcomes[f"{len(lost)} rounds lost"] += 1
        outcomes["hit in a write"] += bool(leftovers(folder))
        before = after
    ended = bench.run(results)
    assert ended.code == 0, ended.text
    return num_kills


@pytest.mark.slow
def test_twenty_kills_lose_at_most_a_round_each(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    rng, outcomes = np.random.default_rng(0), Counter[str]()
    plain = tiny_bench(tiny_zoo, tmp_path, start_fork)
    many = (f"measure.repeats={_NUM_ROUNDS}", "num_requests=4", "max_new_tokens=12")
    bench = Bench(tmp_path, start_fork, (*plain.sweep, *many))
    with bench.results() as results:
        assert bench.run(results).code == 0
        undisturbed = counts(results / NAME)
    num_kills = 0
    while num_kills < _KILLS:
        with bench.results() as results:
            num_kills += _kill_until_done(bench, results, rng, _KILLS - num_kills, outcomes)
            folder = results / NAME
            assert problems(folder) == [] and leftovers(folder) == []
            assert not (folder / ".blocks").exists()
            assert len(undisturbed) == 2 and counts(folder) == undisturbed
            outcomes["resumed to the undisturbed tokens"] += 1
    print(f"{num_kills} kills: {dict(outcomes)}")
