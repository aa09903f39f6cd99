"""Points that ask for too much: of memory, and of time."""

import json
import resource
from pathlib import Path
from typing import Final

from dspark_bench.core.errors import PointsFailedError
from dspark_bench.evidence.faults.inspection import problems
from dspark_bench.evidence.faults.report import Tally
from dspark_bench.evidence.faults.sweeps import NAME, Bench, Ended, Setting
from dspark_bench.measure.build import MAX_CONCURRENCY
from dspark_bench.store.point_store import POINTS

ADDRESS_SPACE_BYTES: Final = 8 << 30
TIME_LIMIT_S: Final = 15.0
REQUESTS_TOO_MANY: Final = 500


def out_of_memory(bench: Bench, limit_bytes: int = ADDRESS_SPACE_BYTES) -> Tally:
    """The middle one of three points wants a cache that does not fit in the process."""
    tally = Tally(
        "out of memory",
        f"RLIMIT_AS of {limit_bytes / 2**30:.1f} GiB, the second of three points with "
        f"{MAX_CONCURRENCY} cache rows",
    )
    limits = (limit_bytes, limit_bytes)
    setting = Setting(before=lambda: resource.setrlimit(resource.RLIMIT_AS, limits))
    more = ("gamma=1", f"load.concurrency=1,{MAX_CONCURRENCY},2")
    with bench.results() as results:
        ended = bench.run(results, more, setting)
        _judge(ended, results / NAME, "out of memory", tally)
    return tally


def over_time(bench: Bench) -> Tally:
    """The middle one of three points has far more requests than its limit allows."""
    tally = Tally(
        "over the time limit",
        f"measure.time_limit_s={TIME_LIMIT_S:g}, the second of three points with "
        f"{REQUESTS_TOO_MANY} requests",
    )
    more = (
        *("gamma=1", f"num_requests=1,{REQUESTS_TOO_MANY},2"),
        *("measure.precision=null", "measure.repeats=3", f"measure.time_limit_s={TIME_LIMIT_S:g}"),
    )
    with bench.results() as results:
        ended = bench.run(results, more)
        _judge(ended, results / NAME, "over its time limit", tally)
    return tally


def _judge(ended: Ended, folder: Path, reason: str, tally: Tally) -> None:
    """One failed with this reason in its error.json and on the terminal; two are finished."""
    tally.n += 1
    found = [
        json.loads(path.read_text(encoding="utf-8"))["message"]
        for path in (folder / POINTS).glob("[!.]*/error.json")
    ]
    num_finished = len(list((folder / POINTS).glob("[!.]*/metrics.json")))
    tally.problems += problems(folder)
    is_named = len(found) == 1 and reason in found[0] and reason in ended.error
    is_fine = ended.code == PointsFailedError.exit_code and is_named and num_finished == 2
    tally.expect(is_fine, f"exit {ended.code}, {num_finished} finished, {found}\n{ended.text}")
    tally.outcomes["named in error.json, the two others finished, exit 4"] += is_fine
