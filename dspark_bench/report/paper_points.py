"""The points that stand for the paper's: found by what they are, not by the folder they lie in."""

from collections.abc import Sequence

import pandas as pd

from dspark_bench.core.errors import ResultsError
from dspark_bench.metrics.comparison import accepted_by_prompt, accepted_length_ratio
from dspark_bench.metrics.intervals import Interval
from dspark_bench.reading.points import Point
from dspark_bench.reading.records import read_records

DOMAINS = ("math", "code", "prose")


class PaperPoints:
    """Measured points at temperature 1 with exact acceptance; the best supported of equals."""

    def __init__(self, points: Sequence[Point]) -> None:
        kept = [p for p in points if p.number("temperature") == 1 and not _is_not_the_papers(p)]
        self._points = sorted(kept, key=lambda p: -_num_prompts(p))

    def find(self, drafter: str, domain: str, gamma: int) -> Point | None:
        """A closed loop of one request under `fixed`; None if none was measured."""
        found = (p for p in self._points if _is_plain(p, drafter, domain, gamma))
        return next(found, None)

    def pair(self, first: str, second: str, domain: str, gamma: int) -> tuple[Point, Point] | None:
        """Two drafters on the same prompts, if there is such a pair."""
        for ours in self._points:
            for theirs in self._points:
                if (
                    _is_plain(ours, first, domain, gamma)
                    and _is_plain(theirs, second, domain, gamma)
                    and ours.text("prompts_hash") == theirs.text("prompts_hash")
                    and ours.text("target_hash") == theirs.text("target_hash")
                ):
                    return ours, theirs
        return None

    def by_key(self, scheduler: str, key: str, domain: str) -> list[tuple[float, Point]]:
        """Points of a scheduler by the rising value of one key, one per value."""
        found: dict[float, Point] = {}
        for point in self._points:
            value = point.keys.get(key)
            is_meant = point.text("scheduler") == scheduler and point.text("workload") == domain
            if is_meant and isinstance(value, int | float):
                found.setdefault(float(value), point)
        return sorted(found.items(), key=lambda item: item[0])

    def calibrated(self, gamma: int) -> Point | None:
        """The semi_ar point with most cycles that scored its stored calibration, at this draft
        length if there is one.
        """

        def order(point: Point) -> tuple[bool, float]:
            return point.number("gamma") != gamma, -(point.number("n_cycles") or 0)

        for point in sorted(self._points, key=order):
            scores = point.metrics.get("calibration")
            has_both = isinstance(scores, dict) and {"before", "after"} <= set(scores)
            is_meant = point.text("drafter") == "semi_ar" and point.text("scheduler") == "fixed"
            if has_both and is_meant and point.keys.get("calibrator") == "checkpoint":
                return point
        return None

    def under_load(self, scheduler: str, gamma: int) -> list[Point]:
        """semi_ar in a closed loop by rising concurrency, one point each; mixed prompts."""
        found: dict[float, Point] = {}
        for point in self._points:
            concurrency = point.number("concurrency")
            if (
                concurrency is not None
                and (point.text("drafter"), point.text("scheduler")) == ("semi_ar", scheduler)
                and (point.text("workload"), point.text("load")) == ("mixed", "closed")
                and point.number("gamma") == gamma
                and point.keys.get("calibrator", "checkpoint") == "checkpoint"
            ):
                found.setdefault(concurrency, point)
        return [found[key] for key in sorted(found)]


def length_ratio(
    points: PaperPoints, first: str, second: str, domain: str, gamma: int
) -> Interval | None:
    """tau of `first` over tau of `second`, paired by prompt; without interval if the records are
    not there; None if the pair was not measured.
    """
    pair = points.pair(first, second, domain, gamma)
    if pair is None:
        return None
    lengths = [point.number("accepted_length") for point in pair]
    if not (lengths[0] and lengths[1]):
        return None
    try:
        ours, theirs = (_by_prompt(point) for point in pair)
        return accepted_length_ratio(ours, theirs, max(point.level for point in pair))
    except (KeyError, ResultsError):
        return Interval(lengths[0] / lengths[1], None, None, 0)


def ratio_text(ratio: Interval | None) -> str:
    """Such as `1.16 [1.12-1.20]`; empty without a ratio."""
    return "" if ratio is None or ratio.value is None else ratio.text()


def at_gamma(gamma: int) -> str:
    """Such as `gamma 7`."""
    return f"gamma {gamma}"


def _by_prompt(point: Point) -> pd.DataFrame:
    return accepted_by_prompt(*read_records(point.folder, point.metrics))


def _is_plain(point: Point, drafter: str, domain: str, gamma: int) -> bool:
    return (
        (point.text("drafter"), point.text("workload")) == (drafter, domain)
        and (point.text("scheduler"), point.text("load")) == ("fixed", "closed")
        and (point.number("gamma"), point.number("concurrency")) == (gamma, 1)
    )


def _is_not_the_papers(point: Point) -> bool:
    is_tree = str(point.keys.get("tree", "none")) != "none"
    return is_tree or str(point.keys.get("acceptance", "exact")) != "exact"


def _num_prompts(point: Point) -> float:
    return point.number("n_requests") or 0.0
