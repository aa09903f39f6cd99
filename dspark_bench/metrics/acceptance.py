"""How much of what is drafted stands. Pure ratios over `Sums`; dimensionless or tokens per cycle.

l verified, a accepted drafts of a cycle, R decode cycles. Empty case of every function: NaN.
"""

from typing import Final

from dspark_bench.metrics.sums import FloatArray, Sums, ratio

FOREIGN_LENGTH: Final = 1.1
FOREIGN_RATE: Final = 0.1
FOREIGN: Final = (
    f"accepted length below {FOREIGN_LENGTH}: next to no draft is accepted (another target, layout "
    "or layer ids?)"
)
"""Misread checkpoints show 1.00 to 1.1 tokens a cycle, the weakest real drafters more."""


def accepted_length(sums: Sums) -> FloatArray:
    """Tau = 1 + sum(a)/R, tokens per cycle with the bonus token (the paper's accepted length)."""
    return 1 + ratio(sums.accepted, sums.cycles)


def emitted_length(sums: Sums) -> FloatArray:
    """sum(num_emitted)/R, tokens per cycle that reach the user: what speed is made of."""
    return ratio(sums.emitted, sums.cycles)


def acceptance_rate(sums: Sums) -> FloatArray:
    """sum(a)/sum(l): share of verified draft tokens accepted. Falls with gamma by arithmetic."""
    return ratio(sums.trial_accepted, sums.trial_verified)


def acceptance_rate_scheduled(sums: Sums) -> FloatArray:
    """`acceptance_rate` over all cycles, those that a selective scheduler shaped included."""
    return ratio(sums.accepted, sums.verified)


def alpha(sums: Sums) -> FloatArray:
    """sum(a)/(sum(a) + sum(is_rejected)): acceptances over trials decided.

    The maximum-likelihood estimate for i.i.d. acceptance. An accepted end of sequence or a length
    cut is no trial lost.
    """
    return ratio(sums.trial_accepted, sums.trial_accepted + sums.trial_rejected)


def alpha_scheduled(sums: Sums) -> FloatArray:
    """`alpha` over all cycles: under a selective scheduler it speaks of the confident positions."""
    return ratio(sums.accepted, sums.accepted + sums.rejected)


def verified_waste(sums: Sums) -> FloatArray:
    """1 - sum(a)/sum(l): share of verified draft tokens thrown away."""
    return 1 - acceptance_rate_scheduled(sums)


def verify_budget(sums: Sums) -> FloatArray:
    """mean(1 + l), target rows per request and cycle: the axis of the paper's Figure 8."""
    return 1 + ratio(sums.verified, sums.cycles)


def is_foreign(length: float | None, rate: float | None) -> bool:
    """Whether a drafter looks as if it was made for another target, or is read wrongly.

    length, rate: the accepted length and the acceptance rate, None where there was none. A
    scheduler that verifies little makes lengths short too, but not the rate small.
    """
    return (
        length is not None and rate is not None and length < FOREIGN_LENGTH and rate < FOREIGN_RATE
    )
