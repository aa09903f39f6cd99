"""What a cycle costs, from steady cycles without prefill work. Empty case: NaN."""

import numpy as np

from dspark_bench.metrics.sums import FloatArray, Sums, ratio


def baseline_step_s(sums: Sums) -> FloatArray:
    """t_1, seconds: mean duration of a whole baseline decode step."""
    return ratio(sums.baseline_step_s, sums.baseline_steps)


def cycle_s(sums: Sums) -> FloatArray:
    """Mean duration of a speculative cycle, seconds: all of its stages."""
    parts = sums.draft_s + sums.schedule_s + sums.verify_s + sums.accept_s + sums.engine_s
    return ratio(parts, sums.steps)


def draft_cost_ratio(sums: Sums, gamma: int) -> FloatArray:
    """c = t_draft(gamma)/(gamma * t_1), from cycles whose longest draft was gamma.

    Dimensionless: one drafted token in units of a baseline step. NaN without such cycles.
    """
    if gamma < 1:
        return np.full_like(sums.cycles, np.nan)
    drafting_s = ratio(sums.full_draft_s, sums.full_drafts)
    return ratio(drafting_s, gamma * baseline_step_s(sums))


def baseline_floor_ratio(sums: Sums, floor_step_s: float | None) -> FloatArray:
    """t_1 over the bandwidth floor of one step: how slow the baseline is; NaN without a floor."""
    return baseline_step_s(sums) / (floor_step_s or np.nan)


def stage_times_s(sums: Sums) -> dict[str, float]:
    """Mean seconds per speculative cycle and stage: t_draft_s, t_schedule_s, ... t_engine_s."""
    parts = {
        "t_draft_s": sums.draft_s,
        "t_schedule_s": sums.schedule_s,
        "t_verify_s": sums.verify_s,
        "t_accept_s": sums.accept_s,
        "t_engine_s": sums.engine_s,
    }
    return {name: float(ratio(part, sums.steps)) for name, part in parts.items()}
