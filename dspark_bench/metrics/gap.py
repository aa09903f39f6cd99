"""Why the measured speedup is not the theoretical one: a waterfall of one replacement at a time.

S0 theory -> S1 truncation -> S2 non-iid -> S3 draft cost -> S4 verify cost -> S5 overhead ->
S6 measured. The terms are differences of neighbours, so they add up to measured - theory; a term
may be negative. c, v and t_1 come from steady cycles without prefill work.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from dspark_bench.metrics.acceptance import alpha, emitted_length
from dspark_bench.metrics.costs import baseline_step_s, draft_cost_ratio, stage_times_s
from dspark_bench.metrics.frames import decode_cycles
from dspark_bench.metrics.sums import Sums
from dspark_bench.metrics.theory import geometric_sum

GAP_TERMS: Final = (
    "truncation",
    "non_iid",
    "draft_cost",
    "verify_cost",
    "overhead",
    "prefill_and_batching",
)


@dataclass(frozen=True, slots=True)
class SpeedupGap:
    """stages: S0..S6, dimensionless; NaN where a quantity does not exist (no drafter)."""

    stages: tuple[float, ...]

    @property
    def terms(self) -> dict[str, float]:
        """S[i+1] - S[i] by name."""
        steps = zip(GAP_TERMS, self.stages, self.stages[1:], strict=False)
        return {name: after - before for name, before, after in steps}


def speedup_gap(cycles: pd.DataFrame, total: Sums, gamma: int, measured: float) -> SpeedupGap:
    """The seven stages. total: sums over all units; measured: S on the point's basis.

    All but the last are NaN without draft trials, draft times or baseline steps.
    """
    rate, step_s = float(alpha(total)), float(baseline_step_s(total))
    times = {name: value / step_s for name, value in stage_times_s(total).items()}
    modelled_cost = 1 + gamma * float(draft_cost_ratio(total, gamma))
    draft, verify = times["t_draft_s"], times["t_verify_s"]
    rest = times["t_schedule_s"] + times["t_accept_s"] + times["t_engine_s"]
    emitted = float(emitted_length(total))
    return SpeedupGap(
        (
            geometric_sum(rate, gamma) / modelled_cost,
            _truncated_length(cycles, rate) / modelled_cost,
            emitted / modelled_cost,
            emitted / (1 + draft),
            emitted / (verify + draft),
            emitted / (verify + draft + rest),
            measured,
        )
    )


def no_gap(measured: float) -> SpeedupGap:
    """Of trees, which the theory that the stages start from does not know: the last stage alone."""
    return SpeedupGap((*(float("nan"),) * len(GAP_TERMS), measured))


def _truncated_length(cycles: pd.DataFrame, rate: float) -> float:
    """Mean over decode cycles of (1 - alpha^(l+1))/(1 - alpha); NaN without cycles."""
    lengths = decode_cycles(cycles)["verify_len"].to_numpy(dtype=np.int64)
    if lengths.size == 0:
        return float("nan")
    counts = np.bincount(lengths)
    expected = [geometric_sum(rate, length) for length in range(counts.size)]
    return float(counts @ np.asarray(expected) / lengths.size)
