"""The waterfall from theory to measured."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dspark_bench.metrics.gap import GAP_TERMS, speedup_gap
from dspark_bench.metrics.speed import speedup_closed
from dspark_bench.metrics.theory import speedup_theory
from tests.metrics.records import cycle, drafted, numbered, total_of


def test_stages_by_hand() -> None:
    shared = {"t_draft_s": 0.4, "t_verify_s": 1.2, "t_engine_s": 0.2}
    rows = [
        drafted(2, 2, **shared),
        drafted(2, 0, True, **shared),
        drafted(1, 1, **(shared | {"t_draft_s": 0.1})),
        cycle(arm="baseline"),
        cycle(arm="baseline"),
    ]
    # alpha = 3/4; t_1 = 1; c = .4/2 = .2; gamma*c + 1 = 1.4; mean t_draft = .3
    total = total_of(rows, gamma=2)
    gap = speedup_gap(numbered(rows), total, 2, float(speedup_closed(total)))
    two, one = 1 + 0.75 + 0.75**2, 1.75
    assert gap.stages == pytest.approx(
        (
            two / 1.4,
            (2 * two + one) / 3 / 1.4,
            2 / 1.4,  # emitted: 3 + 1 + 2 tokens in 3 cycles
            2 / 1.3,
            2 / 1.5,
            2 / 1.7,
            6 / 5.1,
        )
    )
    assert tuple(gap.terms) == GAP_TERMS


cycles_drawn = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 5), st.booleans(), st.floats(1e-3, 1.0)),
    min_size=1,
    max_size=20,
)


@settings(max_examples=60, deadline=None)
@given(cycles_drawn, st.lists(st.floats(1e-3, 1.0), min_size=1, max_size=5))
def test_terms_sum_to_measured_minus_theory(
    drawn: list[tuple[int, int, bool, float]], steps: list[float]
) -> None:
    gamma = 5
    rows = [drafted(5, 2, True)]
    for length, accepted, rejected, seconds in drawn:
        kept = min(length, accepted)
        rows.append(drafted(length, kept, rejected and kept < length, t_accept_s=seconds))
    rows += [cycle(arm="baseline", t_verify_s=seconds) for seconds in steps]
    total = total_of(rows, gamma=gamma)
    measured = float(speedup_closed(total))
    gap = speedup_gap(numbered(rows), total, gamma, measured)
    decided = total.accepted + total.rejected
    cost = 0.4 / (gamma * float(np.mean(steps)))
    theory = speedup_theory(float(total.accepted / decided), gamma, cost)
    assert gap.stages[0] == pytest.approx(theory)
    assert math.fsum(gap.terms.values()) == pytest.approx(measured - theory, abs=1e-9, rel=1e-9)


def test_without_drafts_there_is_no_gap() -> None:
    rows = [cycle(), cycle(arm="baseline")]
    gap = speedup_gap(numbered(rows), total_of(rows), 4, 1.0)
    assert gap.stages[-1] == 1.0
    assert all(math.isnan(stage) for stage in gap.stages[:2])
    assert all(math.isnan(value) for value in list(gap.terms.values())[:1])
