"""Which cycles a learning cost reads, what it takes from each, and when it says that it changed."""

from dataclasses import replace

import numpy as np
import pytest

from dspark_bench.core.cost_surface import CostSurface
from dspark_bench.costs.online import OnlineCost
from dspark_bench.costs.profiled import ProfiledCost
from dspark_bench.schedulers.cycle_times import VerifyTimes
from tests.costs.test_costs import SURFACE, records
from tests.schedulers.test_schedulers import context


def test_every_cycle_that_is_learned_from_is_announced() -> None:
    """One request, two drafts verified: 2 s as profiled; then cycles of 8 s, four times as long."""
    cost = OnlineCost(SURFACE, memory_cycles=2.0)
    times = VerifyTimes(cost, is_convex=False)
    found = [times.of(context(1, 2), [2])[-1]]
    for _ in range(6):
        cost.observe(records(8.0, 0.4, [2]))
        found.append(times.of(context(1, 2), [2])[-1])
    assert np.all(np.diff(found) > 0)
    assert cost.version == 6


def test_a_cycle_that_reads_a_prompt_is_neither_learned_from_nor_announced() -> None:
    cost = OnlineCost(SURFACE)
    cost.observe(records(2.0, 0.4, [2]))
    before, version = cost.factors, cost.version
    cost.observe(records(50.0, 50.0, [2], has_prefill=True))
    cost.observe([])
    assert (cost.factors, cost.version) == (before, version)


def test_a_step_is_a_cycle_but_for_drafting() -> None:
    """Drafting takes three times as long as profiled, the step exactly as long."""
    cost = OnlineCost(SURFACE)
    for _ in range(100):
        cost.observe(records(8.0, 3 * 0.8, [2, 2, 2, 2]))
    level, added, drafting = cost.factors
    assert (level, added) == pytest.approx((1.0, 1.0))
    assert drafting == pytest.approx(3.0, rel=0.01)


def test_the_drafters_reading_follows_its_machine() -> None:
    """A step of 4 s for four requests, and 0.1 s of reading, which takes three times as long."""
    cost = OnlineCost(SURFACE)
    for _ in range(100):
        cost.observe(records(4.0, 0.3, [0, 0, 0, 0]))
    found = cost.step_s(4, np.array([4])), cost.convex_step_s(4, np.array([4]))
    np.testing.assert_allclose(found, [[4.3], [4.3]], rtol=1e-3)


def test_drafting_is_judged_by_what_was_drafted_whatever_was_verified() -> None:
    """Four requests draft three each, 1.1 s as profiled, and one of each is verified: 6 s."""
    cost = OnlineCost(SURFACE)
    for _ in range(60):
        cycle = records(6.0, 1.1, [3, 3, 3, 3])
        cost.observe([replace(r, verify_len=1, batch_tokens=8) for r in cycle])
    assert cost.factors == pytest.approx((1.0, 1.0, 1.0))


def test_what_being_uneven_costs_is_known_and_surprises_nobody() -> None:
    """Verify lengths 3, 1, 2, 2: eight drafts, 8 s, and 0.4 s for being uneven."""
    cost = OnlineCost(SURFACE)
    for lens in ([3, 1, 2, 2], [3, 1, 3, 1]):
        for _ in range(50):
            cycle = records(8.4, 0.1 + 1.0 * sum(lens) / 12, lens)
            cost.observe(cycle)
    level, added, _ = cost.factors
    assert (level, added) == pytest.approx((1.0, 1.0), abs=1e-6)


def test_being_uneven_grows_dearer_with_what_drafts_add() -> None:
    """A machine three times as slow."""
    cost = OnlineCost(SURFACE)
    for cycle in range(120):
        lens, step_s, draft_s = ([2] * 4, 24.0, 2.4) if cycle % 2 else ([1] * 4, 18.0, 1.5)
        cost.observe(records(step_s, draft_s, lens))
    assert cost.uneven_s(4) == pytest.approx(3 * 0.4, rel=0.15)


def test_a_stall_moves_the_level_by_the_clip_at_most() -> None:
    """A cycle a thousand times as long as profiled counts as one and a half times as long."""
    found = []
    for step_s in (12.0, 8000.0):
        cost = OnlineCost(SURFACE, memory_cycles=12.0, clip=0.5)
        cost.observe(records(step_s, 0.8, [2, 2, 2, 2]))
        found.append(cost.factors[0])
    assert found[0] == pytest.approx(found[1])
    assert 1.03 < found[0] < 1.05


def test_every_batch_size_has_a_usual_share_of_its_own() -> None:
    """One request, no drafts, and four of two each, both twice as slow as profiled.

    Neither size varies, so neither says anything about what drafts add beside the rest.
    """
    cost = OnlineCost(SURFACE)
    for cycle in range(200):
        cost.observe(records(16.0, 1.6, [2] * 4) if cycle % 2 else records(2.0, 0.2, [0]))
    level, added, _ = cost.factors
    assert level == pytest.approx(2.0, rel=0.01)
    assert added / level == pytest.approx(1.0, rel=0.01)


DIPPED = CostSurface(
    requests=(1,),
    widths=(0, 1, 2, 3),
    step_s=((1.0, 5.0, 3.0, 4.0),),
    slots=(1, 3),
    draft_s=((0.2, 0.8),),
    absorb_s=(0.5,),
    uneven_s=(0.0,),
)
"""Verifying one draft was measured as dearer than two: the envelope there is 1 + 2 s."""


@pytest.mark.parametrize("is_first", [True, False])
def test_the_curve_as_measured_and_its_envelope_are_two(is_first: bool) -> None:
    """Whichever is asked for first; both with the drafter's reading."""
    cost = ProfiledCost(DIPPED)
    tokens = np.array([1, 2, 3, 4])
    if is_first:
        cost.convex_step_s(1, tokens)
    np.testing.assert_allclose(cost.step_s(1, tokens), [1.5, 5.5, 3.5, 4.5])
    np.testing.assert_allclose(cost.convex_step_s(1, tokens), [1.5, 2.5, 3.5, 4.5])


def test_proposing_by_draft_length_and_for_nobody() -> None:
    """0.2 s for one slot, 0.8 for three, so 0.5 for two."""
    cost = ProfiledCost(DIPPED)
    found = [cost.draft_s(np.array([0.0, 1.0]), slots).tolist() for slots in (1, 2, 3)]
    assert found == [pytest.approx([0.0, value]) for value in (0.2, 0.5, 0.8)]


def test_past_the_last_width_the_last_slope_goes_on() -> None:
    """1 s more per draft beyond three, on both curves."""
    cost = ProfiledCost(DIPPED)
    tokens = np.array([4, 6])
    np.testing.assert_allclose(cost.step_s(1, tokens), [4.5, 6.5])
    np.testing.assert_allclose(cost.convex_step_s(1, tokens), [4.5, 6.5])
