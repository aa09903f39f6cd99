"""The finished parts of a bench that is measured part by part, each in a folder of its own."""

from collections.abc import Sequence
from pathlib import Path

from dspark_bench.core.errors import ResultsError
from dspark_bench.reading.gather import read_sweeps
from dspark_bench.reading.points import Point


def measured_parts(folder: Path, parts: Sequence[str]) -> dict[str, list[Point]]:
    """Points with a measured S, of the parts below `folder` that have any.

    A part that was begun and left is no hindrance. Raises ResultsError if none has such a point.
    """
    found = {part: _points(folder / part) for part in parts}
    found = {part: points for part, points in found.items() if points}
    if not found:
        raise ResultsError(f"no part below {folder} has a measured S")
    return found


def _points(folder: Path) -> list[Point]:
    points = read_sweeps(folder).points if (folder / "sweep.json").is_file() else ()
    usable = [point for point in points if point.obstacle is None]
    return [point for point in usable if point.number("speedup") is not None]
