"""Do both arms answer alike? Lengths and end-of-text shares, paired by prompt.

An exact engine's arms draw from one law, so that over prompts neither differs by more than chance.
A warning is given at 1 % (both figures together): one sound run in a hundred at most.
"""

from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
import pandas as pd

from dspark_bench.metrics.exact_share import exact_share
from dspark_bench.metrics.frames import BASELINE, SPECULATIVE, measured, served_by_both
from dspark_bench.metrics.log_ratio import MIN_UNITS, NO_SCATTER, SHARE
from dspark_bench.metrics.strata import widening
from dspark_bench.metrics.student import both_tails, two_sided
from dspark_bench.metrics.units import FloatArray

ERROR: Final = 0.01
_FIGURES: Final = 2
_END: Final = "eos"


@dataclass(frozen=True, slots=True)
class Difference:
    """A mean over prompts of each arm, speculative less baseline with its 95 % interval, and the
    chance of such a difference between equal arms.

    low, high: None where all prompts differ by the same number of tokens, which leaves no scatter
    to judge by.
    """

    speculative: float
    baseline: float
    value: float
    low: float | None
    high: float | None
    p_value: float

    def text(self, form: str) -> str:
        """Value and interval, each formatted as `form`: `-4.0 (-6.0 to -2.0)`."""
        ends = self.low, self.high
        if ends[0] is None or ends[1] is None:
            return f"{self.value:{form}} in every prompt"
        return f"{self.value:{form}} ({ends[0]:{form}} to {ends[1]:{form}})"


@dataclass(frozen=True, slots=True)
class ArmOutputs:
    """output_tokens: per request; end_share: of requests that ended with an end-of-text token."""

    num_prompts: int
    output_tokens: Difference
    end_share: Difference

    def as_json(self) -> dict[str, object]:
        """Numbers, and under `warnings` what differs by more than chance."""
        return {**asdict(self), "warnings": list(self.warnings())}

    def warnings(self) -> tuple[str, ...]:
        """A line for each figure that differs by more than chance."""
        if self.num_prompts < MIN_UNITS:
            return ()
        tokens, ends = self.output_tokens, self.end_share
        found = []
        if tokens.p_value * _FIGURES <= ERROR:
            found.append(
                f"the speculative arm's outputs differ in length from the baseline's: "
                f"{tokens.speculative:.1f} tokens against {tokens.baseline:.1f}, difference "
                f"{tokens.text('+.1f')}"
            )
        if ends.p_value * _FIGURES <= ERROR:
            found.append(
                f"{ends.speculative:.0%} of the speculative arm's outputs end with an end-of-text "
                f"token, {ends.baseline:.0%} of the baseline's; difference {ends.text('+.0%')}"
            )
        over = f" over {self.num_prompts} prompts: more than chance; is the output the target's?"
        return tuple(line + over for line in found)


def compare_outputs(requests: pd.DataFrame, share: float = SHARE) -> ArmOutputs | None:
    """The measured requests that both arms answered; None with fewer than two such prompts.

    share: what intervals are to cover.
    """
    rows = served_by_both(measured(requests))
    rows = rows.assign(
        tokens=rows["output_tokens"].map(len), is_ended=rows["finish_reason"] == _END
    )
    means = rows.groupby(["prompt_id", "arm"])[["tokens", "is_ended"]].mean().unstack("arm")
    means = means.dropna()
    arms = set(means.columns.get_level_values("arm"))
    if len(means) < 2 or arms != {BASELINE, SPECULATIVE}:
        return None

    def difference(name: str, is_share: bool) -> Difference:
        ours, theirs = (means[name, arm].to_numpy(np.float64) for arm in (SPECULATIVE, BASELINE))
        return mean_difference(ours, theirs, is_share, share)

    return ArmOutputs(len(means), difference("tokens", False), difference("is_ended", True))


def mean_difference(
    speculative: FloatArray, baseline: FloatArray, is_share: bool = False, share: float = SHARE
) -> Difference:
    """Of one figure [P] of each arm, paired by prompt: Student's t, widened as `log_ratio` does.

    Where all prompts differ by the same: the sign test's chance, and for a share, whose differences
    lie in [-1, 1], the exact interval of so many prompts.
    """
    apart = speculative - baseline
    num_prompts, value = len(apart), float(apart.mean())
    means = float(speculative.mean()), float(baseline.mean())
    error = float(apart.std(ddof=1)) / np.sqrt(num_prompts)
    if error <= NO_SCATTER:
        p_value = 1.0 if abs(value) <= NO_SCATTER else 2.0 ** (1 - num_prompts)
        if not is_share:
            return Difference(*means, value, None, None, p_value)
        low, high = exact_share((1 + value) / 2, num_prompts, share)
        return Difference(*means, value, 2 * low - 1, 2 * high - 1, p_value)
    p_value = both_tails(value / error / widening(num_prompts), num_prompts - 1)
    reach = widening(num_prompts) * two_sided(share, num_prompts - 1) * error
    return Difference(*means, value, float(value - reach), float(value + reach), p_value)
