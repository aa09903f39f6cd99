"""The figures of a point that carry a 95 % interval, each a formula over its pooled sums."""

from typing import Final

import numpy as np

from dspark_bench.metrics import acceptance, costs, speed, theory
from dspark_bench.metrics.jackknife import Formula
from dspark_bench.metrics.sums import FloatArray, Pooling, Sums

SHARES: Final[dict[str, Formula]] = {
    "acceptance_rate": lambda sums: sums.trial_verified,
    "alpha": lambda sums: sums.trial_accepted + sums.trial_rejected,
    "acceptance_rate_scheduled": lambda sums: sums.verified,
    "slo_attainment": lambda sums: sums.arrived,
    "baseline_slo_attainment": lambda sums: sums.baseline_arrived,
}
"""Figures between 0 and 1, and what they are a share of."""


def headline_formulas(pooling: Pooling, speedup: Formula) -> dict[str, Formula]:
    """By name of the column. speedup: S on the point's basis; gamma 0: no drafter, no theory; nor
    is there one of trees.
    """
    gamma, slo = pooling.gamma, pooling.slo

    def with_slo(formula: Formula) -> Formula:
        """The formula where there is an objective, else NaN."""
        return formula if slo.is_set else lambda sums: np.full_like(sums.met, np.nan)

    def speedup_theory(sums: Sums) -> FloatArray:
        if gamma < 1 or pooling.is_tree:
            return np.full_like(sums.cycles, np.nan)
        cost = costs.draft_cost_ratio(sums, gamma)
        return theory.speedup_theory(acceptance.alpha(sums), gamma, cost)

    return {
        "accepted_length": acceptance.accepted_length,
        "acceptance_rate": acceptance.acceptance_rate,
        "alpha": acceptance.alpha,
        "draft_cost_ratio": lambda sums: costs.draft_cost_ratio(sums, gamma),
        "speedup": speedup,
        "speedup_e2e": speed.speedup_e2e,
        "speedup_theory": speedup_theory,
        "goodput_req_s": with_slo(speed.goodput_req_s),
        "slo_attainment": with_slo(speed.slo_attainment),
        "baseline_goodput_req_s": with_slo(speed.baseline_goodput_req_s),
        "baseline_slo_attainment": with_slo(speed.baseline_slo_attainment),
        "acceptance_rate_scheduled": acceptance.acceptance_rate_scheduled,
        "verify_budget": acceptance.verify_budget,
        "throughput_tok_s": speed.throughput_tok_s,
        "baseline_tok_s": speed.baseline_tok_s,
        "tok_s_per_user": speed.tok_s_per_user,
        "baseline_tok_s_per_user": speed.baseline_tok_s_per_user,
        "cycle_s": costs.cycle_s,
        "baseline_step_s": costs.baseline_step_s,
    }
