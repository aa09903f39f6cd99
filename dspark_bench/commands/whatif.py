"""`dspark-bench whatif`: predictions as a table or as JSON, marked as a model's."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dspark_bench.core.errors import UsageError
from dspark_bench.export.settings import json_line
from dspark_bench.reading.gather import gather
from dspark_bench.reading.narrow import narrow
from dspark_bench.report.setting_table import Line
from dspark_bench.whatif.base import Base, find_base
from dspark_bench.whatif.costs import surfaces_of
from dspark_bench.whatif.predict import Change, Prediction, predict

FORMATS: Final = ("text", "json")
_MARK = (
    "A model, not a measurement: S = tokens per cycle x a step's time / a cycle's time, from "
    "stored costs."
)
_ERROR = "column error: the unchanged model over the measured S; no measured point, no error"
_GAP = "  "


@dataclass(frozen=True, slots=True)
class WhatIfRequest:
    """path, words, here: as of export; gamma, concurrency: numbers with commas, by default those
    that were measured; profile: a file of costs.
    """

    path: Path
    words: tuple[str, ...] = ()
    change: Change = Change()
    gamma: str | None = None
    concurrency: str | None = None
    profile: Path | None = None
    format: str = "text"
    here: str | None = None


def run_whatif(request: WhatIfRequest, say: Callable[[Line], None]) -> None:
    """Print predictions. Raises UsageError for options that mean nothing, ResultsError where the
    results say nothing.
    """
    if request.format not in FORMATS:
        raise UsageError(f"--format is {request.format!r}; valid: {', '.join(FORMATS)}")
    change = request.change
    gammas = _numbers("--gamma", request.gamma)
    loads = _numbers("--concurrency", request.concurrency)
    base = find_base(narrow(gather(request.path, request.here), request.words))
    surfaces = surfaces_of(base.owners, request.profile)
    is_named = request.profile is not None
    found, reasons = predict(
        base, surfaces, change, gammas or base.gammas, loads or base.loads, is_named
    )
    if request.format == "json":
        say(Line(json_line(_as_json(base, change, found, reasons))))
        return
    for line in _screen(base, change, found, reasons):
        say(line)


def _numbers(option: str, text: str | None) -> tuple[int, ...]:
    """Whole numbers between commas; none if the option was not given."""
    if text is None:
        return ()
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and 0 < int(part) < 10**6 for part in parts):
        raise UsageError(f"{option} is {text!r}; valid: whole numbers from 1, such as 2,4,8")
    return tuple(dict.fromkeys(map(int, parts)))


def _screen(
    base: Base, change: Change, found: Sequence[Prediction], reasons: Sequence[str]
) -> list[Line]:
    origin = base.points[0].origin
    lines = [Line(_MARK), *([Line(origin.heading)] if origin.is_named else [])]
    lines += [Line(f"{base.label}: {change.words or 'as recorded'}", True)]
    heads = ["gamma", "at once", "tokens", "S model"]
    heads += ["recorded tokens", "its S model"] if change.words else []
    heads += ["S measured", "error", "costs"]
    rows = [heads, *(_row(item, bool(change.words)) for item in found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row[:-1], widths, strict=False)]
        lines.append(Line(_GAP.join([*cells, row[-1]])))
    lines += [Line(f"not predicted: {reason}") for reason in (*_left_out(base), *reasons)]
    return [*lines, Line(_ERROR)]


def _left_out(base: Base) -> list[str]:
    return [
        f"drafter={name}: no record of full drafts with scheduler=fixed in a closed loop"
        for name in base.left_out
    ]


def _row(item: Prediction, is_changed: bool) -> list[str]:
    cells = [str(item.gamma), str(item.requests), f"{item.emitted:.2f}", f"{item.speedup:.2f}"]
    if is_changed:
        cells += [_number(item.as_recorded), _number(item.plain)]
    measured = "-" if item.measured is None else item.measured.text()
    error = "-" if item.error is None else f"{item.error:+.0%}"
    return [*cells, measured, error, item.source]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _as_json(
    base: Base, change: Change, found: Sequence[Prediction], reasons: Sequence[str]
) -> dict[str, Any]:
    return {
        "is_model": True,
        "setting": base.label,
        "supposed": {
            "alpha": change.alpha,
            "acceptance_scale": change.acceptance_scale,
            "accepted_length": change.accepted_length,
            "draft_cost_factor": change.draft_factor,
        },
        "predictions": [
            {
                "gamma": item.gamma,
                "requests": item.requests,
                "emitted_length": item.emitted,
                "speedup_model": item.speedup,
                "recorded_emitted_length": item.as_recorded,
                "recorded_speedup_model": item.plain,
                "speedup_measured": None if item.measured is None else item.measured.as_json(),
                "model_error": item.error,
                "costs": item.source,
            }
            for item in found
        ],
        "not_predicted": [*_left_out(base), *reasons],
    }
