"""Schedulers under a calibrator that changes every confidence and counts what it is shown."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from dspark_bench.core.protocols import Scheduler
from dspark_bench.core.random_streams import Floats
from dspark_bench.core.records import CycleRecord
from dspark_bench.schedulers.cycle_times import DraftTimes
from dspark_bench.schedulers.draft_choice import choose_rule
from dspark_bench.schedulers.global_argmax import GlobalArgmaxScheduler
from dspark_bench.schedulers.hardware_aware import HardwareAwareScheduler
from dspark_bench.schedulers.hardware_aware_async import HardwareAwareAsyncScheduler
from dspark_bench.schedulers.survival import SurvivalForecast, read_drafts, survival
from dspark_bench.schedulers.threshold import ThresholdScheduler
from tests.schedulers.test_schedulers import Linear, context, record


class Squares:
    """c becomes c squared, so that a product of confidences and what they are bent to differ by
    place: 0.9 and 0.5 give survivals of 0.81 and 0.2025.
    """

    def __init__(self) -> None:
        self.seen: list[int] = []

    def calibrate(self, confidence: Floats) -> Floats:
        return confidence**2

    def observe(self, records: Sequence[CycleRecord]) -> None:
        self.seen += [record.request_id for record in records]


class Halves(Squares):
    """c becomes c / 2: bending the product of two would halve once, bending each halves twice."""

    def calibrate(self, confidence: Floats) -> Floats:
        return confidence / 2


def test_factors_are_bent_and_not_their_product() -> None:
    found = survival(np.array([[0.8, 0.5], [1.0, 1.0]]), Halves())
    np.testing.assert_allclose(found, [[0.4, 0.1], [0.5, 0.25]])


def test_finished_drafts_are_read_through_the_calibrator() -> None:
    """Slots of 0.8 and 0.5 as 0.4 and 0.25; the second is reached with 0.4 and passed with 0.1."""
    drafts = read_drafts([record(0, (0.8, 0.5)), record(1, (0.6,))], Halves())
    assert drafts is not None
    np.testing.assert_allclose(drafts.seen, [[1.0, 0.4], [1.0, 0.0]])
    np.testing.assert_allclose(drafts.passed, [[0.4, 0.1], [0.3, 0.0]])


BUILDERS: dict[str, Callable[[Squares], Scheduler]] = {
    "threshold": lambda bent: ThresholdScheduler(bent, 0.5),
    "hardware_aware": lambda bent: HardwareAwareScheduler(Linear(2.0, 0.5), bent),
    "hardware_aware_async": lambda bent: HardwareAwareAsyncScheduler(Linear(2.0, 0.5), bent),
    "global_argmax": lambda bent: GlobalArgmaxScheduler(Linear(2.0, 0.5), bent),
}


@pytest.mark.parametrize("name", BUILDERS)
def test_every_record_reaches_the_calibrator_once(name: str) -> None:
    bent = Squares()
    scheduler = BUILDERS[name](bent)
    for ids in ((3, 1), (2,), (1, 2, 3)):
        scheduler.observe([record(request_id, (0.9, 0.9)) for request_id in ids])
    assert bent.seen == [3, 1, 2, 1, 2, 3]


@pytest.mark.parametrize(
    ("name", "raw", "bent"),
    [("threshold", 3, 2), ("hardware_aware", 3, 2), ("global_argmax", 3, 2)],
)
def test_verify_lengths_follow_the_bent_confidences(name: str, raw: int, bent: int) -> None:
    """Confidences of 0.95, 0.8 and 0.65: the last squares to 0.42.

    A step of 2 + N / 2: throughputs 1/2.5, 1.95/3, 2.71/3.5, 3.2/4 as they are, and 1/2.5,
    1.9/3, 2.48/3.5, 2.73/4 squared.
    """

    class AsItIs(Squares):
        def calibrate(self, confidence: Floats) -> Floats:
            return confidence

    confidence = np.array([[0.95, 0.8, 0.65]])
    found = [
        BUILDERS[name](kind()).plan_verify(context(1, 3), [3], confidence)
        for kind in (AsItIs, Squares)
    ]
    assert found == [[raw], [bent]]


def test_forecasts_of_drafts_follow_the_bent_confidences() -> None:
    """Drafts of 0.8 a slot, squared 0.64: of the second 0.41 are left, which does not pay.

    A step of 1 + N: 1/2, 1.64/3, 2.05/4; with 0.8 it is 1/2, 1.8/3, 2.44/4.
    """

    class AsItIs(Squares):
        def calibrate(self, confidence: Floats) -> Floats:
            return confidence

    found = []
    for kind in (AsItIs, Squares):
        scheduler = HardwareAwareScheduler(Linear(1.0, 1.0), kind(), reserve=1.0)
        for _ in range(40):
            scheduler.observe([record(0, (0.8, 0.8))])
        found.append(scheduler.plan_draft(context(1, 2)))
    assert found == [[2], [1]]


def test_a_request_that_nothing_is_known_of_is_forecast_by_all_the_others() -> None:
    """Whatever lies in the last row of the table of histories belongs to somebody else."""
    forecast = SurvivalForecast()
    calibrator = Squares()
    for request_id in range(64):
        drafts = read_drafts([record(request_id, (0.9,) if request_id else (0.1,))], calibrator)
        assert drafts is not None
        forecast.observe(drafts)
    unknown = forecast.survival([*range(64), 99], 1)[-1, 0]
    assert unknown == pytest.approx(forecast.shared(1)[0, 0])


def test_a_draft_must_gain_what_was_asked_for() -> None:
    """4/6 without, 4.9/7 = 0.7 with the one draft: 5 % more."""
    times = DraftTimes(Linear(2.0, 1.0))
    forecast = np.array([[0.9], [0.1], [0.1], [0.1]])
    found = [
        choose_rule(forecast, context(4, 1), times, gain, 1.0).lens(forecast)
        for gain in (0.04, 0.06)
    ]
    assert found == [[1, 0, 0, 0], [0, 0, 0, 0]]
