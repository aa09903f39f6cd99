"""What was run, on what, and how to run it again."""

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dspark_bench.core.wording import number_of
from dspark_bench.reading.points import Gathered, Point, Sweep
from dspark_bench.reading.rows import PENDING
from dspark_bench.report.content import Block, Cell, Commands, Items, Table
from dspark_bench.report.settings import SETTINGS

_GENERATION = ("machine_id", "git_revision", "is_dirty", "code_hash")
_MANY = 4
_CHAIN = "none"
_EXACT_ON_TREES = "exact (on trees: match)"


def lead_sentence(gathered: Gathered) -> str:
    """How much was measured, and on what."""
    points = [point for point in gathered.points if point.is_measured]
    machines = _distinct(_machine(point) for point in points if point.environment)
    num_distinct = len({point.measurement for point in points})
    num_copies = len(points) - num_distinct
    are = "is a copy" if num_copies == 1 else "are copies"
    them = "it" if num_distinct == 1 else "them"
    copies = f" ({num_copies} more {are} of {them})" if num_copies else ""
    num_sweeps = len(gathered.sweeps)
    return (
        f"{number_of(num_distinct, 'measured point')}{copies} in {number_of(num_sweeps, 'sweep')}, "
        f"each against its own paired baseline; on {'; '.join(machines) or 'an unknown machine'}."
    )


def what_was_run(gathered: Gathered) -> tuple[Block, ...]:
    """States per sweep, and the settings in force."""
    names = ("finished", "interrupted", "stale", "timing_invalid", "unreadable", "failed", PENDING)
    rows = []
    for sweep in gathered.sweeps:
        counts = [sum(p.status == name for p in sweep.points) for name in names[:-1]]
        rows.append(tuple(map(Cell, [sweep.name, *map(str, [*counts, len(sweep.pending)])])))
    states = Table("Points by state", ("sweep", *names), tuple(rows))
    measured = [point for point in gathered.points if point.is_measured]
    return states, _settings_table(measured)


def environment_table(gathered: Gathered) -> Table | None:
    """One column per machine and revision; numbers that vary are given as a range."""
    groups: dict[str, list[Point]] = {}
    for point in gathered.points:
        if point.environment:
            key = json.dumps([point.environment.get(name) for name in _GENERATION])
            groups.setdefault(key, []).append(point)
    if not groups:
        return None
    columns = [_merged([_flat(point.environment) for point in group]) for group in groups.values()]
    names = dict.fromkeys(name for column in columns for name in column)
    heads = ("what", *(number_of(len(group), "point") for group in groups.values()))
    rows = [(Cell(name), *(Cell(column.get(name, "-")) for column in columns)) for name in names]
    return Table("What the points were measured on", heads, tuple(rows))


def how_to_reproduce(gathered: Gathered) -> tuple[Block, ...]:
    """The exact commands, from the revision that measured."""
    lines = []
    revisions = _distinct(
        str(point.environment["git_revision"])
        for point in gathered.points
        if point.environment.get("git_revision")
    )
    if len(revisions) == 1:
        lines.append(f"git checkout {revisions[0]}")
    for sweep in gathered.sweeps:
        lines += [f"dspark-bench sweep {shlex.join(command)}".rstrip() for command in _typed(sweep)]
    lines.append(f"dspark-bench report {shlex.quote(shown_path(gathered.path))}")
    notes: list[str] = []
    if len(revisions) > 1:
        notes.append(f"The points come from several revisions: {', '.join(revisions)}.")
    if any(point.environment.get("is_dirty") for point in gathered.points):
        notes.append("Some points were measured with uncommitted changes, which no revision holds.")
    if any(_is_foreign(point) for point in gathered.points):
        notes.append("Classes of a user's own took part: add the --config-dir they came with.")
    blocks: tuple[Block, ...] = (Commands(tuple(lines)),)
    return (*blocks, Items(tuple(notes))) if notes else blocks


def shown_path(path: Path) -> str:
    """A path as typed; of an absolute one only its name, which says nothing about the machine."""
    return path.resolve().name if path.is_absolute() else path.as_posix()


def _typed(sweep: Sweep) -> list[list[str]]:
    """Overrides of every command that wrote to the sweep; older files keep the last one only."""
    commands = sweep.description.get("commands")
    if not isinstance(commands, list):
        commands = [sweep.description.get("overrides")]
    return [list(map(str, command)) for command in commands if isinstance(command, list)]


def _settings_table(points: Sequence[Point]) -> Table:
    names = dict.fromkeys(("target", *SETTINGS, "drafter_hash", "gamma_trained", "train_seed"))
    rows = []
    for name in names:
        found = _distinct(_said(point, name) for point in points)
        values = [value for value in found if value]
        if values:
            rows.append((Cell(name), Cell(_few(values))))
    return Table("Settings of the measured points", ("key", "values"), tuple(rows))


def _said(point: Point, name: str) -> str:
    """A setting's value; of the rule that judged drafts, what it means for the point's trees."""
    value = point.text(name) or str(point.keys.get(name) or "")
    has_tree = point.keys.get("tree") not in (None, _CHAIN)
    return _EXACT_ON_TREES if (name, value) == ("acceptance", "exact") and has_tree else value


def _machine(point: Point) -> str:
    environment = point.environment
    gpus = [str(gpu.get("name")) for gpu in environment.get("gpus") or [] if isinstance(gpu, dict)]
    parts = [
        f"{environment.get('cpu_model')} ({environment.get('num_cores')} cores)",
        *gpus,
        " ".join(filter(None, (point.text("device"), point.text("dtype")))),
    ]
    return ", ".join(part for part in parts if part)


def _is_foreign(point: Point) -> bool:
    classes = [value for key, value in point.keys.items() if key.endswith("._target_")]
    return any(value and not str(value).startswith("dspark_bench.") for value in classes)


def _flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            parts = {str(place): item for place, item in enumerate(value)}
            flat |= _flat(parts, f"{prefix}{key}.") if value else {f"{prefix}{key}": "none"}
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _merged(flats: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    names = dict.fromkeys(name for flat in flats for name in flat)
    return {name: _range([flat.get(name) for flat in flats]) for name in names}


def _range(values: Sequence[Any]) -> str:
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(numbers) == len(values) and len(set(numbers)) > 1:
        return f"{min(numbers):g} to {max(numbers):g}"
    return _few(_distinct("not known" if value is None else str(value) for value in values))


def _few(values: Sequence[str]) -> str:
    more = len(values) - _MANY
    return ", ".join(values[:_MANY]) + (f" and {more} more" if more > 0 else "")


def _distinct(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))
