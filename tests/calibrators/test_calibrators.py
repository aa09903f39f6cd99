"""Each calibrator against its promises, on hand-made records."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspark_bench.calibrators.checkpoint import CheckpointCalibrator
from dspark_bench.calibrators.none import NoCalibrator
from dspark_bench.calibrators.online import OnlineCalibrator
from dspark_bench.core.calibration import StoredCalibration, from_log_odds, log_odds
from dspark_bench.core.errors import UsageError
from dspark_bench.core.protocols import Calibrator
from dspark_bench.core.records import CycleRecord
from tests.cycles import cycle_record

GAMMA = 4


def record(
    confidence: tuple[float, ...], accepted: int, rejected: bool, verified: int = GAMMA
) -> CycleRecord:
    return cycle_record(
        num_drafted=len(confidence),
        verify_len=verified,
        num_accepted=accepted,
        is_rejected=rejected,
        num_emitted=accepted + 1,
        full_width=True,
        confidence=confidence,
    )


def trained() -> OnlineCalibrator:
    """A calibrator that has learned something else at every position."""
    calibrator = OnlineCalibrator(GAMMA, None, damping=5, refit_cycles=1)
    rng = np.random.default_rng(0)
    for _ in range(40):
        table = rng.uniform(0.05, 0.95, (32, GAMMA)).tolist()
        accepted = rng.integers(0, GAMMA + 1, 32).tolist()
        rows = zip(table, accepted, strict=True)
        calibrator.observe([record(tuple(c), a, a < GAMMA) for c, a in rows])
    return calibrator


STORED = StoredCalibration((0.5, 1.0, 2.0, 4.0))
ALL: list[Calibrator] = [
    NoCalibrator(GAMMA, STORED),
    CheckpointCalibrator(GAMMA, STORED),
    trained(),
]
SHARE = st.floats(0, 1)
TABLE = st.lists(st.lists(SHARE, min_size=GAMMA, max_size=GAMMA), min_size=1, max_size=5)


@given(table=TABLE, place=st.integers(0, GAMMA - 1), which=st.sampled_from(ALL), other=SHARE)
def test_an_entry_depends_on_its_own_value_and_position_only(
    table: list[list[float]], place: int, which: Calibrator, other: float
) -> None:
    given_ = np.array(table)
    whole = which.calibrate(given_)
    changed = np.full_like(given_, other)
    changed[:, place] = given_[:, place]
    np.testing.assert_array_equal(which.calibrate(changed)[:, place], whole[:, place])
    narrow = which.calibrate(given_[:1, : place + 1])
    np.testing.assert_array_equal(narrow[0], whole[0, : place + 1])
    assert ((whole >= 0) & (whole <= 1)).all()


@given(low=SHARE, high=SHARE, which=st.sampled_from(ALL))
def test_every_map_is_monotone_and_pure(low: float, high: float, which: Calibrator) -> None:
    low, high = sorted((low, high))
    table = np.array([[low] * GAMMA, [high] * GAMMA])
    kept = table.copy()
    found = which.calibrate(table)
    assert (found[0] <= found[1]).all()
    np.testing.assert_array_equal(which.calibrate(table), found)
    np.testing.assert_array_equal(table, kept)


@pytest.mark.parametrize(
    "calibrator",
    [
        NoCalibrator(GAMMA, STORED),
        CheckpointCalibrator(GAMMA, None),
        OnlineCalibrator(GAMMA, STORED),
    ],
)
def test_cold_starts_are_the_identity(calibrator: Calibrator) -> None:
    table = np.linspace(0.001, 0.999, 20).reshape(5, GAMMA)
    np.testing.assert_allclose(calibrator.calibrate(table), table, rtol=1e-9)


def test_stored_temperatures_divide_log_odds_and_end_where_they_end() -> None:
    # odds 4:1; T = 2 halves the logarithm: 2:1. Position 2 is not stored and stays.
    calibrator = CheckpointCalibrator(2, StoredCalibration((2.0,)))
    np.testing.assert_allclose(calibrator.calibrate(np.array([[0.8, 0.8]])), [[2 / 3, 0.8]])


def test_online_learns_from_reached_positions_only() -> None:
    """Position 2 holds whenever it is reached; where it is not, its confidence would mislead."""
    misleading = [record((0.5, 0.9, 0.9, 0.9), 0, True)] * 300
    telling = [record((0.5, 0.9, 0.1, 0.5), 2, True)] * 300
    calibrator = OnlineCalibrator(GAMMA, None, damping=10, refit_cycles=1)
    for _ in range(20):
        calibrator.observe(misleading + telling)
    found = calibrator.calibrate(np.array([[0.5, 0.9, 0.1, 0.5]]))[0]
    assert found[0] == pytest.approx(0.5, abs=0.02)
    assert found[1] > 0.97
    assert found[2] < 0.03
    assert found[3] == 0.5, "position 4 was never reached"


def test_ends_and_length_cuts_are_no_rejections() -> None:
    """An end of sequence accepted at 1 (verify length clipped), and a draft cut short, all held."""
    calibrator = OnlineCalibrator(GAMMA, None, damping=10, refit_cycles=1)
    ended = record((0.5, 0.5, 0.5, 0.5), 1, False, verified=1)
    shortened = record((0.5, 0.5, 0.5, 0.5), 2, False, verified=2)
    for _ in range(20):
        calibrator.observe([ended, shortened] * 50)
    found = calibrator.calibrate(np.full((1, GAMMA), 0.5))[0]
    assert found[0] > 0.95
    assert found[1] > 0.95
    np.testing.assert_array_equal(found[2:], 0.5)


def test_online_recovers_a_bent_head_and_forgets_an_old_one() -> None:
    rng = np.random.default_rng(1)
    calibrator = OnlineCalibrator(1, None, memory=2000)

    def serve(bend: float, shift: float) -> None:
        for _ in range(200):
            truth = rng.uniform(0.1, 0.9, 64)
            shown = from_log_odds(log_odds(truth) * bend + shift)
            rows = zip(shown.tolist(), (rng.random(64) < truth).tolist(), strict=True)
            calibrator.observe([record((c,), int(a), not a, verified=1) for c, a in rows])

    truth = np.linspace(0.2, 0.8, 7)
    for bend, shift in ((2.0, 0.8), (0.6, -0.5)):
        serve(bend, shift)
        shown = from_log_odds(log_odds(truth) * bend + shift)
        found = calibrator.calibrate(shown[:, None])[:, 0]
        np.testing.assert_allclose(found, truth, atol=0.06)


def test_cycles_without_confidence_teach_nothing() -> None:
    calibrator = OnlineCalibrator(GAMMA, None, refit_cycles=1)
    calibrator.observe([record((), 0, False, verified=0)] * 50)
    calibrator.observe([])
    np.testing.assert_allclose(calibrator.calibrate(np.full((1, GAMMA), 0.3)), 0.3)


@pytest.mark.parametrize("key", ["damping", "memory", "refit_cycles"])
def test_values_out_of_range_are_named(key: str) -> None:
    with pytest.raises(UsageError, match=f"calibrator.{key} is 0; valid"):
        OnlineCalibrator(GAMMA, None, **{key: 0})


def test_positions_beyond_the_stored_ones_keep_their_confidence() -> None:
    stored = StoredCalibration((2.0, 4.0))
    table = np.full((1, GAMMA), 0.8)
    found = CheckpointCalibrator(GAMMA, stored).calibrate(table)[0]
    np.testing.assert_allclose(found, [2 / 3, 4**0.25 / (1 + 4**0.25), 0.8, 0.8])


def test_a_stored_calibration_that_is_longer_than_the_draft_is_cut() -> None:
    found = CheckpointCalibrator(2, STORED).calibrate(np.full((1, 2), 0.8))[0]
    np.testing.assert_allclose(found, [16 / 17, 0.8])


def test_the_refused_draft_is_learned_from() -> None:
    """Drafts that are always refused at once, at a confidence of one half."""
    calibrator = OnlineCalibrator(GAMMA, None, damping=10, refit_cycles=1)
    for _ in range(20):
        calibrator.observe([record((0.5,) * GAMMA, 0, True)] * 20)
    assert calibrator.calibrate(np.full((1, GAMMA), 0.5))[0, 0] < 0.1


def test_old_trials_fade_at_the_length_of_the_memory() -> None:
    """Counts of a position never exceed the memory; half of what is kept is the last half."""
    calibrator = OnlineCalibrator(1, None, memory=200, refit_cycles=1)
    for accepted in (1, 0):
        for _ in range(20):
            calibrator.observe([record((0.5,), accepted, not accepted, verified=1)] * 50)
            assert calibrator._counts[0].sum() <= 200 + 1e-9
    trials, held, _ = calibrator._counts[:, 0].sum(axis=1)
    assert held / trials < 0.02
