"""What files given by path are called: by the shortest end of the path that tells them apart.

Two paths to the same content are one thing (by its hash) and get one name, so that results copied
from another machine keep theirs. No file is called as the option that another point runs without
one: a folder `semi_ar` beside the zoo's `semi_ar` is told by what it lies in.
"""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath

from dspark_bench.reading.points import Point

_SUFFIX = ".path"
_HASHES = {
    "target.path": "target_hash",
    "drafter.path": "drafter_hash",
    "workload.path": "prompts_hash",
}
_COLUMNS = {
    "target.path": "target",
    "drafter.path": "drafter_name",
    "workload.path": "workload",
}
_HUB_CACHE = "models--"


def name_files(points: Sequence[Point]) -> list[Point]:
    """Points whose `names` say what their files are called, among all of these points.

    In a row `workload` and `target` are then the names of their files, `drafter_name` that of the
    drafter's, and a swept path is named too.
    """
    keys = dict.fromkeys(key for point in points for key in _paths(point))
    names = {key: _names_by_point(points, key) for key in keys}
    return [
        _named(point, {key: found[place] for key, found in names.items() if place in found})
        for place, point in enumerate(points)
    ]


def short_names(paths: Iterable[str], taken: Collection[str] = ()) -> dict[str, str]:
    """Each path's shortest end, in whole parts, that no other of the paths has, nor is `taken`."""
    parts = {path: _parts(path) for path in paths}
    found = {}
    for path, own in parts.items():
        others = [other for other in parts.values() if other != own]
        length = 1
        while length < len(own) and (
            "/".join(own[-length:]) in taken
            or any(other[-length:] == own[-length:] for other in others)
        ):
            length += 1
        name = "/".join(own[-length:])
        found[path] = f"./{name}" if name in taken else name
    return found


def _names_by_point(points: Sequence[Point], key: str) -> dict[int, str]:
    """Name of one key's file by the point's place."""
    given = {place: path for place, point in enumerate(points) if (path := _paths(point).get(key))}
    column = _HASHES.get(key, "")
    first: dict[str, str] = {}
    for place, path in sorted(given.items(), key=lambda item: item[1]):
        first.setdefault(points[place].text(column) or path, path)
    chosen = {place: first[points[place].text(column) or path] for place, path in given.items()}
    group = key.removesuffix(_SUFFIX)
    taken = {point.text(group) for place, point in enumerate(points) if place not in given}
    names = short_names(set(chosen.values()), taken)
    return {place: names[path] for place, path in chosen.items()}


def _named(point: Point, names: Mapping[str, str]) -> Point:
    if not names:
        return point
    row = dict(point.row)
    for key, name in names.items():
        if key in row:
            row[key] = name
        if key in _COLUMNS:
            row[_COLUMNS[key]] = name
    return replace(point, row=row, names=names)


def _paths(point: Point) -> dict[str, str]:
    return {
        key: value
        for key, value in point.keys.items()
        if key.endswith(_SUFFIX) and isinstance(value, str) and value
    }


def _parts(path: str) -> tuple[str, ...]:
    """Parts of a path; a model in the hub's cache is called as the hub calls it."""
    parts = [part for part in PurePath(os.path.normpath(path)).parts if part != "/"]
    for place, part in enumerate(parts):
        if part.startswith(_HUB_CACHE):
            return (*parts[:place], part.removeprefix(_HUB_CACHE).replace("--", "/"))
    return tuple(parts) or (path,)
