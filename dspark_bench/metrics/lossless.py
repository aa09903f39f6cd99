"""Is speculation lossless? Greedy outputs of both arms, compared up to the first divergence.

A batch of another shape changes logits in their last digits, so a greedy token may flip where two
logits nearly tie; from there on the contexts differ and nothing is compared. A control, baseline
against baseline at another batch size, says how often that happens without speculation.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final, Literal

import numpy as np
import pandas as pd

from dspark_bench.core.near_tie import is_near_tie
from dspark_bench.metrics.frames import BASELINE, SPECULATIVE, measured, served

PAIR_KEY: Final = ["repeat", "block", "prompt_id", "occurrence"]
LOSSY: Final[Literal["lossy"]] = "lossy"
_OUTPUT: Final = ("output_tokens", "margins", "tie_limits")

Evidence = Literal["exact", "near_tie", "verified", "violated", "untested", "simulated", "lossy"]
"""`verified`: sampled output that passed the distribution checks; `untested`: none were run;
`lossy`: the rule that judges drafts does not keep the target's law, nor means to."""


@dataclass(frozen=True, slots=True)
class Divergence:
    """First token at which two outputs of a prompt differ.

    position: index in the output; margin: the smaller of the two arms' logit margins there,
    negative where an arm emitted a token that was not its largest, None where neither was recorded;
    is_near_tie: whether rounding explains both (`core.near_tie`).
    """

    prompt_id: str
    position: int
    margin: float | None
    is_near_tie: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """Pairs of outputs compared. num_unpaired: outputs without a counterpart."""

    num_compared: int
    num_unpaired: int
    divergences: tuple[Divergence, ...]

    @property
    def num_diverged(self) -> int:
        """Pairs that differ somewhere."""
        return len(self.divergences)

    @property
    def evidence(self) -> Evidence:
        """The worst finding; `untested` if nothing could be compared."""
        if not self.num_compared:
            return "untested"
        if not self.divergences:
            return "exact"
        is_excused = all(divergence.is_near_tie for divergence in self.divergences)
        return "near_tie" if is_excused else "violated"


@dataclass(frozen=True, slots=True)
class LosslessResult:
    """comparison: the arms' greedy outputs, None for sampled ones; control: baseline against
    baseline; has_passed_distribution: verdict of the distribution checks for sampled output, if
    run; is_simulated: verdicts came from a stated profile, so no output is evidence; failed_checks:
    which distribution checks failed in this run, with their figures; is_lossy: the rule itself
    departs from the target's law, whatever an output looks like.
    """

    comparison: Comparison | None = None
    control: Comparison | None = None
    has_passed_distribution: bool | None = None
    is_simulated: bool = False
    failed_checks: tuple[str, ...] = ()
    is_lossy: bool = False

    @property
    def evidence(self) -> Evidence:
        """`lossless_evidence` of summary.csv."""
        if self.is_simulated:
            return "simulated"
        if self.is_lossy:
            return LOSSY
        if self.comparison is not None:
            return self.comparison.evidence
        return evidence_of(self.has_passed_distribution)

    @property
    def is_lossless(self) -> bool | None:
        """True: exact, or distribution checks passed; False: violated or failed; None: open."""
        if self.evidence in ("exact", "verified"):
            return True
        if self.evidence in ("violated", "simulated", LOSSY):
            return False
        return self.has_passed_distribution

    def as_json(self) -> dict[str, object]:
        """Evidence, counts and every divergence with its margin."""
        return {"lossless": self.is_lossless, "evidence": self.evidence, **asdict(self)}


def evidence_of(has_passed_distribution: bool | None) -> Evidence:
    """What a verdict on sampled output is called."""
    if has_passed_distribution is None:
        return "untested"
    return "verified" if has_passed_distribution else "violated"


def check_greedy(requests: pd.DataFrame, control: pd.DataFrame | None = None) -> LosslessResult:
    """Compare the arms of a greedy point; warm-up and requests that were not served are left out.

    control: requests of a baseline run at another batch size; its prompts are matched with the
    first baseline output of each.
    """
    answered = served(requests)
    baseline = measured(answered, BASELINE)
    comparison = compare_outputs(measured(answered, SPECULATIVE), baseline, PAIR_KEY)
    if control is None:
        return LosslessResult(comparison)
    first = baseline.drop_duplicates("prompt_id")
    other = control.drop_duplicates("prompt_id")
    return LosslessResult(comparison, compare_outputs(other, first, ["prompt_id"]))


def compare_outputs(left: pd.DataFrame, right: pd.DataFrame, key: Sequence[str]) -> Comparison:
    """Compare outputs that agree in `key`; `occurrence` counts a prompt's repetitions in a turn."""
    pairs = _numbered(left, key).merge(
        _numbered(right, key), on=list(key), how="outer", indicator=True
    )
    both = pairs[pairs["_merge"] == "both"]
    ours, theirs = (
        map(_Output, *(both[f"{name}_{side}"] for name in _OUTPUT)) for side in ("x", "y")
    )
    found = map(_first_divergence, both["prompt_id"], ours, theirs)
    divergences = tuple(divergence for divergence in found if divergence is not None)
    return Comparison(len(both), len(pairs) - len(both), divergences)


def _numbered(requests: pd.DataFrame, key: Sequence[str]) -> pd.DataFrame:
    """The key and the outputs. Older results know no limits of ties: float32's holds for them."""
    turn = ["repeat", "block", "prompt_id"]
    known = requests.assign(occurrence=requests.groupby(turn).cumcount())
    if "tie_limits" not in known:
        known = known.assign(tie_limits=None)
    return known[[*key, *_OUTPUT]]


@dataclass(frozen=True, slots=True)
class _Output:
    tokens: Sequence[int]
    margins: Sequence[float] | None
    tie_limits: Sequence[float] | None

    def at(self, position: int) -> tuple[list[float], list[float]]:
        """Margin and limit there, each as a list of none or one."""
        margins, limits = (
            [] if known is None else [float(value) for value in known[position : position + 1]]
            for known in (self.margins, self.tie_limits)
        )
        return margins, limits


def _first_divergence(prompt_id: str, left: _Output, right: _Output) -> Divergence | None:
    """None if both are equal. An output that merely ends earlier diverges at its end."""
    shared = min(len(left.tokens), len(right.tokens))
    ours = np.asarray(left.tokens[:shared], dtype=np.int64)
    theirs = np.asarray(right.tokens[:shared], dtype=np.int64)
    unequal = np.flatnonzero(ours != theirs)
    if not unequal.size and len(left.tokens) == len(right.tokens):
        return None
    position = int(unequal[0]) if unequal.size else shared
    (ours_there, our_limit), (theirs_there, their_limit) = left.at(position), right.at(position)
    margins = [*ours_there, *theirs_there]
    is_tie = bool(unequal.size) and is_near_tie(margins, [*our_limit, *their_limit])
    return Divergence(prompt_id, position, min(margins, default=None), is_tie)
