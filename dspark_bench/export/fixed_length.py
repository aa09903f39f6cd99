"""Engines that take one draft length a server: a line per load, and one value where all agree."""

from collections.abc import Callable

from dspark_bench.export.schedule import Choice, Schedule, at_once
from dspark_bench.export.settings import EngineSettings
from dspark_bench.reading.points import Point

Flags = Callable[[Choice, Point], str]
"""Flags of a load at which something is drafted, and the point that the length rests on."""


def settings_by_load(
    engine: str, schedule: Schedule, write: Flags, notes: tuple[str, ...] = ()
) -> EngineSettings:
    """A line per load. value: the flags of the largest load if all have one length; else None, with
    the reason.
    """
    texts = [
        write(choice, choice.point) if choice.point else "(no speculation)"
        for choice in schedule.choices
    ]
    loads = [at_once(choice.requests) for choice in schedule.choices]
    wide = max(map(len, loads))
    lines = [f"{load.ljust(wide)}  {text}" for load, text in zip(loads, texts, strict=True)]
    said = (f"{engine} takes one draft length a server, for all its batches", *notes)
    lengths = {choice.length for choice in schedule.choices}
    if len(lengths) == 1:
        return EngineSettings(engine, tuple(lines), texts[-1], None, said)
    largest = schedule.choices[-1].requests
    reason = (
        f"{engine} takes one draft length a server, and the loads ask for "
        f"{', '.join(str(choice.length) for choice in schedule.choices)}; name a load, such as "
        f"load.concurrency={largest}"
    )
    return EngineSettings(engine, tuple(lines), None, reason, said)
