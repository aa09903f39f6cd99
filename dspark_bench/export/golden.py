"""Golden acceptance: what was accepted, for engines that can be told what to accept.

The same mean can come from schedules of different spread, and batches then differ in latency; so
each is named. `measured`: the recorded histogram. `minimum_variance`: all drafts up to the whole
part of the mean, one more with the rest as its probability. `constant_p`: every draft that is
reached with one probability. Rates are unconditional: the share of cycles that accept at least k.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dspark_bench.core.wording import number_of
from dspark_bench.export.axis import traffic_of
from dspark_bench.export.counts import accepted_counts, trial_cycles
from dspark_bench.export.drafter import DrafterId, drafter_id, has_tree, is_plain
from dspark_bench.export.schedule import FORCED
from dspark_bench.metrics.theory import geometric_sum
from dspark_bench.reading.points import Gathered, Point
from dspark_bench.report.settings import NO_DRAFTER, Values, traffic_label, varying

_HALVINGS = 60
_TIMING = ("load", "threads", "speedup_basis", "machine_id")
"""What acceptance does not depend on."""


@dataclass(frozen=True, slots=True)
class Golden:
    """Acceptance of one drafter and length on one traffic, pooled over loads. setting, given: the
    traffic in words and by name.

    accepted: cycles that accepted at least k drafts, k = 1..gamma; low, high: ends of the interval
    of the accepted length, where it rests on one point.
    """

    setting: str
    given: Values
    drafter: str
    drafter_hash: str
    gamma: int
    num_cycles: int
    accepted: tuple[int, ...]
    low: float | None
    high: float | None

    @property
    def accepted_length(self) -> float:
        """1 + accepted drafts per cycle: the bonus is counted."""
        return 1 + sum(self.accepted) / self.num_cycles

    @property
    def measured(self) -> tuple[float, ...]:
        """The recorded rates."""
        return tuple(count / self.num_cycles for count in self.accepted)

    @property
    def histogram(self) -> tuple[int, ...]:
        """Cycles that accepted exactly 0, 1, ..., gamma drafts."""
        least = (self.num_cycles, *self.accepted, 0)
        return tuple(least[k] - least[k + 1] for k in range(self.gamma + 1))

    @property
    def label(self) -> str:
        """Such as `semi_ar gamma 4, math`."""
        return f"{self.drafter} gamma {self.gamma}, {self.setting}"

    def as_json(self) -> dict[str, Any]:
        """Everything, with what engines are told and by which schedule."""
        p, length = constant_p(self.accepted_length, self.gamma), self.accepted_length
        shortest = minimum_variance(length, self.gamma)
        return {
            "setting": self.setting,
            "given": self.given,
            "drafter": self.drafter,
            "drafter_hash": self.drafter_hash,
            "gamma": self.gamma,
            "cycles": self.num_cycles,
            "accepted_length": length,
            "accepted_length_ci_low": self.low,
            "accepted_length_ci_high": self.high,
            "histogram": list(self.histogram),
            "schedules": {
                "measured": list(self.measured),
                "minimum_variance": list(shortest),
                "constant_p": [p ** (k + 1) for k in range(self.gamma)],
            },
            "constant_p": p,
            "engines": _engines(self),
        }


def _engines(found: Golden) -> dict[str, dict[str, Any]]:
    length = round(found.accepted_length, 4)
    return {
        "vllm": {
            "schedule": "measured",
            "speculative_config": {
                "rejection_sample_method": "synthetic",
                "synthetic_acceptance_rates": list(found.measured),
            },
        },
        "sglang": {
            "schedule": "minimum_variance",
            "environment": {
                "SGLANG_SIMULATE_ACC_LEN": str(length),
                "SGLANG_SIMULATE_ACC_METHOD": "match-expected",
                "SGLANG_SIMULATE_ACC_TOKEN_MODE": "real-draft-token",
            },
        },
        "trtllm": {
            "schedule": "minimum_variance",
            "environment": {
                # counts drafts without the bonus token
                "TLLM_SPEC_DECODE_FORCE_NUM_ACCEPTED_TOKENS": str(round(length - 1, 4)),
            },
        },
        "llamacpp": {
            "schedule": "constant_p",
            "flags": f"--spec-synthetic-acceptance-length {length}",
        },
    }


def golden(gathered: Gathered) -> tuple[tuple[Golden, ...], tuple[str, ...]]:
    """Acceptance of every drafter and length, and why points are left out, a line per reason."""
    points = [p for p in gathered.points if p.is_measured and p.text("drafter") != NO_DRAFTER]
    obstacles = [(point, _obstacle(point)) for point in points]
    groups: dict[tuple[Any, ...], list[Point]] = {}
    for point in (point for point, reason in obstacles if reason is None):
        given = {k: v for k, v in traffic_of(point).items() if not _is_timing(k)}
        key = (tuple(given.items()), drafter_id(point), int(point.number("gamma") or 0))
        groups.setdefault(key, []).append(point)
    named = varying([dict(given) for given, _, _ in groups])
    found = [
        _pooled(traffic_label(dict(given), named), dict(given), drafter, gamma, own)
        for (given, drafter, gamma), own in groups.items()
    ]
    reasons = [reason for _, reason in obstacles if reason is not None]
    counted = {reason: reasons.count(reason) for reason in dict.fromkeys(reasons)}
    said = tuple(
        f"{n} of {number_of(len(points), 'point')}: {reason}" for reason, n in counted.items()
    )
    return tuple(sorted(found, key=lambda g: (g.setting, g.drafter, g.gamma))), said


def _is_timing(name: str) -> bool:
    return name in _TIMING or name.startswith(("load.", "slo."))


def _obstacle(point: Point) -> str | None:
    """Why a point says nothing of acceptance."""
    if point.keys.get("acceptance") == FORCED:
        return "acceptance is simulated (acceptance=forced)"
    if point.text("lossless") == "false":
        return "its output is not the target's (lossless is false)"
    if has_tree(point):
        return "it verifies trees, which the acceptance of a chain's positions does not describe"
    if not is_plain(point):
        return "its scheduler chooses what is verified, which chooses what is accepted"
    if not trial_cycles(point) or not accepted_counts(point):
        return "its counts by position were not kept"
    return None


def _pooled(
    setting: str, given: Values, drafter: DrafterId, gamma: int, own: Sequence[Point]
) -> Golden:
    points = list({point.measurement: point for point in own}.values())
    cycles = sum(map(trial_cycles, points))
    counts = zip(*map(accepted_counts, points), strict=True)
    name = " ".join(filter(None, drafter[:2]))
    alone = points[0] if len(points) == 1 else None
    low, high = (
        None if alone is None else alone.number(f"accepted_length_ci_{end}")
        for end in ("low", "high")
    )
    accepted = tuple(int(sum(count)) for count in counts)
    return Golden(setting, given, name, drafter[2], gamma, cycles, accepted, low, high)


def minimum_variance(accepted_length: float, gamma: int) -> tuple[float, ...]:
    """Unconditional rates [gamma] of this mean with the least spread."""
    drafts = accepted_length - 1
    return tuple(min(1.0, max(0.0, drafts - k)) for k in range(gamma))


def constant_p(accepted_length: float, gamma: int) -> float:
    """The probability of each draft that is reached with which this many tokens are expected.

    Solves 1 + p + ... + p^gamma = accepted_length for p in [0, 1], by bisection.
    """
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        is_short = geometric_sum(middle, gamma) < accepted_length
        low, high = (middle, high) if is_short else (low, middle)
    return (low + high) / 2


def golden_lines(found: Sequence[Golden]) -> list[str]:
    """Acceptance on a screen: per entry its length, and the rates of every schedule."""
    lines = []
    for item in found:
        is_open = item.low is None or item.high is None
        ends = "" if is_open else f" [{item.low:.2f}-{item.high:.2f}]"
        lines.append(
            f"{item.label}: accepted length {item.accepted_length:.2f}{ends}, "
            f"{item.num_cycles} cycles"
        )
        p = constant_p(item.accepted_length, item.gamma)
        rates = {
            "measured histogram": item.measured,
            "minimum variance": minimum_variance(item.accepted_length, item.gamma),
            f"constant p = {p:.3f}": [p ** (k + 1) for k in range(item.gamma)],
        }
        lines += [f"  {name:<20}{_row(values)}" for name, values in rates.items()]
    return lines


def _row(rates: Sequence[float]) -> str:
    return " ".join(f"{rate:.3f}" for rate in rates)
