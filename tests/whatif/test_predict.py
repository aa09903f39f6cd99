"""Predictions by hand, their error where a point was measured, and where there is none."""

from pathlib import Path

import pytest

from dspark_bench.core.errors import ResultsError, UsageError
from dspark_bench.reading.gather import gather
from dspark_bench.whatif.base import Base, find_base
from dspark_bench.whatif.costs import surfaces_of
from dspark_bench.whatif.predict import Change, Prediction, predict
from tests.export.folders import point, write_counts
from tests.report.folders import write_sweep
from tests.whatif.folders import write_record, write_surface


@pytest.fixture
def base(tmp_path: Path) -> Base:
    return find_base(gather(write_record(tmp_path / "s")))


def _alone(base: Base, gamma: int = 2, **change: float) -> Prediction:
    ((found,), reasons) = predict(base, (), Change(**change), [gamma], [1])
    assert reasons == ()
    return found


def _s(emitted: float, draft_s: float = 0.002, draft_prefill_s: float = 0.005) -> float:
    """21 tokens: the first from the prompt, 20 from cycles."""
    cycle = 20 / emitted * (0.012 + draft_s + 0.001)
    return (0.020 + 20 * 0.010) / (0.020 + draft_prefill_s + cycle)


def test_the_unchanged_model_is_held_against_the_measured_point(base: Base) -> None:
    found = _alone(base)
    assert found.emitted == pytest.approx(1 + 0.5 + 0.5 * 0.4)
    assert found.speedup == pytest.approx(_s(1.7)) == pytest.approx(found.plain)
    assert found.measured is not None and found.measured.value == 1.2
    assert found.error == pytest.approx(_s(1.7) / 1.2 - 1)
    assert found.source == "profile of a"


@pytest.mark.parametrize(
    ("change", "emitted"),
    [
        ({"alpha": 0.7}, 1 + 0.7 + 0.49),
        ({"alpha": 0.0}, 1.0),
        ({"alpha": 1.0}, 3.0),
        ({"acceptance_scale": 1.2}, 1 + 0.6 + 0.6 * 0.48),
        ({"acceptance_scale": 0.0}, 1.0),
        ({"accepted_length": 2.5}, 2.5),
    ],
)
def test_another_acceptance(base: Base, change: dict[str, float], emitted: float) -> None:
    found = _alone(base, **change)
    assert found.emitted == pytest.approx(emitted)
    assert found.speedup == pytest.approx(_s(emitted))
    assert found.as_recorded == pytest.approx(1.7) and found.plain == pytest.approx(_s(1.7))


def test_another_draft_cost(base: Base) -> None:
    found = _alone(base, draft_factor=0.5)
    assert found.speedup == pytest.approx(_s(1.7, 0.001, 0.0025))
    assert found.plain == pytest.approx(_s(1.7))
    both = _alone(base, draft_factor=3.0, alpha=0.7)
    assert both.speedup == pytest.approx(_s(2.19, 0.006, 0.015))


def test_where_nothing_was_left_standing_nothing_follows(base: Base) -> None:
    """None of the drafts passed position 4, and the record ends there."""
    assert _alone(base, gamma=4).emitted == pytest.approx(1 + 0.6 + 0.3 + 0.15)


def test_another_batch_from_a_surface(base: Base, tmp_path: Path) -> None:
    surfaces = surfaces_of((), write_surface(tmp_path / "costs.json"))
    found, reasons = predict(base, surfaces, Change(), [2], [1, 2, 4], is_named=True)
    assert reasons == ()
    alone, two, four = found
    assert alone.speedup == pytest.approx(1.7 * 10 / (12 + 2 + 1))
    assert four.speedup == pytest.approx(1.7 * 20 / (28 + 3 + 2))
    # a third of the way from 1 to 4 requests
    assert two.speedup == pytest.approx(1.7 * (10 + 10 / 3) / (12 + 16 / 3 + 2 + 1 / 3 + 1 + 1 / 3))
    assert (alone.source, two.measured) == ("costs.json", None)
    assert four.error == pytest.approx(1.7 * 20 / 33 / 0.9 - 1)
    (cheap,), _ = predict(base, surfaces, Change(draft_factor=0.0), [2], [4], is_named=True)
    assert cheap.speedup == pytest.approx(1.7 * 20 / 28)


def test_lengths_between_are_cut_from_the_next_longer_record(base: Base, tmp_path: Path) -> None:
    surfaces = surfaces_of((), write_surface(tmp_path / "costs.json"))
    ((found,), _) = predict(base, surfaces, Change(), [3], [4], is_named=True)
    assert found.emitted == pytest.approx(1 + 0.6 + 0.3 + 0.15)
    assert found.speedup == pytest.approx(2.05 * 20 / (32 + 4 + 2))
    assert found.measured is None and found.error is None


@pytest.mark.parametrize(
    ("gamma", "requests", "change", "says"),
    [
        (5, 1, {}, "gamma 5: acceptance was recorded for drafts up to 4; valid: gamma up to 4"),
        (
            *(5, 1, {"alpha": 0.5}),
            "gamma 5, 1 request at a time: costs.json: costs are profiled for drafts up to 4",
        ),
        (
            *(2, 5, {}),
            "gamma 2, 5 requests at once: costs.json: costs are profiled for 1 to 4 requests at",
        ),
        (2, 1, {"accepted_length": 3.1}, "gamma 2: --accepted-length is 3.1; valid: 1 to 3"),
        (4, 1, {"acceptance_scale": 1.7}, "gamma 4: --acceptance-scale is 1.7, and 0.600 is"),
        (4, 1, {"acceptance_scale": 1.7}, "valid: 0 to 1.667"),
    ],
)
def test_nothing_is_extrapolated(
    base: Base, tmp_path: Path, gamma: int, requests: int, change: dict[str, float], says: str
) -> None:
    surfaces = surfaces_of((), write_surface(tmp_path / "costs.json"))
    with pytest.raises(ResultsError) as caught:
        predict(base, surfaces, Change(**change), [gamma], [requests], is_named=True)
    assert says in str(caught.value)


def test_what_can_be_predicted_is_and_the_rest_has_a_reason_each(
    base: Base, tmp_path: Path
) -> None:
    surfaces = surfaces_of((), write_surface(tmp_path / "costs.json"))
    found, reasons = predict(base, surfaces, Change(), [2, 5], [1, 8], is_named=True)
    assert [(item.gamma, item.requests) for item in found] == [(2, 1)]
    assert [reason.partition(":")[0] for reason in reasons] == [
        "gamma 5",  # acceptance is the same at every load
        "gamma 2, 8 requests at once",
    ]


def test_without_a_record_the_supposed_acceptance_stands_alone(base: Base, tmp_path: Path) -> None:
    longer = {"widths": [0, 1, 2, 8], "slots": [1, 2, 8]}
    surfaces = surfaces_of((), write_surface(tmp_path / "costs.json", **longer))
    ((found,), _) = predict(base, surfaces, Change(alpha=0.5), [8], [1], is_named=True)
    assert found.emitted == pytest.approx(2 - 0.5**8)
    assert (found.as_recorded, found.plain, found.error) == (None, None, None)


def test_without_costs_the_reason_says_how_to_get_them(tmp_path: Path, base: Base) -> None:
    with pytest.raises(ResultsError, match=r"1 request at a time and gamma 2, 4 only"):
        predict(base, (), Change(), [2], [4])
    folder = write_sweep(tmp_path / "bare", [point("a", 1.2, gamma=1)])
    write_counts(folder, "a", 10, [5], [5])
    with pytest.raises(ResultsError, match="no cost profile is stored; `dspark-bench profile`"):
        predict(find_base(gather(folder)), (), Change(), [1], [1])


def test_a_position_that_was_never_decided_is_a_reason(tmp_path: Path) -> None:
    """All cycles ended with an accepted end of text at position 1."""
    folder = write_sweep(tmp_path / "s", [point("a", 1.2, gamma=2)])
    write_counts(folder, "a", 10, [10, 0], [0, 0])
    with pytest.raises(ResultsError, match="no draft was ever decided at position 2"):
        predict(find_base(gather(folder)), (), Change(), [2], [1])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"alpha": 1.5}, "--alpha is 1.5; valid: 0 to 1"),
        ({"alpha": float("nan")}, "--alpha is nan"),
        ({"acceptance_scale": -1.0}, "--acceptance-scale is -1.0; valid: 0 or more"),
        ({"acceptance_scale": float("inf")}, "--acceptance-scale is inf"),
        ({"accepted_length": 0.5}, "--accepted-length is 0.5; valid: 1 to gamma + 1"),
        ({"draft_factor": -0.1}, "--draft-cost-factor is -0.1; valid: 0 or more"),
        ({"alpha": 0.5, "accepted_length": 2.0}, "--alpha and --accepted-length both say"),
    ],
)
def test_numbers_that_mean_nothing_are_refused(change: dict[str, float], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        Change(**change)
    assert says in str(caught.value)
