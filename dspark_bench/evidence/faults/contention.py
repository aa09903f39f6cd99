"""Two sweeps in one folder at the same time, and a launcher's worker that is killed."""

import importlib.util
import signal
import time
from pathlib import Path
from typing import Final

import numpy as np
import psutil

from dspark_bench.core.errors import PointsFailedError, ResultsError
from dspark_bench.evidence.faults.inspection import counts, finished
from dspark_bench.evidence.faults.reference import Reference
from dspark_bench.evidence.faults.report import Tally
from dspark_bench.evidence.faults.sweeps import NAME, Bench, Running

_LAUNCHER: Final = "hydra_plugins.hydra_joblib_launcher"
_WORKER: Final = "loky"
_LONGEST_DELAY_S: Final = 2.0
_WORK_S: Final = 0.5


def two_at_once(bench: Bench, reference: Reference, times: int, rng: np.random.Generator) -> Tally:
    """The same command twice, within two seconds: one measures, the other is told."""
    tally = Tally("two sweeps into one folder", "the same command twice, up to 2 s apart", times)
    for number in range(times):
        with bench.results() as results:
            first = bench.launch(results)
            time.sleep(rng.uniform(0, _LONGEST_DELAY_S) if number else 0.0)
            ended = [run.end() for run in (bench.launch(results), first)]
            refused = [end for end in ended if "another run is writing to" in end.error]
            codes = sorted(end.code for end in ended)
            is_fine = codes == [0, ResultsError.exit_code] and len(refused) == 1
            tally.expect(is_fine, f"exit {codes}: {[end.error for end in ended]}")
            tally.outcomes["one ends well, one is refused, exit 2"] += is_fine
            reference.inspect(results / NAME, tally, f"pair {number}")
            tally.expect(counts(results / NAME) == reference.counts, f"pair {number}: counts")
    return tally


def killed_worker(bench: Bench, reference: Reference, times: int) -> Tally:
    """kill -9 at a worker of joblib's launcher: as it starts, or once a point is finished."""
    tally = Tally(
        "crashed worker",
        "kill -9 at one of two workers of hydra/launcher=joblib, in turn 0.5 s after they start "
        "and once a point is finished",
    )
    if not has_joblib():
        tally.how += ": not run, hydra-joblib-launcher is not installed"
        return tally
    for number in range(times):
        with bench.results() as results:
            folder = results / NAME
            running = bench.launch(results, ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2"))
            if not _kill_worker(running, folder if number % 2 else None):
                tally.problems.append(f"no worker was found:\n{running.end().text}")
                continue
            ended = running.end()
            tally.n += 1
            is_fine = ended.code == PointsFailedError.exit_code and "left no result" in ended.error
            is_fine = is_fine and not ended.has_traceback
            tally.expect(is_fine, f"exit {ended.code}\n{ended.text}")
            tally.outcomes["lost points named, exit 4"] += is_fine
            kept = reference.inspect(folder, tally, f"worker {number}")
            reference.compare(folder, bench.run(results), kept, tally)
    return tally


def has_joblib() -> bool:
    """Whether Hydra's joblib launcher is there to be tested."""
    try:
        return importlib.util.find_spec(_LAUNCHER) is not None
    except ModuleNotFoundError:
        return False


def _kill_worker(running: Running, folder: Path | None) -> bool:
    """Kill one of the workers, at once or when a point of the folder is finished.

    False if there was none to kill.
    """
    while running.process.poll() is None:
        workers = _workers(running.process.pid)
        if len(workers) > 1 and (folder is None or finished(folder)):
            time.sleep(_WORK_S)
            workers[0].send_signal(signal.SIGKILL)
            return True
        time.sleep(0.05)
    return False


def _workers(pid: int) -> list[psutil.Process]:
    found = []
    for child in psutil.Process(pid).children(recursive=True):
        try:
            line = " ".join(child.cmdline())
        except psutil.Error:
            continue
        if _WORKER in line and "tracker" not in line:
            found.append(child)
    return found
