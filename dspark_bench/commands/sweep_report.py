"""What a sweep says at its end: the table of its points, and what their figures do not tell."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from dspark_bench.commands.domain_lines import domain_table
from dspark_bench.commands.foreign_lines import foreign_lines
from dspark_bench.commands.loop_lines import loop_lines
from dspark_bench.commands.noise_lines import noise_lines
from dspark_bench.commands.precision_lines import precision_lines
from dspark_bench.commands.result_tables import gap_table, result_table
from dspark_bench.commands.row_lines import divergence_lines, row_label, serving_lines
from dspark_bench.commands.time_lines import time_lines
from dspark_bench.config.expand import distinct_settings
from dspark_bench.core.errors import EXIT_INTERNAL, PointsFailedError, UsageError
from dspark_bench.core.wording import number_of, was_or_were
from dspark_bench.machine.environment import Environment
from dspark_bench.reading.rows import FAILED, STALE, TIMING_INVALID, Row
from dspark_bench.store.point_store import ERROR_FILE, POINTS, PointStore, StoredPoint
from dspark_bench.store.tables import SweepPlan, table_rows


def report_sweep(
    folder: Path,
    plan: SweepPlan,
    environment: Environment,
    num_kept: int,
    console: Console,
    unstored: Mapping[str, str | None],
) -> list[Row]:
    """Print the table of this sweep's points. Raises if some of them failed.

    unstored: why a point may have left nothing behind.
    """
    by_id = {row["point_id"]: row for row in table_rows(folder, plan, environment)}
    wanted = list(dict.fromkeys(point_id for point_id, _ in plan.points))
    mine = [by_id[point_id] for point_id in wanted if point_id in by_id]
    store = PointStore(folder)
    _print_tables(mine, store, plan.swept_keys, console)
    _print_lines(mine, store, plan.swept_keys, console)
    for line in _noisy_lines(mine):
        console.print(line)
    for line in time_lines(mine):
        console.print(line, soft_wrap=True)
    for line in _remarks(mine, num_kept, len(wanted)):
        console.print(line)
    console.print(f"results: {folder}", soft_wrap=True)
    failed = [
        point for row in mine if row["status"] == FAILED if (point := store.load(row["point_id"]))
    ]
    missing = {point_id: unstored[point_id] for point_id in wanted if point_id not in by_id}
    _raise_for(failed, missing, plan, folder)
    return mine


def _print_tables(
    rows: Sequence[Row], store: PointStore, swept_keys: Sequence[str], console: Console
) -> None:
    console.print(result_table(rows, swept_keys, console.width))
    gaps = gap_table(rows, swept_keys, console.width)
    if gaps is not None:
        console.print(gaps)
    by_domain = domain_table(_domains(store, rows, swept_keys))
    if by_domain is not None:
        console.print(by_domain, soft_wrap=isinstance(by_domain, str))


def _print_lines(
    rows: Sequence[Row], store: PointStore, swept_keys: Sequence[str], console: Console
) -> None:
    """What is said of single points."""

    def label_of(row: Row) -> str:
        return row_label(row, swept_keys)

    for row in rows:
        stored = store.load(row["point_id"])
        found = {} if stored is None else stored.content.get("lossless", {})
        label = label_of(row)
        for line in (*divergence_lines(label, found), *serving_lines(label, row)):
            console.print(line, soft_wrap=True)
    lines = (*precision_lines(rows), *foreign_lines(rows, label_of), *noise_lines(rows, label_of))
    for line in (*lines, *loop_lines(rows, label_of)):
        console.print(line, soft_wrap=True)


def _noisy_lines(rows: Sequence[Row]) -> list[str]:
    num_noisy = sum(row.get("is_noisy") is True for row in rows)
    if not num_noisy:
        return []
    return [
        f"timed on a noisy machine: {num_noisy} of {number_of(len(rows), 'point')}; "
        "metrics.json says what was seen"
    ]


def _remarks(rows: Sequence[Row], num_kept: int, num_wanted: int) -> list[str]:
    """What holds for some of the points, and what a status or a rule means."""
    lines = []
    if num_kept:
        wanted = number_of(num_wanted, "point")
        lines.append(f"{num_kept} of {wanted} {was_or_were(num_kept)} there already")
    num_stale = sum(row["status"] == STALE for row in rows)
    if num_stale:
        lines.append(
            f"{number_of(num_stale, 'point')} of other code or another machine (stale); "
            "--fresh measures again"
        )
    if any(row["status"] == TIMING_INVALID for row in rows):
        lines.append("timing_invalid: another timed run shared this machine")
    if any(row.get("lossless_evidence") == "simulated" for row in rows):
        lines.append(
            "forced: acceptance is simulated, by a stated profile; both arms emit recorded outputs"
        )
    if any(row.get("lossless_evidence") == "lossy" for row in rows):
        lines.append(
            "lossy: the rule that judges drafts does not keep the target's law; S of such a point "
            "compares different texts"
        )
    if any(row.get("acceptance") == "replay" for row in rows):
        lines.append("replay: drafts were judged along recorded outputs; both arms emit those")
    return lines


def _domains(
    store: PointStore, rows: Sequence[Row], swept_keys: Sequence[str]
) -> list[tuple[str, Mapping[str, Any]]]:
    """Label and figures by domain of each point that has them."""
    stored = [(row_label(row, swept_keys), store.load(row["point_id"])) for row in rows]
    found = [(label, point.content.get("domains")) for label, point in stored if point is not None]
    return [(label, domains) for label, domains in found if isinstance(domains, dict)]


def _raise_for(
    failed: Sequence[StoredPoint],
    missing: Mapping[str, str | None],
    plan: SweepPlan,
    folder: Path,
) -> None:
    """Raise if points failed: equal reasons once, with the settings that they stopped."""
    settings = distinct_settings([overrides for _, overrides in plan.points])
    names = {
        point_id: setting or f"point {point_id}"
        for (point_id, _), setting in zip(plan.points, settings, strict=True)
    }
    if failed and len(failed) == len(names):
        codes = {point.content.get("exit_code") for point in failed}
        if codes == {UsageError.exit_code}:
            raise UsageError(str(failed[0].content.get("message")))
    by_reason: dict[str, list[str]] = {}
    for point in failed:
        by_reason.setdefault(str(point.content.get("message")), []).append(names[point.point_id])
    for point_id, reason in missing.items():
        by_reason.setdefault(reason or "never ran", []).append(names[point_id])
    if not by_reason:
        return
    parts = [f"{', '.join(which)}: {reason}" for reason, which in by_reason.items()]
    bugs = [p.point_id for p in failed if p.content.get("exit_code") == EXIT_INTERNAL]
    if bugs:
        parts.append(f"traceback: {folder / POINTS / bugs[0] / ERROR_FILE}")
    num_failed = len(failed) + len(missing)
    raise PointsFailedError(f"{num_failed} of {len(names)} points failed: {'; '.join(parts)}")
