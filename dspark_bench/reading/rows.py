"""One row per point, made from the point's own files: the rows of summary.csv and of every reader.

`store` writes them, `gather` reads folders into them; so a table on the disk is never more than a
copy of what these functions say.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from dspark_bench.reading.files import part_of
from dspark_bench.reading.verdicts import find_verdict

PENDING, FINISHED, FAILED = "pending", "finished", "failed"
STALE, TIMING_INVALID, UNREADABLE = "stale", "timing_invalid", "unreadable"
INTERRUPTED = "interrupted"
"""A signal ended its rounds: its figures are those of the whole rounds so far."""
GENERATION: Final = ("code_hash", "machine_id")
"""What makes a point stale where the sweep's last run had another one."""
_KEYS = ("drafter", "scheduler", "load", "workload", "acceptance", "gamma", "temperature", "seed")
_SAME = (
    "drafter",
    "tree",
    "load",
    "workload",
    "gamma",
    "temperature",
    "seed",
    "concurrency",
    "rate",
    "acceptance",
    "prompts_hash",
    "target_hash",
    "drafter_hash",
)
_ORACLE = "oracle"
_CHAIN = "none"
"""The tree of results from before there were any."""
_UNTESTED = "untested"
_EVIDENCE = {None: _UNTESTED, True: "verified", False: "violated"}

Row = dict[str, Any]


def point_row(
    point_id: str,
    content: Mapping[str, Any],
    swept_keys: Sequence[str],
    status: str,
    verdicts: Path,
) -> Row:
    """A point's row from its metrics.json or error.json. A verdict that `verify` has reached since
    then counts; verdicts: the folder that holds them.
    """
    keys, facts = part_of(content, "point", "keys"), part_of(content, "facts")
    row: Row = {"point_id": point_id}
    row |= {key: keys.get(key) for key in (*_KEYS, *swept_keys)}
    row["tree"] = keys.get("tree", _CHAIN)
    row |= facts | part_of(content, "summary")
    if row.get("lossless") is None and row.get("lossless_evidence") == _UNTESTED:
        verdict = find_verdict(verdicts / str(facts.get("verification")))
        row["lossless"] = verdict
        row["lossless_evidence"] = _EVIDENCE[verdict]
    row |= {"point_id": point_id, "status": status}
    if status == FAILED:
        row["error"] = content.get("message")
    return row


def measured_status(
    facts: Mapping[str, Any], here: Mapping[str, Any], there: Mapping[str, Any]
) -> str:
    """State of a point that has figures.

    here, there: `GENERATION` of the sweep's last run and of the point; what either does not know
    makes nothing stale. A stale point is that first of all, however its timing was.
    """
    known = [name for name in GENERATION if here.get(name) and there.get(name)]
    if any(here[name] != there[name] for name in known):
        return STALE
    if facts.get("interrupted"):
        return INTERRUPTED
    return TIMING_INVALID if facts.get("timing_invalid") else FINISHED


def with_regret(rows: Sequence[Row], swept_keys: Sequence[str]) -> list[Row]:
    """Rows with `scheduler_regret`: the share of the oracle's throughput that a scheduler misses.

    Only where the folder holds a point that differs from the row in its scheduler alone and has
    `scheduler=oracle`, both finished: stale or spoilt times are compared with none.
    """
    keys = [key for key in (*_SAME, *swept_keys) if not key.startswith(("scheduler", "cost"))]

    def place(row: Row) -> tuple[str, ...]:
        return tuple(str(row.get(key)) for key in keys)

    best = {
        place(row): speed
        for row in rows
        if row.get("scheduler") == _ORACLE and (speed := _throughput(row))
    }
    return [
        row | {"scheduler_regret": 1 - speed / best[place(row)]}
        if (speed := _throughput(row)) and place(row) in best
        else row
        for row in rows
    ]


def _throughput(row: Row) -> float:
    """0 where it is not known, or not to be compared."""
    value = row.get("throughput_tok_s")
    is_sound = row.get("status", FINISHED) == FINISHED
    return float(value) if is_sound and isinstance(value, int | float) else 0.0


def cell_text(value: Any) -> str:
    """A value as summary.csv has it: empty for none, lower case for true and false."""
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)
