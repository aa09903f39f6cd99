"""S by a model: costs of a stored profile, tokens of a recorded or supposed acceptance.

Tokens per cycle: E = 1 + sum over k of the survival at k, the product of the conditional
acceptances up to k. The model leaves out what differs between cycles of one length, ends of texts,
and, for batches, prompts; where a measured point exists, how far off it was says what that costs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dspark_bench.core.errors import ResultsError, UsageError
from dspark_bench.export.schedule import at_once
from dspark_bench.metrics.intervals import Interval
from dspark_bench.metrics.theory import geometric_sum
from dspark_bench.report.recommend import few
from dspark_bench.whatif.base import Base
from dspark_bench.whatif.costs import Surface, costs_at


@dataclass(frozen=True, slots=True)
class Change:
    """What is supposed instead of the measured. At most one of the first three; draft_factor: what
    drafting's time is multiplied by.
    """

    alpha: float | None = None
    acceptance_scale: float | None = None
    accepted_length: float | None = None
    draft_factor: float = 1.0

    def __post_init__(self) -> None:
        """Raise UsageError for numbers that no acceptance and no cost can be."""
        given = {
            "--alpha": self.alpha,
            "--acceptance-scale": self.acceptance_scale,
            "--accepted-length": self.accepted_length,
        }
        named = [name for name, value in given.items() if value is not None]
        if len(named) > 1:
            raise UsageError(f"{' and '.join(named)} both say what is accepted; valid: one of them")
        if self.alpha is not None and not 0 <= self.alpha <= 1:
            raise UsageError(f"--alpha is {self.alpha}; valid: 0 to 1")
        for name, value in (
            ("--acceptance-scale", self.acceptance_scale),
            ("--draft-cost-factor", self.draft_factor),
        ):
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise UsageError(f"{name} is {value}; valid: 0 or more")
        length = self.accepted_length
        if length is not None and not (math.isfinite(length) and length >= 1):
            raise UsageError(f"--accepted-length is {length}; valid: 1 to gamma + 1")

    @property
    def words(self) -> str:
        """Such as `alpha 0.7, drafting x 0.5`; empty without a change."""
        parts = [
            (self.alpha, f"alpha {self.alpha}"),
            (self.acceptance_scale, f"acceptance x {self.acceptance_scale}"),
            (self.accepted_length, f"accepted length {self.accepted_length}"),
            (None if self.draft_factor == 1 else 1, f"drafting x {self.draft_factor}"),
        ]
        return ", ".join(text for value, text in parts if value is not None)


@dataclass(frozen=True, slots=True)
class Prediction:
    """One draft length at one load. emitted, speedup: as supposed; as_recorded, plain: with the
    recorded acceptance and the stored costs, None where no record is as long; measured: S of such a
    point, None without one; source: of the costs.
    """

    gamma: int
    requests: int
    emitted: float
    speedup: float
    as_recorded: float | None
    plain: float | None
    measured: Interval | None
    source: str

    @property
    def error(self) -> float | None:
        """The unchanged model over the measured S, minus 1; None where one of them is missing."""
        if self.plain is None or self.measured is None or not self.measured.value:
            return None
        return self.plain / self.measured.value - 1


def predict(
    base: Base,
    surfaces: Sequence[Surface],
    change: Change,
    gammas: Sequence[int],
    loads: Sequence[int],
    is_named: bool = False,
) -> tuple[tuple[Prediction, ...], tuple[str, ...]]:
    """Every length at every load, and why some cannot be predicted, a line each.

    is_named: the surface was named, so the points' own profiles are left out. Raises ResultsError,
    with the reasons, if nothing can be predicted.
    """
    found = [
        _predict(base, surfaces, change, gamma, requests, is_named)
        for requests in loads
        for gamma in gammas
    ]
    reasons = tuple(dict.fromkeys(item for item in found if isinstance(item, str)))
    predictions = tuple(item for item in found if isinstance(item, Prediction))
    if not predictions:
        raise ResultsError(f"nothing can be predicted: {few(reasons)}")
    return predictions, reasons


def _predict(
    base: Base,
    surfaces: Sequence[Surface],
    change: Change,
    gamma: int,
    requests: int,
    is_named: bool,
) -> Prediction | str:
    recorded = _recorded(base, gamma)
    emitted = _supposed(recorded, change, gamma)
    if isinstance(emitted, str):
        return f"gamma {gamma}: {emitted}"
    costs = costs_at(gamma, requests, base.points, surfaces, is_named)
    if isinstance(costs, str):
        return f"gamma {gamma}, {at_once(requests)}: {costs}"
    known = None if isinstance(recorded, str) else 1 + sum(_survival(recorded))
    return Prediction(
        gamma,
        requests,
        emitted,
        costs.speedup(emitted, change.draft_factor),
        known,
        None if known is None else costs.speedup(known, 1.0),
        base.measured(gamma, requests),
        costs.source,
    )


def _recorded(base: Base, gamma: int) -> tuple[float, ...] | str:
    """Conditional acceptance up to gamma, or why it is not known."""
    found = base.acceptance(gamma)
    if isinstance(found, str):
        return found
    known: list[float] = []
    for value in found.conditional:
        if value is None and 0.0 not in known:
            return f"no draft was ever decided at position {len(known) + 1}"
        known.append(value or 0.0)  # behind a position where none stood, none was decided
    return tuple(known)


def _supposed(recorded: tuple[float, ...] | str, change: Change, gamma: int) -> float | str:
    """Tokens per cycle as supposed, or why they cannot be said."""
    if change.alpha is not None:
        return geometric_sum(change.alpha, gamma)
    if change.accepted_length is not None:
        if change.accepted_length > gamma + 1:
            return f"--accepted-length is {change.accepted_length}; valid: 1 to {gamma + 1}"
        return change.accepted_length
    if isinstance(recorded, str):
        return recorded
    if change.acceptance_scale is not None:
        most = 1 / max(recorded) if max(recorded) > 0 else math.inf
        if change.acceptance_scale > most:
            return (
                f"--acceptance-scale is {change.acceptance_scale}, and {max(recorded):.3f} is "
                f"accepted at a position; valid: 0 to {most:.3f}"
            )
        recorded = tuple(change.acceptance_scale * value for value in recorded)
    return 1 + sum(_survival(recorded))


def _survival(conditional: Sequence[float]) -> list[float]:
    """Running products."""
    found, product = [], 1.0
    for value in conditional:
        product *= value
        found.append(product)
    return found
