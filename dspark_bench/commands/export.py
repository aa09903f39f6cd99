"""`dspark-bench export`: what was found, as settings of serving engines; one thing alone or all."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dspark_bench.core.errors import ResultsError, UsageError
from dspark_bench.export import llamacpp, sglang, trtllm, vllm
from dspark_bench.export.axis import load_axes
from dspark_bench.export.golden import Golden, golden, golden_lines
from dspark_bench.export.schedule import Schedule, at_once, schedule_of
from dspark_bench.export.settings import EngineSettings, json_line
from dspark_bench.reading.gather import gather
from dspark_bench.reading.narrow import narrow
from dspark_bench.reading.points import Gathered
from dspark_bench.report.recommend import recommend
from dspark_bench.report.setting_table import Line

ENGINES: Final[dict[str, Callable[[Schedule], EngineSettings]]] = {
    "vllm": vllm.settings,
    "sglang": sglang.settings,
    "trtllm": trtllm.settings,
    "llamacpp": llamacpp.settings,
}
FORMATS: Final = ("text", *ENGINES, "golden", "json")
_VERSION = 1
_NAMES_CHANGE = (
    "Names and formats are those of September 2026; engines rename them, so ask the installed one "
    "(--help) before you trust a flag."
)


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """path: a sweep, or a folder of sweeps; words: KEY=VALUE that narrow it; here: machine_id of
    the machine that asks.
    """

    path: Path
    words: tuple[str, ...] = ()
    format: str = "text"
    here: str | None = None


@dataclass(frozen=True, slots=True)
class _Found:
    """What the results say. reason: why there are no schedules at all; left_out: points that say
    nothing of acceptance.
    """

    schedules: tuple[Schedule, ...]
    reason: str | None
    golden: tuple[Golden, ...]
    left_out: tuple[str, ...]


def run_export(
    request: ExportRequest, say: Callable[[Line], None], warn: Callable[[str], None]
) -> None:
    """Print what is asked for; `warn` takes what would spoil a file for a machine.

    Raises UsageError for an unknown format, or where an engine's settings would be several;
    ResultsError where the results cannot say what is asked.
    """
    if request.format not in FORMATS:
        raise UsageError(f"--format is {request.format!r}; valid: {', '.join(FORMATS)}")
    found = _read(narrow(gather(request.path, request.here), request.words))
    if request.format == "text":
        for line in _screen(found):
            say(line)
    elif request.format == "json":
        say(Line(json_line(_everything(found))))
    elif request.format == "golden":
        if not found.golden:
            raise ResultsError(f"no golden acceptance: {'; '.join(found.left_out) or 'no drafter'}")
        say(Line(json_line([item.as_json() for item in found.golden])))
    else:
        settings = _only(found, request.format)
        for note in settings.notes:
            warn(f"note: {note}")
        say(Line(settings.text))


def _read(gathered: Gathered) -> _Found:
    acceptance, left_out = golden(gathered)
    try:
        axes = load_axes(recommend(gathered))
    except ResultsError as error:
        return _Found((), str(error), acceptance, left_out)
    return _Found(tuple(map(schedule_of, axes)), None, acceptance, left_out)


def _only(found: _Found, name: str) -> EngineSettings:
    """One engine's settings for the one traffic that there is."""
    if found.reason is not None:
        raise ResultsError(found.reason)
    if len(found.schedules) > 1:
        labels = "; ".join(item.setting for item in found.schedules)
        raise UsageError(
            f"--format {name} prints one setting, and there are {len(found.schedules)}: {labels}; "
            "name one by KEY=VALUE, such as workload=math"
        )
    settings = ENGINES[name](found.schedules[0])
    if settings.reason is not None:
        raise ResultsError(f"nothing for {settings.engine}: {settings.reason}")
    return settings


def _everything(found: _Found) -> dict[str, Any]:
    return {
        "version": _VERSION,
        "reason": found.reason,
        "settings": [_as_json(schedule) for schedule in found.schedules],
        "golden_acceptance": [item.as_json() for item in found.golden],
        "left_out_of_golden_acceptance": list(found.left_out),
    }


def _as_json(schedule: Schedule) -> dict[str, Any]:
    engines = {name: write(schedule) for name, write in ENGINES.items()}
    return {
        "setting": schedule.setting,
        "given": schedule.given,
        "machine": schedule.origin.machine,
        "loads": [
            {
                "requests": choice.requests,
                "num_speculative_tokens": choice.length,
                "point_id": choice.point.point_id if choice.point else None,
                "why": choice.why,
            }
            for choice in schedule.choices
        ],
        "ranges": [list(found) for found in schedule.ranges],
        "reason": schedule.reason,
        "engines": {
            name: {
                "value": settings.value,
                "reason": settings.reason,
                "notes": list(settings.notes),
            }
            for name, settings in engines.items()
        },
    }


def _screen(found: _Found) -> list[Line]:
    lines = [Line(f"no schedule: {found.reason}")] if found.reason is not None else []
    for schedule in found.schedules:
        lines += [*_of_schedule(schedule), Line("")]
    lines.append(Line("golden acceptance (unconditional, by position)", True))
    lines += [Line(f"  {text}") for text in golden_lines(found.golden)]
    lines += [Line(f"  left out: {text}") for text in found.left_out]
    if not found.golden and not found.left_out:
        lines.append(Line("  none: no drafter was measured"))
    return [*lines, Line(""), Line(_NAMES_CHANGE)]


def _of_schedule(schedule: Schedule) -> list[Line]:
    lines = [Line(schedule.origin.heading, True)] if schedule.origin.is_named else []
    drafter = f": {schedule.point.text('drafter')}" if schedule.point else ""
    lines.append(Line(f"{schedule.setting}{drafter}", True))
    for choice in schedule.choices:
        length = f"drafts of {choice.length}" if choice.length else "no speculation"
        lines.append(Line(f"  {at_once(choice.requests)}: {length} ({choice.why})"))
    if schedule.reason is not None:
        lines.append(Line(f"  no schedule by batch size: {schedule.reason}"))
        if not schedule.choices:
            return lines
    shown: Sequence[EngineSettings] = [write(schedule) for write in ENGINES.values()]
    for settings in shown:
        lines.append(Line(f"  {settings.engine}", True))
        if not settings.lines:
            lines.append(Line(f"    nothing: {settings.reason}"))
        lines += [Line(f"    {text}") for text in settings.lines]
        lines += [Line(f"    note: {text}") for text in settings.notes]
    return lines
