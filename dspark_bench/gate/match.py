"""Which point answers for which, and the set-up errors that are no pass (exit 2)."""

from collections.abc import Sequence
from dataclasses import dataclass

from dspark_bench.core.errors import ResultsError
from dspark_bench.gate.points import NO_TREE, GatePoint


@dataclass(frozen=True, slots=True)
class Match:
    """A point and its baseline; notes: what differs without making them incomparable."""

    point: GatePoint
    baseline: GatePoint
    notes: tuple[str, ...]


def match_points(points: Sequence[GatePoint], baseline: Sequence[GatePoint]) -> list[Match]:
    """Each baseline point with its counterpart, in the baseline's order.

    Raises ResultsError for a point that is missing or not unique, and for another target, schema,
    acceptance mode or prompts. Points that the baseline does not hold are not compared.
    """
    check_unique(baseline, "the baseline")
    check_unique(points, "the results")
    found = [[point for point in points if not _differing(point, known)] for known in baseline]
    missing = [known for known, mine in zip(baseline, found, strict=True) if not mine]
    if missing:
        names = ", ".join(known.label for known in missing)
        raise ResultsError(
            f"the results lack {len(missing)} of {len(baseline)} points of the baseline: {names}"
            + _closest(missing[0], points)
        )
    for known, mine in zip(baseline, found, strict=True):
        if len(mine) > 1:
            raise ResultsError(
                f"{known.label} of the baseline may be {mine[0].label} or {mine[1].label}: it does "
                "not say which (--update makes a new baseline)"
            )
    return [_checked(mine[0], known) for known, mine in zip(baseline, found, strict=True)]


def check_unique(points: Sequence[GatePoint], where: str) -> None:
    """Raise ResultsError if two points differ only in what does not name a point."""
    for index, point in enumerate(points):
        for other in points[:index]:
            if point.keys == other.keys:
                raise ResultsError(
                    f"two points of {where} are {point.label} ({other.point_id}, "
                    f"{point.point_id}) and differ only in paths, seeds or sizes; check one at a "
                    "time"
                )


def _differing(point: GatePoint, known: GatePoint) -> list[str]:
    """Keys with other values; one that only one side knows is no difference, but for a tree: a
    point without that key drafts chains.
    """
    shared = sorted(set(point.keys) & set(known.keys) | {"tree"})
    return [
        name for name in shared if point.keys.get(name, NO_TREE) != known.keys.get(name, NO_TREE)
    ]


def _closest(wanted: GatePoint, points: Sequence[GatePoint]) -> str:
    """How the nearest point differs, to show a changed key for what it is."""
    nearest = min(points, key=lambda point: len(_differing(point, wanted)), default=None)
    if nearest is None or len(_differing(nearest, wanted)) > 3:
        return ""
    shown = ", ".join(
        f"{name}={nearest.keys.get(name, NO_TREE)} (baseline: {wanted.keys.get(name, NO_TREE)})"
        for name in _differing(nearest, wanted)
    )
    return f"; the nearest has {shown}"


def _checked(point: GatePoint, baseline: GatePoint) -> Match:
    ours, theirs = point.identity, baseline.identity
    for name, mine, known in (
        ("schema version", ours.schema_version, theirs.schema_version),
        ("target hash", ours.target_hash, theirs.target_hash),
        ("acceptance mode", ours.acceptance, theirs.acceptance),
    ):
        if mine != known:
            raise ResultsError(
                f"{baseline.label}: {name} is {mine}, the baseline's {known}; nothing can be "
                "compared (--update makes a new baseline)"
            )
    _check_prompts(point, baseline)
    return Match(point, baseline, _notes(point, baseline))


def _check_prompts(point: GatePoint, baseline: GatePoint) -> None:
    known = dict(zip(baseline.counts.prompts, baseline.counts.hashes, strict=True))
    for prompt, digest in zip(point.counts.prompts, point.counts.hashes, strict=True):
        if prompt not in known:
            raise ResultsError(
                f"{baseline.label}: other prompts: {prompt!r} is not in the baseline; both sides "
                "need the same workload and seed"
            )
        if digest != known[prompt]:
            raise ResultsError(
                f"{baseline.label}: other prompts: {prompt!r} has other tokens than in the baseline"
            )


def _notes(point: GatePoint, baseline: GatePoint) -> tuple[str, ...]:
    ours, theirs = point.identity, baseline.identity
    notes = []
    num_missing = len(baseline.counts.prompts) - len(point.counts.prompts)
    if num_missing:
        total = len(baseline.counts.prompts)
        notes.append(f"{num_missing} of the baseline's {total} prompts were not run")
    if ours.drafter_hash != theirs.drafter_hash:
        notes.append(f"drafter {theirs.drafter_hash} -> {ours.drafter_hash}")
    if ours.continuations_hash != theirs.continuations_hash:
        notes.append("other recorded outputs: wider intervals (acceptance.path= keeps them)")
    elif ours.draws != theirs.draws:
        notes.append("other seeds: intervals are wider than with the baseline's")
    alone = sorted(set(point.keys) ^ set(baseline.keys))
    if alone:
        notes.append(f"keys that only one side knows: {', '.join(alone)}")
    for name in ("dtype", "device"):
        if getattr(ours, name) != getattr(theirs, name):
            notes.append(f"{name} {getattr(theirs, name)} -> {getattr(ours, name)}")
    return tuple(notes)
