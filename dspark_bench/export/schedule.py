"""A draft length for every measured load, as `recommend` finds it, and the batches it holds for.

At each load: of the configurations that are level with the fastest and whose own S is clear above
1, the shortest draft; 0 where no configuration's S is. Nothing is extrapolated: a range of batches
ends at a measured load and takes its length, and no range begins before the smallest load measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from dspark_bench.export.axis import CLOSED, LoadAxis
from dspark_bench.export.drafter import DrafterId, drafter_id, is_plain
from dspark_bench.metrics.log_ratio import MIN_UNITS
from dspark_bench.reading.origin import Origin
from dspark_bench.reading.points import Point
from dspark_bench.report.recommend import Candidate, Recommendation, few
from dspark_bench.report.settings import Values

FORCED = "forced"
_MORE_LOADS = "load.concurrency=1,4,16 measures a load axis"


@dataclass(frozen=True, slots=True)
class Choice:
    """requests: at once; length: of drafts, 0 for none; point: what it rests on, None for none;
    why: in words.
    """

    requests: int
    length: int
    point: Point | None
    why: str


@dataclass(frozen=True, slots=True)
class Schedule:
    """setting, given: the traffic in words and by name; choices: one drafter's lengths by rising
    load, empty where the data gives none; ranges: first and last batch and length, empty with a
    reason; reason: why there are no ranges, or None.
    """

    setting: str
    given: Values
    origin: Origin
    choices: tuple[Choice, ...]
    ranges: tuple[tuple[int, int, int], ...]
    reason: str | None

    @property
    def longest(self) -> int:
        """The longest draft of the choices; 0 without any."""
        return max((choice.length for choice in self.choices), default=0)

    @property
    def point(self) -> Point | None:
        """A point with the longest draft: whose drafter a server is to load."""
        return next((c.point for c in self.choices if c.point and c.length == self.longest), None)

    @property
    def most_requests(self) -> int:
        """The largest load measured."""
        return self.choices[-1].requests


def schedule_of(axis: LoadAxis) -> Schedule:
    """The schedule of one traffic, or why there is none."""
    choices, reason = _choices(axis)
    if not reason:
        reason = _no_axis([choice.requests for choice in choices])
    ranges = () if reason else tuple(_ranges(choices))
    return Schedule(axis.setting, axis.given, axis.origin, choices, ranges, reason or None)


def _choices(axis: LoadAxis) -> tuple[tuple[Choice, ...], str]:
    """Of the drafter that is level with the fastest at every load; of several such, of the one that
    is the fastest most often, then of the shorter drafts.
    """
    if axis.load != CLOSED:
        return (), (
            f"load={axis.load} sets a rate of arrivals, not a batch; {_MORE_LOADS} (closed loops)"
        )
    if any(point.keys.get("acceptance") == FORCED for point in axis.points):
        return (), "its acceptance is simulated (acceptance=forced), not measured"
    tried = {drafter: _try(axis, drafter) for drafter in _drafters(axis) or [None]}
    whole = {d: found for d, found in tried.items() if all(isinstance(c, Choice) for c in found)}
    if not whole:
        return (), _disagreement(axis, list(tried.values()))
    wins = {drafter: _num_wins(axis, drafter) for drafter in whole}
    lengths = {
        d: sum(c.length for c in found if isinstance(c, Choice)) for d, found in whole.items()
    }
    best = min(whole, key=lambda drafter: (-wins[drafter], lengths[drafter], drafter or ()))
    return tuple(c for c in whole[best] if isinstance(c, Choice)), ""


def _drafters(axis: LoadAxis) -> list[DrafterId | None]:
    """Drafters with plain candidates."""
    found = [item for _, answer in axis.answers for item in _all(answer)]
    return list(dict.fromkeys(drafter_id(item.point) for item in found if is_plain(item.point)))


def _all(found: Recommendation) -> tuple[Candidate, ...]:
    return (found.winner, *(item.candidate for item in found.challengers))


def _try(axis: LoadAxis, drafter: DrafterId | None) -> list[Choice | str]:
    return [_choose(found, requests, drafter) for requests, found in axis.answers]


def _choose(found: Recommendation, requests: int, drafter: DrafterId | None) -> Choice | str:
    """The length at one load, or why the data names none of this drafter's."""
    level = (found.winner, *(item.candidate for item in found.level))
    paired = (found.winner, *(item.candidate for item in found.ties))
    faster = [item for item in level if _is_clear(item)]
    if not faster:
        return Choice(requests, 0, None, _not_clear(found.winner))
    own = [i for i in faster if is_plain(i.point) and drafter_id(i.point) == drafter]
    if not own:
        return f"at {at_once(requests)} {_said(found.winner)} is ahead of its drafts"
    best = min(own, key=lambda item: _gamma(item.point))
    if not any(item is best for item in paired):
        # longer drafts that cannot be compared would not be chosen anyway; this one would
        broken = few(found.broken) if found.broken else "their points are not paired"
        reason = found.reason or broken
        return f"at {at_once(requests)} {best.label} cannot be compared with the fastest: {reason}"
    return Choice(requests, _gamma(best.point), best.point, _why(best, found.winner))


def _is_clear(item: Candidate) -> bool:
    """Whether its S is above 1 by more than noise, over enough units for a verdict."""
    return item.beats_baseline is True and item.speedup.n >= MIN_UNITS


def _why(best: Candidate, winner: Candidate) -> str:
    if best is winner:
        return f"the fastest, S {best.speedup.text()}"
    return f"S {best.speedup.text()}, the shortest of those level with the fastest: {_said(winner)}"


def _not_clear(winner: Candidate) -> str:
    """Why nothing is drafted."""
    text = f"the fastest, {_said(winner)}, is not clear of no speculation"
    if winner.speedup.n < MIN_UNITS:
        return f"{text}: {winner.speedup.n} units, no verdict below {MIN_UNITS}"
    if winner.beats_baseline is False:
        return f"the fastest, {_said(winner)}, is slower than no speculation"
    if winner.is_within_floor:
        return f"{text}: within the timing noise floor ({winner.noise_floor:.1%})"
    return text


def _said(item: Candidate) -> str:
    return f"{item.label} (S {item.speedup.text()})"


def _num_wins(axis: LoadAxis, drafter: DrafterId | None) -> int:
    winners = [found.winner.point for _, found in axis.answers]
    return sum(is_plain(point) and drafter_id(point) == drafter for point in winners)


def _disagreement(axis: LoadAxis, tried: Sequence[Sequence[Choice | str]]) -> str:
    """Why no drafter has a length at every load."""
    reasons = [next(c for c in found if isinstance(c, str)) for found in tried]
    if len(reasons) == 1:
        return reasons[0]
    narrow = f"narrow the results, such as drafter={axis.points[0].text('drafter')}"
    return f"no one drafter is level with the fastest at every load ({reasons[0]}); {narrow}"


def _no_axis(loads: Sequence[int]) -> str:
    """Why lengths at these loads make no schedule; empty if they do."""
    if len(loads) == 1:
        return f"only {at_once(loads[0])} was measured; {_MORE_LOADS}"
    if loads[0] != 1:
        return (
            f"the smallest load measured is {at_once(loads[0])}, and smaller batches would be "
            "extrapolated; measure load.concurrency=1 too"
        )
    return ""


def _ranges(choices: Sequence[Choice]) -> list[tuple[int, int, int]]:
    """Inclusive, from 1 to the largest load; neighbours of one length joined."""
    starts = [1, *(before.requests + 1 for before, _ in pairwise(choices))]
    found: list[tuple[int, int, int]] = []
    for start, choice in zip(starts, choices, strict=True):
        if found and found[-1][2] == choice.length:
            start = found.pop()[0]
        found.append((start, choice.requests, choice.length))
    return found


def at_once(requests: int) -> str:
    """Such as `1 request at a time`."""
    return "1 request at a time" if requests == 1 else f"{requests} requests at once"


def _gamma(point: Point) -> int:
    return int(point.number("gamma") or 0)
