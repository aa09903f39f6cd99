"""What each scheduler drafts and verifies, by hand, and that none looks ahead in secret."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dspark_bench.core.errors import UsageError
from dspark_bench.core.protocols import Scheduler
from dspark_bench.core.random_streams import Floats, Ints
from dspark_bench.core.records import CycleRecord
from dspark_bench.core.types import PlanContext
from dspark_bench.schedulers.batch_size import BatchSizeScheduler
from dspark_bench.schedulers.cutting import CHOOSING_S, CuttingGain
from dspark_bench.schedulers.cycle_times import DraftTimes, unevenness_s
from dspark_bench.schedulers.draft_choice import choose_rule
from dspark_bench.schedulers.fixed import FixedScheduler
from dspark_bench.schedulers.global_argmax import GlobalArgmaxScheduler
from dspark_bench.schedulers.goodput import GoodputScheduler
from dspark_bench.schedulers.hardware_aware import HardwareAwareScheduler
from dspark_bench.schedulers.hardware_aware_async import HardwareAwareAsyncScheduler
from dspark_bench.schedulers.oracle import OracleScheduler
from dspark_bench.schedulers.survival import DraftedSlots, SurvivalForecast, read_drafts
from dspark_bench.schedulers.threshold import ThresholdScheduler
from tests.cycles import cycle_record


class Linear:
    """base + per_token N for a step, per_draft for each proposed token; remembers what it saw."""

    version = 0

    def __init__(self, base: float, per_token: float, per_draft: float = 0.0) -> None:
        self._base, self._per_token, self._per_draft = base, per_token, per_draft
        self.num_observed = 0

    def step_s(self, num_requests: int, num_tokens: Ints) -> Floats:
        return np.asarray(self._base + self._per_token * num_tokens)

    convex_step_s = step_s

    def draft_s(self, num_requests: Floats, num_slots: int) -> Floats:
        return np.asarray(self._per_draft * num_requests * num_slots)

    def uneven_s(self, num_requests: int) -> float:
        return 0.0

    def observe(self, records: Sequence[CycleRecord]) -> None:
        self.num_observed += 1


class AsItIs:
    def calibrate(self, confidence: Floats) -> Floats:
        return confidence

    def observe(self, records: Sequence[CycleRecord]) -> None:
        pass


def read(*records: CycleRecord) -> DraftedSlots:
    drafts = read_drafts(records, AsItIs())
    assert drafts is not None
    return drafts


def context(size: int, gamma: int, hindsight: tuple[int, ...] | None = None) -> PlanContext:
    return PlanContext(tuple(range(size)), (5,) * size, gamma, size, hindsight)


def record(request_id: int, confidence: tuple[float, ...], num_accepted: int = 0) -> CycleRecord:
    length = len(confidence)
    return cycle_record(
        request_id=request_id,
        num_drafted=length,
        verify_len=length,
        num_accepted=num_accepted,
        is_rejected=num_accepted < length,
        t_verify_s=1.0,
        confidence=confidence,
    )


CHEAP, DEAR = Linear(10.0, 0.01), Linear(0.0, 1.0)
CAUSAL: dict[str, Callable[[], Scheduler]] = {
    "fixed": FixedScheduler,
    "threshold": lambda: ThresholdScheduler(AsItIs(), 0.5),
    "hardware_aware": lambda: HardwareAwareScheduler(Linear(2.0, 0.5), AsItIs()),
    "hardware_aware_async": lambda: HardwareAwareAsyncScheduler(Linear(2.0, 0.5), AsItIs()),
    "goodput": lambda: GoodputScheduler(Linear(2.0, 0.5)),
    "batch_size": lambda: BatchSizeScheduler([[1, 2]]),
}


@pytest.mark.parametrize("name", CAUSAL)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_later_confidences_move_nothing_earlier(name: str, data: st.DataObject) -> None:
    """Also after a history: every scheduler first sees the same two cycles."""
    size, gamma = data.draw(st.integers(1, 4)), 4
    values = st.floats(0.0, 1.0)
    base = np.array(data.draw(st.lists(values, min_size=size * gamma, max_size=size * gamma)))
    base = base.reshape(size, gamma)
    row, place = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, gamma))
    changed = base.copy()
    changed[row, place:] = data.draw(values)
    lens = [data.draw(st.integers(1, gamma)) for _ in range(size)]
    found = []
    for confidence in (base, changed):
        scheduler = CAUSAL[name]()
        assert scheduler.spec.is_non_anticipating
        for history in (np.full((size, gamma), 0.8), np.full((size, gamma), 0.4)):
            scheduler.plan_verify(context(size, gamma), [gamma] * size, history)
            scheduler.observe([record(i, tuple(history[i])) for i in range(size)])
        found.append(scheduler.plan_verify(context(size, gamma), lens, confidence)[row])
    assert min(found[0], place) == min(found[1], place)


def test_the_retrospective_search_looks_ahead_and_says_so() -> None:
    """A step that only pays for several drafts: the last confidence decides about the first."""

    class Stairs(Linear):
        def step_s(self, num_requests: int, num_tokens: Ints) -> Floats:
            return np.where(num_tokens <= 1, 1.0, 1.6)

    found = []
    for last in (0.9, 0.0):
        scheduler = GlobalArgmaxScheduler(Stairs(0, 0), AsItIs())
        assert not scheduler.spec.is_non_anticipating
        found.append(scheduler.plan_verify(context(1, 2), [2], np.array([[0.5, last]]))[0])
    assert found == [2, 0]


def test_admission_counts_requests_without_drafts_and_what_was_spent() -> None:
    """One drafter among three: throughput 3/(3+0.5) to start, then (3+a)/(3.5+1)."""
    scheduler = HardwareAwareScheduler(Linear(0.0, 1.0, per_draft=0.5), AsItIs())
    three = PlanContext((0,), (5,), 1, 3)
    assert scheduler.plan_verify(three, [1], np.array([[0.85]])) == [0]
    assert scheduler.plan_verify(three, [1], np.array([[0.86]])) == [1]


def drafts(forecast: Floats, cost: Linear, min_gain: float, reserve: float) -> list[int]:
    size, gamma = forecast.shape
    return choose_rule(forecast, context(size, gamma), DraftTimes(cost), min_gain, reserve).lens(
        forecast
    )


def test_nothing_is_drafted_where_it_cannot_pay() -> None:
    forecast = np.array([[0.5, 0.25], [0.9, 0.8]])
    assert drafts(forecast, CHEAP, 0.0, 1.0) == [2, 2]
    assert drafts(forecast, DEAR, 0.0, 1.0) == [0, 0]
    middle = Linear(1.0, 1.0)
    # 2/3 at first; 2.9/4, 3.7/5 = .74, 4.2/6: the second request alone, two drafts
    assert drafts(forecast, middle, 0.0, 1.0) == [0, 2]
    assert drafts(forecast, middle, 0.10, 1.0) == [0, 2]
    assert drafts(forecast, middle, 0.12, 1.0) == [0, 0]
    drafting = Linear(1.0, 1.0, per_draft=1.0)
    assert drafts(forecast, drafting, 0.0, 1.0) == [0, 0]


def test_a_lucky_cell_of_a_noisy_profile_draws_no_drafts() -> None:
    """Step costs of 4 + N but for one cell that reads a third too low; the envelope is at hand."""

    class Noisy(Linear):
        def step_s(self, num_requests: int, num_tokens: Ints) -> Floats:
            times = super().step_s(num_requests, num_tokens)
            return np.where(num_tokens == 4, times / 1.5, times)

        def convex_step_s(self, num_requests: int, num_tokens: Ints) -> Floats:
            return super().step_s(num_requests, num_tokens)

    forecast = np.array([[0.6, 0.1, 0.05]])
    assert drafts(forecast, Noisy(4.0, 1.0), 0.0, 1.0) == [1]


def test_uneven_drafts_are_charged_for_being_uneven() -> None:
    """Even: 3.4/8 = .425; the better request's second draft: 4.2/9 = .467, or 4.2/11 if uneven."""

    class Padded(Linear):
        def uneven_s(self, num_requests: int) -> float:
            return 2.0

    forecast = np.array([[0.5, 0.02], [0.9, 0.8]])
    assert drafts(forecast, Padded(4.0, 1.0), 0.0, 1.0) == [1, 1]
    assert drafts(forecast, Linear(4.0, 1.0), 0.0, 1.0) == [1, 2]


def test_being_uneven_costs_the_same_by_however_much() -> None:
    class Padded(Linear):
        def uneven_s(self, num_requests: int) -> float:
            return 2.0

    found = unevenness_s(Padded(1.0, 1.0), 4, np.array([0.0, 0.25, 1.0, 2.5]))
    assert found.tolist() == [0.0, 2.0, 2.0, 2.0]


@pytest.mark.parametrize("kind", [HardwareAwareScheduler, HardwareAwareAsyncScheduler])
def test_an_even_batch_is_verified_whole_whatever_the_confidences_are(
    kind: type[HardwareAwareScheduler],
) -> None:
    """Both requests draft two tokens where padding is dear; without padding the last is left out.

    The choice was made before drafting, so hopeless confidences do not change it.
    """

    class Padded(Linear):
        def __init__(self, base: float, per_token: float, ragged: float) -> None:
            super().__init__(base, per_token)
            self.ragged = ragged

        def uneven_s(self, num_requests: int) -> float:
            return self.ragged

    found = []
    for ragged in (0.0, 50.0):
        scheduler = kind(Padded(4.0, 1.0, ragged), AsItIs())
        for _ in range(8):
            scheduler.observe([record(i, (0.9, 0.9)) for i in range(2)])
        lens = scheduler.plan_draft(context(2, 2))
        assert lens == [2, 2]
        for _ in range(3):
            last = scheduler.plan_verify(context(2, 2), lens, np.array([[0.9, 0.9], [0.9, 0.01]]))
        found.append(last)
    assert found == [[2, 1], [2, 2]]


def test_what_cutting_gains_by_hand() -> None:
    """Two tokens per second; slots of 0.1 and 0.4 s.

    First draft: survivals 0.5 and 0.25 are worth 0.25 s and 0.125 s, so 0.275 s are saved by
    leaving out the second. Second draft: one slot, worth 0.05 s: 0.05 s saved. Over one cycle.
    """
    gain = CuttingGain()
    assert gain.is_worth_it
    drafts = read(record(0, (0.5, 0.5)), record(1, (0.1,)))
    gain.observe(drafts, np.array([0.1, 0.4]), 2.0)
    assert gain._gain_s == pytest.approx(0.325)
    gain.observe(read(record(0, (1.0, 1.0))), np.array([0.1, 0.4]), 2.0)
    assert gain._gain_s == pytest.approx(0.75 * 0.325)


@pytest.mark.parametrize("kind", [HardwareAwareScheduler, HardwareAwareAsyncScheduler])
def test_confidences_are_left_unread_where_cutting_gains_less_than_choosing_takes(
    kind: type[HardwareAwareScheduler],
) -> None:
    """Steps of 10 + 0.01 N seconds, in one case of milliseconds a thousand times shorter.

    The second draft has no chance in every other cycle, so that leaving it out saves 0.01 s of
    every other, or 0.01 ms, which is less than it takes to see it coming.
    """
    found = []
    for scale in (1.0, 1e-3):
        scheduler = kind(Linear(10.0 * scale, 0.01 * scale), AsItIs())
        for _ in range(4):
            scheduler.plan_draft(context(1, 2))
            for last in (0.9, 0.0, 0.9, 0.0):
                scheduler.observe([record(0, (0.9, last))])
        assert scheduler.plan_draft(context(1, 2)) == [2]
        for _ in range(3):
            lens = scheduler.plan_verify(context(1, 2), [2], np.array([[0.9, 0.0]]))
        found.append(lens)
    assert found == [[1], [2]]
    assert 0.005 * 1e-3 < CHOOSING_S < 0.005


def test_a_request_that_starts_anew_under_an_old_id_is_not_known() -> None:
    scheduler = HardwareAwareScheduler(Linear(2.0, 0.5), AsItIs())
    for _ in range(8):
        scheduler.observe([record(0, (0.95,) * 4), record(1, (0.2,) * 4)])
    old = PlanContext((0, 1), (5, 5), 4, 2)
    assert scheduler.plan_draft(old) == [4, 0]
    new = PlanContext((0, 1), (1, 1), 4, 2)
    first, second = scheduler.plan_draft(new)
    assert first == second


def test_a_reserve_is_drafted_behind_what_pays() -> None:
    """5.0/10 is the most, with a least survival of 0.6; 0.45 is in reserve."""
    forecast = np.array([[0.9, 0.8, 0.7], [0.6, 0.45, 0.1]])
    assert drafts(forecast, Linear(4.0, 1.0), 0.0, 1.0) == [3, 1]
    assert drafts(forecast, Linear(4.0, 1.0), 0.0, 0.7) == [3, 2]


def test_a_longer_draft_must_gain_to_be_chosen() -> None:
    """1.9/3 with one draft, 2.54/4 with two: 0.3 % more is not enough."""
    assert drafts(np.array([[0.9, 0.64]]), Linear(1.0, 1.0), 0.0, 1.0) == [1]
    assert drafts(np.array([[0.9, 0.70]]), Linear(1.0, 1.0), 0.0, 1.0) == [2]


def test_forecasts_tell_requests_apart_and_start_from_what_others_did() -> None:
    forecast = SurvivalForecast()
    for _ in range(30):
        forecast.observe(read(record(0, (0.9, 0.9)), record(1, (0.3, 0.3))))
    found = forecast.survival([0, 1, 2], 2)
    assert found[0].tolist() == pytest.approx([0.9, 0.81], abs=0.16)
    assert found[1].tolist() == pytest.approx([0.3, 0.09], abs=0.16)
    assert found[1, 0] < found[2, 0] < found[0, 0]  # a newcomer is between


def test_forecasts_forget_requests_that_ended() -> None:
    forecast = SurvivalForecast()
    for start in range(0, 400, 4):
        ids = list(range(start, start + 4))
        forecast.observe(read(*(record(i, (0.5,) * 3) for i in ids)))
        assert forecast.survival(ids, 3).shape == (4, 3)
    assert len(forecast._rows) < 40
    assert len(forecast._rows) + len(forecast._free) == 64


def test_forecasts_do_not_depend_on_what_was_accepted() -> None:
    """Verified slots are a selected sample; the confidences of all drafted slots are not."""
    lucky, unlucky = SurvivalForecast(), SurvivalForecast()
    lucky.observe(read(record(0, (0.5, 0.5), num_accepted=2)))
    unlucky.observe(read(record(0, (0.5, 0.5), num_accepted=0)))
    assert (lucky.survival([0], 2) == unlucky.survival([0], 2)).all()


def test_the_async_capacity_is_two_cycles_old() -> None:
    scheduler = HardwareAwareAsyncScheduler(Linear(2.0, 0.5), AsItIs())
    low, high = np.full((1, 4), 0.1), np.full((1, 4), 0.99)
    found = [
        scheduler.plan_verify(context(1, 4), [4], values)[0]
        for values in (low, low, high, high, high)
    ]
    assert found == [4, 4, 0, 0, 4]


def test_a_threshold_stops_before_the_first_doubtful_slot() -> None:
    scheduler = ThresholdScheduler(AsItIs(), 0.5)
    confidence = np.array([[0.9, 0.5, 0.4, 0.9], [0.2, 0.9, 0.9, 0.9], [0.9] * 4])
    assert scheduler.plan_draft(context(3, 4)) == [4, 4, 4]
    assert scheduler.plan_verify(context(3, 4), [4, 4, 3], confidence) == [2, 0, 3]
    with pytest.raises(UsageError, match="threshold is"):
        ThresholdScheduler(AsItIs(), 1.5)


def test_goodput_follows_acceptance_and_cost() -> None:
    cost = Linear(2.0, 0.5)
    for accepted, expected in ((4, 4), (0, 0)):
        scheduler = GoodputScheduler(cost)
        for _ in range(200):
            scheduler.observe([record(0, (0.5,) * 4, num_accepted=accepted)])
        assert scheduler.plan_draft(context(3, 4)) == [expected] * 3
        assert scheduler.plan_verify(context(3, 4), [expected] * 3, None) == [expected] * 3
    assert GoodputScheduler(CHEAP).plan_draft(context(2, 3)) == [3, 3]


def test_a_table_gives_the_length_of_the_largest_size_reached() -> None:
    scheduler = BatchSizeScheduler([[4, 3], [16, 1], [32, 0]])
    lens = [scheduler.plan_draft(context(size, 5))[0] for size in (1, 4, 15, 16, 40)]
    assert lens == [5, 3, 3, 1, 0]
    assert BatchSizeScheduler([[1, 9]]).plan_draft(context(2, 5)) == [5, 5]
    for bad in ([[0, 1]], [[1, -1]], [["x", 1]], [1, 2]):
        with pytest.raises(UsageError, match=r"scheduler\.table"):
            BatchSizeScheduler(bad)  # type: ignore[arg-type]


def test_the_oracle_verifies_accepted_drafts_that_pay() -> None:
    assert OracleScheduler(CHEAP).plan_verify(context(3, 4, (3, 0, 1)), [4] * 3, None) == [3, 0, 1]
    assert OracleScheduler(DEAR).plan_verify(context(2, 4, (3, 1)), [4] * 2, None) == [0, 0]
    assert not OracleScheduler(CHEAP).spec.is_non_anticipating


def test_costs_learn_through_their_scheduler() -> None:
    for build in (
        lambda cost: HardwareAwareScheduler(cost, AsItIs()),
        lambda cost: GlobalArgmaxScheduler(cost, AsItIs()),
        GoodputScheduler,
        OracleScheduler,
    ):
        cost = Linear(1.0, 1.0)
        build(cost).observe([replace(record(0, (0.5,)), num_accepted=1)])
        assert cost.num_observed == 1


def test_settings_out_of_range_are_refused() -> None:
    for changed, message in (
        ({"exploration_period": -1}, "exploration_period is -1"),
        ({"min_gain": -0.1}, "min_gain is -0.1"),
        ({"reserve": 0.0}, "reserve is 0"),
    ):
        with pytest.raises(UsageError, match=message):
            HardwareAwareScheduler(CHEAP, AsItIs(), **changed)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="exploration_period is -2"):
        GoodputScheduler(CHEAP, exploration_period=-2)


def test_the_async_form_goes_by_its_own_name() -> None:
    spec = HardwareAwareAsyncScheduler(CHEAP, AsItIs(), exploration_period=9).spec
    assert (spec.name, spec.exploration_period) == ("hardware_aware_async", 9)
    assert spec.is_selective and spec.needs_confidence


def test_cycles_that_are_read_together_add_up() -> None:
    """Two drafts of request 0 and one of request 1, of 0.5 a slot: seen 1 and 0.5, passed half."""
    forecast = SurvivalForecast()
    forecast.observe(read(*(record(i, (0.5, 0.5)) for i in (0, 1, 0))))
    zero, one = forecast._rows[0], forecast._rows[1]
    assert forecast._own.seen[[zero, one], :2].tolist() == [[2.0, 1.0], [1.0, 0.5]]
    assert forecast._own.passed[[zero, one], :2].tolist() == [[1.0, 0.5], [0.5, 0.25]]


def test_a_slot_costs_what_a_token_of_the_step_does() -> None:
    times = DraftTimes(Linear(10.0, 0.5, per_draft=3.0))
    assert times.slots_s(context(3, 4), 4).tolist() == pytest.approx([0.5] * 4)


@pytest.mark.parametrize(("cycle", "period"), [(8, 4), (9, 16)])
def test_lengths_are_looked_at_less_often_when_nobody_is_new(cycle: int, period: int) -> None:
    scheduler = HardwareAwareScheduler(Linear(2.0, 0.5), AsItIs())
    served = PlanContext((0,), (cycle,), 4, 1)
    scheduler.plan_draft(served)
    for count in range(1, period + 1):
        scheduler.observe([record(0, (0.5,) * 4)])
        scheduler.plan_draft(served)
        assert scheduler._num_unread == (0 if count == period else count)
