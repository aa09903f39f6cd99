"""Fewer points of what was gathered, chosen by words such as `drafter=semi_ar`."""

from collections.abc import Sequence
from dataclasses import replace

from dspark_bench.core.errors import UsageError
from dspark_bench.reading.points import Gathered, Point
from dspark_bench.reading.rows import cell_text

_MOST_NAMED = 12


def narrow(gathered: Gathered, words: Sequence[str]) -> Gathered:
    """Points with all of these values. A word is KEY=VALUE or KEY=VALUE,VALUE; KEY is a column of
    summary.csv or a key of the configuration.

    Raises UsageError, with what is valid, for anything else and for values that no measured point
    has.
    """
    for word in words:
        gathered = _narrow(gathered, word)
    return gathered


def _narrow(gathered: Gathered, word: str) -> Gathered:
    key, mark, text = word.partition("=")
    if not key or not mark or not text:
        raise UsageError(f"{word!r} chooses no points; valid: KEY=VALUE, such as drafter=semi_ar")
    known = {value: None for p in gathered.points if p.is_measured for value in _values(p, key)}
    if not known:
        raise UsageError(
            f"no point has {key}; valid: a column of summary.csv or a key of the configuration"
        )
    wanted = text.split(",")
    for value in wanted:
        if not any(_is_same(value, other) for other in known):
            valid = sorted(known)
            more = f" and {len(valid) - _MOST_NAMED} more" if len(valid) > _MOST_NAMED else ""
            raise UsageError(
                f"no point has {key}={value}; valid: {', '.join(valid[:_MOST_NAMED])}{more}"
            )
    sweeps = []
    for sweep in gathered.sweeps:
        kept = [point for point in sweep.points if _has(point, key, wanted)]
        sweeps.append(replace(sweep, points=tuple(kept)))
    return replace(gathered, sweeps=tuple(sweeps))


def _has(point: Point, key: str, wanted: Sequence[str]) -> bool:
    return any(_is_same(value, own) for value in wanted for own in _values(point, key))


def _values(point: Point, key: str) -> list[str]:
    """What the point says of the key: as its file is called, in its row, in its configuration."""
    found = (point.names.get(key), point.row.get(key), point.keys.get(key))
    return [text for value in found if (text := cell_text(value))]


def _is_same(first: str, second: str) -> bool:
    """1, 1.0 and '1' are the same."""
    try:
        return first == second or float(first) == float(second)
    except ValueError:
        return False
