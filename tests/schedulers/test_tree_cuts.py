"""Trees cut to their first nodes, by hand."""

from dataclasses import replace

import numpy as np
import pytest

from dspark_bench.core.records import CycleRecord
from dspark_bench.core.types import PlanContext
from dspark_bench.schedulers.goodput import GoodputScheduler
from dspark_bench.schedulers.hardware_aware import HardwareAwareScheduler
from dspark_bench.schedulers.hardware_aware_async import HardwareAwareAsyncScheduler
from dspark_bench.schedulers.node_history import NodeHistory
from dspark_bench.schedulers.threshold import ThresholdScheduler
from dspark_bench.schedulers.tree_cuts import FIRST_CYCLES, MEMORY, TreeCuts
from tests.cycles import cycle_record
from tests.schedulers.test_calibrated import Halves
from tests.schedulers.test_schedulers import AsItIs, Linear

TREE = [0.8, 0.5, 0.3, 0.1]


def context(*survival: list[float], num_requests: int | None = None) -> PlanContext:
    size = len(survival)
    return PlanContext(
        tuple(range(size)),
        (5,) * size,
        3,
        num_requests or size,
        num_nodes=4,
        survival=np.array(survival),
    )


def record(
    survival: list[float], verify_len: int, num_accepted: int, t_draft_s: float = 0.0
) -> CycleRecord:
    return cycle_record(
        num_drafted=len(survival),
        verify_len=verify_len,
        num_accepted=num_accepted,
        survival=tuple(survival),
        t_draft_s=t_draft_s,
    )


def test_nodes_are_admitted_while_throughput_rises() -> None:
    """Steps of 2 + N / 2: 1/2.5 = .4, 1.8/3 = .6, 2.3/3.5 = .657, 2.6/4 = .65: two nodes pay."""
    cuts = TreeCuts(Linear(2.0, 0.5), 0.0)
    assert cuts.plan_verify(context(TREE), [4]) == [2]
    assert TreeCuts(Linear(0.0, 1.0), 0.0).plan_verify(context(TREE), [4]) == [0]
    assert TreeCuts(Linear(10.0, 0.01), 0.0).plan_verify(context(TREE), [4]) == [4]


def test_trees_of_a_batch_compete() -> None:
    """Of both trees' nodes the likeliest come first: .9, .8, .7 (of the second), .5, ...

    Steps of 3 + N / 2: 2/4, 2.9/4.5, 3.7/5, 4.4/5.5, 4.9/6 = .817, 5.2/6.5 = .8.
    """
    cuts = TreeCuts(Linear(3.0, 0.5), 0.0)
    assert cuts.plan_verify(context(TREE, [0.9, 0.7, 0.2, 0.2]), [4, 4]) == [2, 2]
    assert cuts.plan_verify(context(TREE, [0.9, 0.7, 0.2, 0.2]), [4, 1]) == [2, 1]


def test_what_drafting_took_is_part_of_the_cycle() -> None:
    """With 8 s spent a further node is dear no more: 2.7 / 12 beats 2.6 / 11.5 not, 2.3 / 11."""
    cuts = TreeCuts(Linear(2.0, 0.5), 0.0)
    cuts.observe([record(TREE, 0, 0, t_draft_s=8.0)])
    # 1/10.5 = .095, 1.8/11 = .164, 2.3/11.5 = .2, 2.6/12 = .2167, 2.7/12.5 = .216
    assert cuts.plan_verify(context(TREE), [4]) == [3]


def test_estimates_are_scaled_by_what_stood() -> None:
    """One cycle foresaw 0.8 + 0.5 of the nodes verified, and one depth stood."""
    cuts = TreeCuts(Linear(2.0, 0.5), 0.0)
    assert cuts.factor == 1.0
    cuts.observe([record(TREE, 2, 1)])
    kept = MEMORY * FIRST_CYCLES
    assert cuts.factor == pytest.approx((kept + 1) / (kept + 1.3))
    for _ in range(400):
        cuts.observe([record(TREE, 2, 0)])
    assert cuts.factor < 0.01
    assert cuts.plan_verify(context(TREE), [4]) == [0]
    for _ in range(400):
        cuts.observe([record(TREE, 4, 3)])
    assert cuts.factor == pytest.approx(3 / 1.7, rel=0.01)


def test_trees_that_lose_at_any_cut_are_not_drafted() -> None:
    """Nodes of the usual worth, a step of 1 + N / 2 and 1 s of drafting.

    Without: 1/1.5 = .667. Best cut: 1.8/3 = .6, 2.3/3.5 = .657, 2.6/4 = .65: none beats it.
    """
    cuts = TreeCuts(Linear(1.0, 0.5), 0.0)
    plain = replace(context(TREE), survival=None)
    assert cuts.plan_draft(plain) == [3]
    for _ in range(3):
        cuts.observe([record(TREE, 0, 0, t_draft_s=1.0)])
    assert cuts.plan_draft(plain) == [0]
    # Of half the drafting time 2.3/3 = .767 would be best: worth it, but not by a third.
    for min_gain, found in ((0.0, 3), (0.3, 0)):
        other = TreeCuts(Linear(1.0, 0.5), min_gain)
        other.observe([record(TREE, 0, 0, t_draft_s=0.5)])
        assert other.plan_draft(plain) == [found]


def test_hardware_aware_hands_trees_over_and_reads_no_calibration() -> None:
    bent = Halves()
    scheduler = HardwareAwareScheduler(Linear(2.0, 0.5), bent)
    assert scheduler.spec.knows_trees
    assert scheduler.plan_draft(replace(context(TREE), survival=None)) == [3]
    assert scheduler.plan_verify(context(TREE), [4], None) == [2]
    scheduler.observe([record(TREE, 2, 1)])
    assert bent.seen == []


@pytest.mark.parametrize("size", [1, 4])
def test_no_node_counts_for_more_than_one(size: int) -> None:
    """Trees foresaw 1.7 and 3 stood, so 0.8 is a sure thing, not 1.41: with it as many tokens come
    in a second as without.
    """
    cuts = TreeCuts(Linear(0.0, 1.0), 0.0)
    for _ in range(400):
        cuts.observe([record(TREE, 4, 3)])
    assert cuts.plan_verify(context(*[[0.8]] * size), [1] * size) == [0] * size


def test_a_cycle_that_read_a_prompt_does_not_say_what_drafting_takes() -> None:
    cuts = TreeCuts(Linear(2.0, 0.5), 0.0)
    cuts.observe([replace(record(TREE, 0, 0, t_draft_s=8.0), has_prefill=True)])
    assert cuts.plan_verify(context(TREE), [4]) == [2]


def test_what_usually_stands_decides_whether_trees_are_drafted() -> None:
    """Two nodes would pay as foreseen: 2.3/3.5 to 1/2.5. Nothing of them ever stood."""
    cuts = TreeCuts(Linear(2.0, 0.5), 0.0)
    plain = replace(context(TREE), survival=None)
    for place in range(400):
        cuts.observe([record(TREE, 4, 0)])
        assert place > 0 or cuts.plan_draft(plain) == [3]
    assert cuts.plan_draft(plain) == [0]


def test_the_usual_worth_of_a_node_is_a_mean() -> None:
    """After very many trees as after one: a first node that stands is worth 0.8, not more.

    Steps of 1 + N / 2 and 0.51 s of drafting: 2.3/3.01 = 0.764 loses to 0.667 by a gain of 0.16.
    """
    cuts = TreeCuts(Linear(1.0, 0.5), 0.16)
    for _ in range(400):
        cuts.observe([record(TREE, 0, 0, t_draft_s=0.51)])
    assert cuts.plan_draft(replace(context(TREE), survival=None)) == [0]


class Uneven(Linear):
    """Cutting some trees shorter than others costs a second."""

    def uneven_s(self, num_requests: int) -> float:
        return 1.0


def test_cutting_unevenly_has_its_price() -> None:
    """Padding is paid where trees are cut, and not where all is verified."""
    whole = context([0.6, 0.55], [0.6, 0.55])
    assert TreeCuts(Linear(1.0, 0.8), 0.0).plan_verify(whole, [2, 2]) == [0, 0]
    assert TreeCuts(Uneven(1.0, 0.8), 0.0).plan_verify(whole, [2, 2]) == [2, 2]


def test_cycles_without_trees_are_not_kept() -> None:
    """Of chains they wait to be read; of trees nobody ever would."""
    scheduler = HardwareAwareScheduler(Linear(2.0, 0.5), AsItIs())
    for _ in range(5):
        scheduler.plan_draft(replace(context(TREE), survival=None))
        scheduler.observe([cycle_record()])
    assert len(scheduler._unread) == 1


@pytest.mark.parametrize(("threshold", "found"), [(0.5, [2, 1]), (0.95, [0, 0]), (0.0, [4, 2])])
def test_threshold_compares_survival(threshold: float, found: list[int]) -> None:
    scheduler = ThresholdScheduler(Halves(), threshold)
    assert scheduler.plan_verify(context(TREE, [0.6, 0.4, 0.0, 0.0]), [4, 2], None) == found


def test_the_capacity_is_two_cycles_old_and_the_ranking_is_fresh() -> None:
    """Two of four nodes paid two cycles ago, so half of what is there now is verified.

    By the fresh trees alone it would be two, three and none of the nodes.
    """
    scheduler = HardwareAwareAsyncScheduler(Linear(2.0, 0.5), AsItIs())
    assert scheduler.spec.knows_trees
    assert scheduler.plan_draft(replace(context(TREE), survival=None)) == [3]
    # 1/2.5, 1.9/3 = .633, 2.7/3.5 = .771, 3.3/4 = .825, 3.4/4.5: three of four pay.
    better = [0.9, 0.8, 0.6, 0.1]
    assert scheduler.plan_verify(context(TREE), [4], None) == [4]
    assert scheduler.plan_verify(context(better), [4], None) == [4]
    assert scheduler.plan_verify(context([0.0] * 4), [4], None) == [2]
    assert scheduler.plan_verify(context([0.9, 0.8, 0.7, 0.1], TREE), [4, 4], None) == [3, 3]
    assert scheduler.plan_verify(context(TREE), [4], None) == [0]


def test_goodput_verifies_the_nodes_that_stood_often_enough() -> None:
    """Nodes stood always, in 3 of 4 cycles, in 1 of 4, never: 1, .75, .25, 0.

    Steps of 2 + N / 2: 1/2.5 = .4, 2/3 = .667, 2.75/3.5 = .786, 3/4 = .75: two nodes, everywhere.
    """
    scheduler = GoodputScheduler(Linear(2.0, 0.5))
    assert scheduler.spec.knows_trees and scheduler.spec.reads_survival
    assert not scheduler.spec.is_selective and not scheduler.spec.needs_confidence
    plain = replace(context(TREE, TREE), survival=None)
    for _ in range(200):
        for path in ((0, 1), (0, 1), (0, 1), (0, 2)):
            seen = cycle_record(
                num_drafted=4, verify_len=4, num_accepted=2, survival=tuple(TREE), path=path
            )
            scheduler.observe([seen])
    assert scheduler.plan_draft(plain) == [3, 3]
    assert scheduler.plan_verify(context(TREE, [0.0] * 4), [4, 4], None) == [2, 2]
    assert scheduler.plan_verify(context(TREE, TREE), [4, 1], None) == [2, 1]


def test_goodput_learns_of_verified_nodes_alone() -> None:
    """The second node was verified in half of the cycles, and stood whenever it was."""
    history = NodeHistory(Linear(1.0, 1.0), 0.7)
    plain = replace(context(TREE), survival=None)
    assert history.plan_draft(plain) == [3]
    for _ in range(300):
        for verified, path in ((1, (0,)), (2, (0, 1))):
            seen = record(TREE, verified, len(path))
            history.observe([replace(seen, path=path)])
    # Steps of 1 + N: 1/2, 2/3, 3/4 and, as first guessed, .34 and .24: 3.34/5, 3.58/6.
    # Half the worth of the second node would not do: 2.5/4 is below 2/3.
    assert history.plan_draft(plain) == [3]
    assert history.plan_verify([4]) == [2]


def test_goodput_counts_what_drafting_takes() -> None:
    """No node stood lately: 1/2.5 beats any tree. So it does where a draft takes 8 s."""
    history = NodeHistory(Linear(2.0, 0.5), 0.7)
    plain = replace(context(TREE), survival=None)
    for _ in range(300):
        history.observe([record(TREE, 4, 0)])
    assert history.plan_draft(plain) == [0]
    assert history.plan_verify([4]) == [0]
    always = NodeHistory(Linear(2.0, 0.5), 0.7)
    for _ in range(300):
        seen = replace(record(TREE, 4, 1, t_draft_s=8.0), path=(0,))
        always.observe([seen])
    # 1/2.5 = .4 against 2/11: one node that always stands is not worth the drafting.
    assert always.plan_draft(plain) == [0]


def test_nodes_that_are_never_verified_keep_their_first_guess() -> None:
    """However long a run is: the third and fourth are worth .34 and .24, not 1."""
    history = NodeHistory(Linear(2.0, 0.5), 0.7)
    plain = replace(context(TREE), survival=None)
    history.plan_draft(plain)
    seen = replace(record(TREE, 2, 0), path=())
    for _ in range(45_000):
        history.observe([seen])
    # Steps of 2 + N / 2: 1/2.5 = .4; two that never stood, then 1.34/4, 1.58/4.5 = .35. Worth 1
    # each it would be 2/4 and 3/4.5.
    assert history.plan_draft(plain) == [0]
    stood = replace(record(TREE, 4, 4), path=(0, 1, 2, 3))
    for _ in range(400):
        history.observe([stood])
    assert history.plan_draft(plain) == [3] and history.plan_verify([4]) == [4]
