"""Recommendations in words, the same for the terminal, the page and its Markdown twin."""

from collections.abc import Sequence

from dspark_bench.metrics.acceptance import FOREIGN
from dspark_bench.metrics.gap import GAP_TERMS
from dspark_bench.metrics.intervals import Interval
from dspark_bench.reading.points import Point
from dspark_bench.report.changes import Change
from dspark_bench.report.ratios import is_by_prompt
from dspark_bench.report.recommend import Challenger, Recommendation
from dspark_bench.report.warnings import looks_foreign

TERM_NAMES = {
    "truncation": "drafts cut off or not verified (truncation)",
    "non_iid": "acceptance that is not independent (non-iid)",
    "draft_cost": "draft cost",
    "verify_cost": "verify cost",
    "overhead": "overhead",
    "prefill_and_batching": "prefill and batching",
}
_ALSO_SHOWN = 2


def headline(found: Sequence[Recommendation]) -> str:
    """The answer in one sentence, from the setting with most configurations."""
    found = [item for item in found if item.origin == found[0].origin]
    main = max(found, key=lambda item: len(item.challengers))
    same = sum(item.winner.label == main.winner.label for item in found)
    if len(found) == 1:
        return f"{answer(main)}."
    return (
        f"{main.setting}: {answer(main)} (the fastest measured in {same} of {len(found)} settings)."
    )


def answer(found: Recommendation) -> str:
    """Winner, S with interval, theory, and the largest loss or what explains it; no full stop."""
    winner = found.winner
    parts = [f"{winner.label} {_verdict(found)}: {times(winner.speedup)}"]
    theory = winner.point.number("speedup_theory")
    if theory is not None:
        parts.append(f"theory says {theory:.2f}")
    loss = largest_loss(winner.point)
    if looks_foreign(winner.point):
        parts.append(FOREIGN)
    elif loss is not None:
        parts.append(f"the largest loss is {loss[0]} ({loss[1]:+.2f})")
    if found.ties:
        names = _few([item.candidate.label for item in found.ties])
        parts.append(f"tied with {names}")
    elif found.level:
        parts.append(f"not comparable with the others: {found.reason or 'not paired'}")
    return "; ".join(parts)


def _verdict(found: Recommendation) -> str:
    rank = "is fastest here" if found.challengers else "is the only configuration measured here"
    if found.beats_baseline is False:
        return f"{rank}, yet slower than no speculation"
    if found.is_within_floor:
        return f"{rank}, within the timing noise floor ({found.noise_floor:.1%}) of no speculation"
    is_level = found.beats_baseline is None and found.winner.speedup.low is not None
    return f"{rank}, within noise of no speculation" if is_level else rank


def largest_loss(point: Point) -> tuple[str, float] | None:
    """The most negative term from theory to measurement; None if none is negative."""
    terms = {name: point.number(f"gap_{name}") for name in GAP_TERMS}
    losses = {name: value for name, value in terms.items() if value is not None and value < 0}
    if not losses:
        return None
    name = min(losses, key=lambda key: losses[key])
    return TERM_NAMES[name], losses[name]


def times(speedup: Interval) -> str:
    """Such as `2.10x, 95 % interval 2.00 to 2.20`."""
    if speedup.low is None or speedup.high is None:
        return f"{speedup.value:.2f}x, no interval"
    return f"{speedup.value:.2f}x, 95 % interval {speedup.low:.2f} to {speedup.high:.2f}"


def lead(challenger: Challenger) -> str:
    """How far behind a challenger is, and whether that is more than noise."""
    ratio = challenger.ratio
    assert ratio.value is not None
    ahead = f"the winner is ahead by {ratio.value - 1:.1%}"
    if ratio.low is None or ratio.high is None:
        return f"{ahead}; no interval, so nothing can be said about noise"
    how = f"paired by {_unit(challenger)}"
    verdict = "clear of noise" if challenger.is_clear else "not clear of noise"
    if not challenger.is_paired:
        how, verdict = "from both intervals", "not comparable, not paired"
    if challenger.is_within_floor:
        verdict = f"within the timing noise floor ({challenger.noise_floor:.1%})"
    return f"{ahead} [{ratio.low - 1:+.1%} to {ratio.high - 1:+.1%}, {how}]: {verdict}"


def _unit(challenger: Challenger) -> str:
    return "prompt" if is_by_prompt(challenger.candidate.point) else "round"


def behind(challenger: Challenger) -> str:
    """How far its S lies behind the winner's, such as `5.2% [-2.0% to +10.8%]`."""
    ratio = challenger.ratio
    assert ratio.value
    if not ratio.low or not ratio.high:
        return f"{1 - 1 / ratio.value:.1%} [no interval]"
    return f"{1 - 1 / ratio.value:.1%} [{1 - 1 / ratio.low:+.1%} to {1 - 1 / ratio.high:+.1%}]"


def verdict(challenger: Challenger, reason: str | None) -> str:
    """Whether the winner's lead is clear of noise, in a word or two. reason: why there are none."""
    if not challenger.is_paired:
        return "unpaired"
    if reason is not None:
        return "too few"
    return "yes" if challenger.is_clear else "tie"


def change_text(change: Change) -> str:
    """Such as `draft cost 28 % lower (0.31 to 0.22 baseline steps per cycle)`."""
    if change.needed is None:
        limit = "accepting every draft" if change.term == "alpha" else f"no {change.term} at all"
        return f"{change.term} alone does not suffice ({limit} gives S {change.best:.2f})"
    values = f"{change.measured:.3f} to {change.needed:.3f} {change.unit}".rstrip()
    if change.relative is None:
        return f"{change.term} higher ({values})"
    direction = "higher" if change.relative >= 0 else "lower"
    return f"{change.term} {abs(change.relative):.1%} {direction} ({values})"


def short_change(change: Change) -> str:
    """The same for a table's cell, such as `-28.0% (0.310 to 0.223)`."""
    if change.needed is None:
        return f"not enough (S {change.best:.2f})"
    values = f"{change.measured:.3f} to {change.needed:.3f}"
    return values if change.relative is None else f"{change.relative:+.1%} ({values})"


def lines(found: Recommendation) -> list[str]:
    """A recommendation as plain lines for a terminal; the first is the setting."""
    text = [found.setting, f"  {answer(found)}"]
    for place, item in enumerate(found.challengers):
        if place and not item.changes:
            continue
        name = "next" if place == 0 else f"best with {item.candidate.drafter}"
        text.append(f"  {name}: {item.candidate.label}, {times(item.candidate.speedup)}")
        text.append(f"    {lead(item)}")
        if item.changes:
            reach = "; or ".join(change_text(change) for change in item.changes)
            text.append(f"    it would draw level with any one of: {reach}")
    return [*text, *(f"  note: {note}" for note in found.notes)]


def _few(labels: Sequence[str]) -> str:
    shown = ", ".join(labels[:_ALSO_SHOWN])
    rest = len(labels) - _ALSO_SHOWN
    if rest > 0:
        return f"{shown} and {rest} other{'s' if rest > 1 else ''}"
    return shown
