"""Speedup without running it: the i.i.d. formula, and a prediction from measured costs.

`speedup_theory`: Leviathan et al. 2023, Theorem 3.8. `speedup_model`: costs of `profile` with the
survival of other prompts than the run's, never fitted to the run that it predicts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from dspark_bench.metrics.sums import FloatArray

Number = TypeVar("Number", float, FloatArray)


@dataclass(frozen=True, slots=True)
class CostProfile:
    """Measured costs in seconds; the index of a tuple is a number of draft tokens, from 0.

    step_s: a whole baseline decode step; verify_s[l]: the target pass over 1 + l tokens;
    draft_s[g]: proposing g tokens and absorbing committed ones; overhead_s[g]: schedule, accept
    and the rest of a speculative cycle; prefill_s: the prompt pass that emits the first token;
    draft_prefill_s: the drafter's absorption of the prompt.
    """

    step_s: float
    verify_s: tuple[float, ...]
    draft_s: tuple[float, ...]
    overhead_s: tuple[float, ...]
    prefill_s: float
    draft_prefill_s: float

    def cycle_s(self, gamma: int) -> float:
        """Seconds of a speculative cycle that drafts and verifies gamma tokens."""
        return self.draft_s[gamma] + self.verify_s[gamma] + self.overhead_s[gamma]


def geometric_sum(alpha: Number, length: int) -> Number:
    """(1 - alpha^(length+1))/(1 - alpha) = 1 + alpha + ... + alpha^length.

    Tokens expected from a cycle that verifies `length` drafts, each accepted with probability
    alpha. The sum form needs no special case at alpha = 1, where it is length + 1.
    """
    total = alpha * 0 + 1
    for _ in range(length):
        total = total * alpha + 1
    return total


def speedup_theory(alpha: Number, gamma: int, draft_cost_ratio: Number) -> Number:
    """S = (1 - alpha^(gamma+1))/((1 - alpha)(gamma*c + 1)); (gamma+1)/(gamma*c + 1) at alpha = 1.

    Raises ValueError if gamma < 1. NaN in, NaN out.
    """
    if gamma < 1:
        raise ValueError(f"gamma is {gamma}; valid: 1 or more (no speculation has no theory)")
    return geometric_sum(alpha, gamma) / (gamma * draft_cost_ratio + 1)


def expected_emitted(survival: Sequence[float], gamma: int) -> float:
    """E = 1 + survival[1] + ... + survival[gamma], tokens per cycle, bonus included.

    `survival` starts at position 1. Raises ValueError if it ends before gamma.
    """
    if len(survival) < gamma:
        raise ValueError(f"survival covers {len(survival)} positions; needed: gamma = {gamma}")
    return 1.0 + sum(survival[:gamma])


def expected_tree_length(survival: Sequence[float]) -> float:
    """1 + the sum of the nodes' survivals: tokens expected of a cycle that verifies such a tree.

    Each accepted depth is one node that stood, so the expected depth is the sum over nodes of their
    chances to stand, whatever the shape; siblings exclude one another, which their chances say.
    Of a chain this is `expected_emitted`.
    """
    return 1.0 + float(sum(survival))


def speedup_model(
    profile: CostProfile, survival: Sequence[float], gamma: int, mean_output_tokens: float
) -> float:
    """Predicted S of requests with n output tokens each, the first one from the prefill.

    S = [prefill_s + (n-1)*step_s] / [prefill_s + draft_prefill_s + (n-1)/E * cycle_s(gamma)].
    Raises ValueError if the profile or the survival ends before gamma.
    """
    return speedup_of_length(profile, expected_emitted(survival, gamma), gamma, mean_output_tokens)


def speedup_of_length(
    profile: CostProfile, emitted_length: float, gamma: int, mean_output_tokens: float
) -> float:
    """The same for E = emitted_length tokens per cycle. Raises ValueError if the profile ends
    before gamma.
    """
    longest = min(len(profile.verify_s), len(profile.draft_s), len(profile.overhead_s)) - 1
    if gamma > longest:
        raise ValueError(f"the profile covers draft lengths 0..{longest}; needed: gamma = {gamma}")
    following = mean_output_tokens - 1
    num_cycles = following / emitted_length
    baseline_s = profile.prefill_s + following * profile.step_s
    speculative_s = profile.prefill_s + profile.draft_prefill_s
    return baseline_s / (speculative_s + num_cycles * profile.cycle_s(gamma))
