"""Recommendations of one traffic at several loads: what a schedule by batch size is made of."""

from collections.abc import Sequence
from dataclasses import dataclass

from dspark_bench.reading.origin import Origin
from dspark_bench.reading.points import Point
from dspark_bench.report.recommend import Recommendation
from dspark_bench.report.settings import Values, setting_of, traffic_label, varying

CLOSED = "closed"
_OF_THE_LOAD = ("concurrency", "rate", "num_requests", "prompts_hash")
"""Larger batches are measured over more prompts of the same workload."""
_OF_THE_PROMPTS = ("num_requests", "prompts_hash")


@dataclass(frozen=True, slots=True)
class LoadAxis:
    """setting: the traffic in words; given: the same by name; load: such as `closed`; answers: by
    rising requests at once (an open loop's: the most that it lets in).
    """

    setting: str
    given: Values
    load: str
    answers: tuple[tuple[int, Recommendation], ...]

    @property
    def origin(self) -> Origin:
        """Where it was measured."""
        return self.answers[0][1].origin

    @property
    def points(self) -> tuple[Point, ...]:
        """The winners' points, one per load."""
        return tuple(found.winner.point for _, found in self.answers)


def load_axes(found: Sequence[Recommendation]) -> tuple[LoadAxis, ...]:
    """One axis per traffic, in the order of the recommendations."""
    groups: dict[tuple[tuple[str, str], ...], list[Recommendation]] = {}
    for item in found:
        groups.setdefault(tuple(traffic_of(item.winner.point).items()), []).append(item)
    axes = [axis for key, group in groups.items() for axis in _without_repeats(dict(key), group)]
    named = varying([key for key, _ in axes])
    return tuple(
        LoadAxis(
            traffic_label(key, [name for name in named if name in key]),
            key,
            key["load"] or CLOSED,
            _by_load(part),
        )
        for key, part in axes
    )


def traffic_of(point: Point) -> Values:
    """What is given, by name, but for how much of it comes at once."""
    given = setting_of(point).items()
    return {name: value for name, value in given if name not in _OF_THE_LOAD}


def _without_repeats(
    key: Values, group: Sequence[Recommendation]
) -> list[tuple[Values, list[Recommendation]]]:
    """The group, or one group per set of prompts where a load was measured over several."""
    loads = [_requests(item) for item in group]
    if key["load"] not in ("", CLOSED) or len(set(loads)) == len(loads):
        return [(key, list(group))]
    parts: dict[tuple[str, ...], list[Recommendation]] = {}
    for item in group:
        given = setting_of(item.winner.point)
        parts.setdefault(tuple(given[name] for name in _OF_THE_PROMPTS), []).append(item)
    return [
        (key | dict(zip(_OF_THE_PROMPTS, own, strict=True)), part) for own, part in parts.items()
    ]


def _by_load(group: Sequence[Recommendation]) -> tuple[tuple[int, Recommendation], ...]:
    return tuple(sorted(((_requests(item), item) for item in group), key=lambda pair: pair[0]))


def _requests(found: Recommendation) -> int:
    return int(found.winner.point.number("concurrency") or 1)
