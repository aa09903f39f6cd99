"""Costs that dip, that differ by batch, and that change while a run goes on."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from dspark_bench.core.protocols import Scheduler, StepCost
from dspark_bench.core.random_streams import Floats, Ints
from dspark_bench.core.records import CycleRecord
from dspark_bench.core.types import PlanContext
from dspark_bench.schedulers.admission import FEW, causal_greedy, global_best, rank
from dspark_bench.schedulers.batch_size import BatchSizeScheduler
from dspark_bench.schedulers.cutting import CuttingGain
from dspark_bench.schedulers.cycle_times import DraftTimes, VerifyTimes
from dspark_bench.schedulers.draft_choice import DraftRule
from dspark_bench.schedulers.global_argmax import GlobalArgmaxScheduler
from dspark_bench.schedulers.goodput import GoodputScheduler
from dspark_bench.schedulers.hardware_aware import HardwareAwareScheduler
from dspark_bench.schedulers.oracle import OracleScheduler
from tests.schedulers.test_schedulers import AsItIs, Linear, context, read, record


@pytest.mark.parametrize("size", [1, 2, FEW, FEW + 1, 8])
def test_a_dip_ends_admission_whatever_the_batch(size: int) -> None:
    """The first draft pays, the second does not, and the many behind it would.

    Every request emits 1; the drafts add 0.9 each. A step takes 1 until the second draft, when it
    jumps to 1.5, and stays there.
    """
    step_s = np.where(np.arange(2 * size + 1) < 2, 1.0, 1.5)
    survival = np.full((size, 2), 0.9)
    found = causal_greedy(survival, [2] * size, size, step_s)
    assert found == [1] + [0] * (size - 1)
    total = size + 0.9 * np.arange(2 * size + 1)
    assert sum(global_best(survival, [2] * size, size, step_s)) == (total / step_s).argmax()


@pytest.mark.parametrize("size", [1, FEW, FEW + 1])
def test_throughput_that_stays_equal_ends_admission(size: int) -> None:
    """Drafts that survive for certain, in steps that grow with them: nothing is gained."""
    step_s = (size + np.arange(size + 1)) / 10.0
    assert causal_greedy(np.ones((size, 1)), [1] * size, size, step_s) == [0] * size


def test_of_several_dips_the_first_one_ends_admission() -> None:
    """Of five requests with two drafts each: dips behind the third and behind the seventh."""
    step_s = np.array([1.0, 1.0, 1.0, 1.0, 1.4, 1.4, 1.4, 1.4, 2.2, 2.2, 2.2])
    survival = np.tile([[0.9, 0.8]], (5, 1))
    assert causal_greedy(survival, [2] * 5, 5, step_s) == [1, 1, 1, 0, 0]


def test_equal_survivals_of_few_and_of_many_go_by_place_and_then_by_request() -> None:
    for size in (2, FEW, FEW + 1, 6):
        step_s = np.array([1.0] * (size + 2) + [9.0] * (size - 1))
        found = causal_greedy(np.full((size, 2), 0.5), [2] * size, size, step_s)
        assert found == [2] + [1] * (size - 1)


def test_a_survival_that_rises_by_rounding_is_cut_down() -> None:
    candidates = rank(np.array([[0.3, 0.9], [0.5, 0.2]]), [2, 2])
    assert candidates.survival.tolist() == [0.5, 0.3, 0.3, 0.2]
    assert candidates.requests.tolist() == [1, 0, 0, 1]


class Changing(Linear):
    """A cost whose tokens become dearer with what it is shown, and which says so."""

    def __init__(self, dear: float = 4.0) -> None:
        super().__init__(2.0, 0.1)
        self._dear = dear

    def observe(self, records: Sequence[CycleRecord]) -> None:
        super().observe(records)
        self._per_token = self._dear
        self.version += 1


@pytest.mark.parametrize("build", [HardwareAwareScheduler, GlobalArgmaxScheduler])
def test_a_cost_that_changes_in_mid_run_changes_what_is_verified(
    build: Callable[[StepCost, AsItIs], Scheduler],
) -> None:
    """Tokens of 0.1 s beside a step of 2: all three drafts pay; at 4 s none does."""
    scheduler = build(Changing(), AsItIs())
    confidence = np.array([[0.6, 0.9, 0.9]])
    assert scheduler.plan_verify(context(1, 3), [3], confidence) == [3]
    scheduler.observe([record(0, (0.6, 0.9, 0.9))])
    assert scheduler.plan_verify(context(1, 3), [3], confidence) == [0]


def test_a_cost_that_changes_in_mid_run_changes_what_is_drafted() -> None:
    cost = Changing()
    times = DraftTimes(cost)
    before = times.of(context(2, 2), 2)[0]
    np.testing.assert_allclose(before, 2.0 + 0.1 * np.arange(2, 7))
    cost.observe([])
    np.testing.assert_allclose(times.of(context(2, 2), 2)[0], 2.0 + 4.0 * np.arange(2, 7))


def test_each_change_of_a_cost_counts_and_not_the_first_alone() -> None:
    cost = Changing()
    times = VerifyTimes(cost, is_convex=False)
    for dear in (1.0, 3.0, 0.5):
        cost._dear = dear
        cost.observe([])
        found = times.of(context(1, 2), [2])
        np.testing.assert_allclose(found, 2.0 + dear * np.array([1.0, 2.0, 3.0]))


def test_times_belong_to_a_whole_batch() -> None:
    """One draft of two, alone and beside four prompts: the step is as large as the batch."""
    times = VerifyTimes(Linear(1.0, 1.0), is_convex=False)
    alone = times.of(PlanContext((0,), (5,), 2, 1), [2])
    among = times.of(PlanContext((0,), (5,), 2, 5), [2])
    np.testing.assert_allclose(alone, [2.0, 3.0, 4.0])
    np.testing.assert_allclose(among, [6.0, 7.0, 8.0])


class Padded(Linear):
    """Being uneven costs 3 s."""

    def uneven_s(self, num_requests: int) -> float:
        return 3.0


def test_cutting_some_drafts_is_charged_for_being_uneven_and_cutting_none_is_not() -> None:
    times = VerifyTimes(Padded(1.0, 1.0), is_convex=False)
    np.testing.assert_allclose(times.of(context(2, 1), [1, 1]), [6.0, 7.0, 5.0])


def test_times_of_longer_drafts_stand_in_later_rows() -> None:
    """Row K: all drafts of a batch of one, none longer than K; each takes 3 s to make."""
    found = DraftTimes(Linear(10.0, 1.0, per_draft=3.0)).of(context(1, 2), 2)
    np.testing.assert_allclose(found[1, :2], [11.0, 15.0])
    np.testing.assert_allclose(found[2], [11.0, 15.0, 19.0])


def test_the_searches_read_the_curve_that_is_theirs() -> None:
    """The search looks at what was measured, dip and all; admission at the envelope."""

    class Two(Linear):
        def convex_step_s(self, num_requests: int, num_tokens: Ints) -> Floats:
            return np.full(num_tokens.shape, 100.0) * num_tokens

    confidence = np.array([[0.9, 0.9]])
    cheap, dear = Two(10.0, 0.0), Two(10.0, 0.0)
    search = GlobalArgmaxScheduler(cheap, AsItIs())
    assert search.plan_verify(context(1, 2), [2], confidence) == [2]
    admission = HardwareAwareScheduler(dear, AsItIs())
    assert admission.plan_verify(context(1, 2), [2], confidence) == [0]


def test_goodput_pays_for_drafting_and_counts_the_bonus() -> None:
    """alpha 0.7 at first. A step of 1 whatever it holds: longer is better, unless a draft of k
    takes k / 2 seconds: 1, 1.7/1.5, 2.19/2, 2.53/2.5; without the bonus none of them would pay.
    """
    assert GoodputScheduler(Linear(1.0, 0.0)).plan_draft(context(1, 3)) == [3]
    assert GoodputScheduler(Linear(1.0, 0.0, per_draft=0.5)).plan_draft(context(1, 3)) == [1]


def test_goodput_counts_what_the_others_in_the_batch_emit() -> None:
    """Three requests with a prompt beside one that drafts, and a step of 1 + N / 2.

    4/3 without drafts; with one 4.7/3.5, with two 5.19/4, with three 5.53/4.5: one is best. Alone,
    or if nobody else emitted anything, it would be more: 1/1.5, 1.7/2, 2.19/2.5, 2.53/3.
    """
    cost = Linear(1.0, 0.5)
    assert GoodputScheduler(cost).plan_draft(PlanContext((0,), (5,), 3, 4)) == [1]
    assert GoodputScheduler(cost).plan_draft(PlanContext((0,), (5,), 3, 1)) == [2]


def test_goodput_learns_from_decided_drafts_and_forgets() -> None:
    """One accepted and one refused of four: alpha 1/2, though four were verified.

    A step of 1 + N / 2: at 1/2 one draft is best (1/1.5, 1.5/2, 1.75/2.5), at 1/4 none is.
    """
    scheduler = GoodputScheduler(Linear(1.0, 0.5))
    for _ in range(400):
        scheduler.observe([record(0, (0.5,) * 4, num_accepted=1)])
    assert scheduler.plan_draft(context(1, 4)) == [1]
    for _ in range(100):
        scheduler.observe([record(0, (0.5,) * 4, num_accepted=4)])
    assert scheduler.plan_draft(context(1, 4)) == [4]


def test_a_table_reads_the_whole_batch_in_any_order() -> None:
    """Entries out of order; at 4 requests the entry of 4 holds, prompts counted."""
    scheduler = BatchSizeScheduler([[8, 1], [4, 3], [6, 2]])
    assert scheduler.plan_draft(PlanContext((0,), (5,), 5, 4)) == [3]
    assert scheduler.plan_draft(PlanContext((0,), (5,), 5, 8)) == [1]
    assert scheduler.plan_draft(PlanContext((0, 1, 2), (5,) * 3, 5, 3)) == [5] * 3


def test_an_oracles_cost_learns_every_cycle() -> None:
    cost = Linear(1.0, 1.0)
    scheduler = OracleScheduler(cost)
    for _ in range(3):
        scheduler.observe([record(0, (0.5,))])
    assert cost.num_observed == 3


def test_what_cutting_gains_is_per_cycle_and_of_slots_that_lose_alone() -> None:
    """Two cycles of one draft each; slots of 0.1 s, tokens worth 0.5 s.

    Survivals 1 and 0: the first slot is worth its time by 0.4 s, which is no loss and no credit;
    the second saves 0.1 s. So 0.1 s in two cycles.
    """
    gain = CuttingGain()
    cycles = [record(0, (1.0,)), record(0, (0.0,))]
    drafts = read(*(one.__class__(**_fields(one) | {"cycle": i}) for i, one in enumerate(cycles)))
    gain.observe(drafts, np.array([0.1]), 2.0)
    assert gain._gain_s == pytest.approx(0.05)


def _fields(one: CycleRecord) -> dict[str, object]:
    return {name: getattr(one, name) for name in one.__dataclass_fields__}


def test_a_reserve_is_part_of_the_rule() -> None:
    rule = DraftRule(2, 0.5, 0.6, 1.0)
    assert rule.lens(np.array([[0.9, 0.31], [0.9, 0.29], [0.45, 0.4]])) == [2, 1, 0]
