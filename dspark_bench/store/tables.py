"""`sweep.json` and `summary.csv`, rebuilt from the point folders whenever one is added."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dspark_bench.machine.environment import Environment
from dspark_bench.measure.identity import SCHEMA_VERSION
from dspark_bench.reading.rows import (
    FAILED,
    PENDING,
    Row,
    cell_text,
    measured_status,
    point_row,
    with_regret,
)
from dspark_bench.reading.verdicts import VERDICTS
from dspark_bench.store.point_store import (
    PointStore,
    StoredPoint,
    read_json,
    replace_text,
    write_json,
)

COLUMNS: Final = (
    *("point_id", "drafter", "gamma", "scheduler", "load", "concurrency", "rate", "workload"),
    *("temperature", "seed", "n_requests", "n_cycles", "accepted_length", "acceptance_rate"),
    *("alpha", "draft_cost_ratio", "speedup", "speedup_ci_low", "speedup_ci_high"),
    *("speedup_basis", "speedup_theory", "speedup_model", "throughput_tok_s", "baseline_tok_s"),
    *("baseline_floor_ratio", "tok_s_per_user", "ttft_p50_s", "ttft_p99_s", "tpot_p50_s"),
    *("tpot_p99_s", "verify_budget", "verified_waste", "lossless", "lossless_evidence", "status"),
    *("target_hash", "drafter_hash", "prompts_hash", "dtype", "device", "gamma_trained"),
    *("train_seed", "prompt_tokens_p50", "acceptance"),
)


@dataclass(frozen=True, slots=True)
class SweepPlan:
    """A sweep as asked for: the overrides of its command lines (several where an experiment is a
    list of sweeps), the swept keys, and each point's id and overrides.
    """

    name: str
    commands: tuple[tuple[str, ...], ...]
    swept_keys: tuple[str, ...]
    points: tuple[tuple[str, tuple[str, ...]], ...]


def write_tables(folder: Path, plan: SweepPlan, environment: Environment) -> list[Row]:
    """Rebuild both tables; returns the rows. Points of earlier plans in the folder are kept.

    Raises OSError if they cannot be written; each stays as it was, then.
    """
    before = read_plan(folder) or {}
    swept = _swept_keys(before, plan)
    rows = table_rows(folder, plan, environment)
    write_csv(folder / "summary.csv", rows, swept)
    states = {row["point_id"]: row["status"] for row in rows}
    points = {entry["point_id"]: entry["overrides"] for entry in before.get("points", [])}
    points |= {point_id: list(overrides) for point_id, overrides in plan.points}
    write_json(
        folder / "sweep.json",
        {
            "schema_version": SCHEMA_VERSION,
            "name": plan.name,
            "overrides": list(plan.commands[-1]),
            "commands": _commands(before, plan),
            "swept_keys": swept,
            "git_revision": environment.git_revision,
            "is_dirty": environment.is_dirty,
            "code_hash": environment.code_hash,
            "machine_id": environment.machine_id,
            "points": [
                {
                    "point_id": point_id,
                    "overrides": overrides,
                    "status": states.get(point_id, PENDING),
                }
                for point_id, overrides in points.items()
            ],
        },
    )
    return rows


def table_rows(folder: Path, plan: SweepPlan, environment: Environment) -> list[Row]:
    """A row per stored point."""
    swept = _swept_keys(read_plan(folder) or {}, plan)
    stored = PointStore(folder).load_all()
    rows = [stored_row(point, swept, environment, folder.parent / VERDICTS) for point in stored]
    return with_regret(rows, swept)


def _swept_keys(before: dict[str, Any], plan: SweepPlan) -> list[str]:
    return list(dict.fromkeys([*before.get("swept_keys", []), *plan.swept_keys]))


def read_plan(folder: Path) -> dict[str, Any] | None:
    """What sweep.json says; None if it is not there or damaged."""
    content = read_json(folder / "sweep.json")
    if content is None:
        return None
    points, keys = content.get("points", []), content.get("swept_keys", [])
    commands = content.get("commands", [])
    is_sound = (
        _is_list(points, dict)
        and all(isinstance(p.get("point_id"), str) and "overrides" in p for p in points)
        and _is_list(keys, str)
        and _is_list(commands, list)
    )
    return content if is_sound else None


def _is_list(value: Any, kind: type) -> bool:
    return isinstance(value, list) and all(isinstance(item, kind) for item in value)


def _commands(before: dict[str, Any], plan: SweepPlan) -> list[list[str]]:
    """Overrides of every command line that has written here, each once, in order."""
    earlier = before.get("commands", [before["overrides"]] if "overrides" in before else [])
    mine = [list(command) for command in plan.commands]
    return [*earlier, *(command for command in mine if command not in earlier)]


def stored_row(
    stored: StoredPoint, swept_keys: Sequence[str], environment: Environment, verdicts: Path
) -> Row:
    """One row of summary.csv."""
    facts = stored.content.get("facts", {})
    status = FAILED
    if stored.is_measured:
        status = measured_status(facts, environment.as_json(), stored.environment)
    return point_row(stored.point_id, stored.content, swept_keys, status, verdicts)


def write_csv(path: Path, rows: Sequence[Row], swept_keys: Sequence[str]) -> None:
    """The contract's columns first, then swept keys, then everything else."""
    others = dict.fromkeys(key for row in rows for key in row)
    columns = list(dict.fromkeys([*COLUMNS, *swept_keys, *others]))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows([{key: cell_text(value) for key, value in row.items()} for row in rows])
    replace_text(path, text.getvalue())
