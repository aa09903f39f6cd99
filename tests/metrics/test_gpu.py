"""GPU samples by arm, and energy per token, by hand."""

import pandas as pd
import pytest

from dspark_bench.metrics.gpu import (
    energy_curve,
    gpu_values,
    label_samples,
    summarise_gpu,
    throttle_reasons,
    tokens_by_turn,
)
from dspark_bench.metrics.machine import Reading, Window
from tests.metrics.records import cycle


def _window(arm: str, block: int, start_s: float, end_s: float, is_warmup: bool = False) -> Window:
    return Window(arm, 0, block, is_warmup, Reading(start_s, 0.0), Reading(end_s, 0.0))


_WINDOWS = [
    _window("baseline", -1, 100.0, 101.0, is_warmup=True),
    _window("baseline", 0, 102.0, 104.0),
    _window("speculative", 0, 104.5, 105.5),
]
_TOKENS = {("baseline", 0, 0): 10, ("speculative", 0, 0): 20}


def _samples(**columns: list[object]) -> pd.DataFrame:
    times = [100.0, 102.0, 103.0, 104.0, 105.0, 106.0]
    return pd.DataFrame({"time_s": times, **columns})


def test_the_gpus_own_counter_between_the_ends_of_a_turn() -> None:
    samples = _samples(energy_j=[5000.0, 5100.0, 5200.0, 5300.0, 5400.0, 5600.0])
    found = summarise_gpu(samples, _WINDOWS, _TOKENS)
    ours, theirs = found["arms"]["speculative"], found["arms"]["baseline"]
    assert found["energy_source"] == "counter"
    assert theirs["energy_j"] == pytest.approx(200.0)
    assert theirs["energy_per_token_j"] == pytest.approx(20.0)
    # 104.5 to 105.5: half of 100 J and half of 200 J
    assert ours["energy_j"] == pytest.approx(150.0)
    assert ours["energy_per_token_j"] == pytest.approx(7.5)


def test_power_is_integrated_where_nothing_is_counted() -> None:
    samples = _samples(power_w=[100.0, 100.0, 200.0, 300.0, 300.0, 300.0], energy_j=[None] * 6)
    times, joules, source = energy_curve(samples)
    assert (source, list(times)[:2]) == ("power", [100.0, 102.0])
    assert list(joules) == [0.0, 200.0, 350.0, 600.0, 900.0, 1200.0]
    found = summarise_gpu(samples, _WINDOWS, _TOKENS)["arms"]
    assert found["baseline"]["energy_per_token_j"] == pytest.approx(400.0 / 10)
    assert found["baseline"]["power_mean_w"] == pytest.approx(200.0)
    assert found["baseline"]["power_max_w"] == 300.0


def test_turns_that_samples_do_not_enclose_have_no_energy() -> None:
    late = _samples(energy_j=[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).iloc[2:]
    found = summarise_gpu(late, _WINDOWS, _TOKENS)["arms"]
    assert found["baseline"]["energy_j"] is None
    assert found["baseline"]["energy_per_token_j"] is None
    assert found["speculative"]["energy_num_turns"] == 1
    nothing = summarise_gpu(_samples(), _WINDOWS, _TOKENS)
    assert nothing["energy_source"] is None
    assert nothing["arms"]["speculative"]["power_mean_w"] is None


def test_a_turn_that_was_served_in_stretches_counts_its_tokens_once() -> None:
    samples = _samples(energy_j=[0.0, 200.0, 300.0, 400.0, 500.0, 600.0])
    windows = [
        _window("baseline", 0, 101.0, 102.0),
        _window("speculative", 0, 102.0, 103.0),
        _window("baseline", 0, 103.0, 104.5),
        _window("speculative", 0, 104.5, 107.0),  # ends after the last sample
    ]
    found = summarise_gpu(samples, windows, _TOKENS)["arms"]
    assert found["baseline"]["energy_j"] == pytest.approx(100.0 + 150.0)
    assert found["baseline"]["energy_per_token_j"] == pytest.approx(25.0)
    assert found["baseline"]["energy_num_turns"] == 1
    assert found["speculative"]["energy_j"] is None


def test_arms_that_hand_over_faster_than_samples_tell_have_no_power() -> None:
    """What a sample shows is both arms' together; the clock's bounds are still the machine's."""
    windows = [_window("baseline", n, 102.0 + n, 102.1 + n) for n in range(3)]
    columns = {"power_w": [300.0] * 6, "utilisation": [0.5] * 6, "sm_clock_mhz": [900] * 6}
    found = summarise_gpu(_samples(**columns), windows, _TOKENS)["arms"]["baseline"]
    for name in ("energy_j", "energy_per_token_j", "power_mean_w", "utilisation_mean"):
        assert found[name] is None
    assert found["sm_clock_min_mhz"] == 900


def test_an_arm_sees_its_own_samples_and_reasons_only() -> None:
    samples = _samples(
        utilisation=[1.0, 0.2, 0.4, 0.6, 0.9, 0.0],
        sm_clock_mhz=[100, 1000, 1200, 1400, 900, 100],
        clock_reasons=["hw_thermal", "", "power_cap", "power_cap+gpu_idle", "gpu_idle", ""],
    )
    found = summarise_gpu(samples, _WINDOWS, _TOKENS)
    theirs, ours = found["arms"]["baseline"], found["arms"]["speculative"]
    assert (theirs["num_samples"], ours["num_samples"]) == (3, 1)
    assert theirs["utilisation_mean"] == pytest.approx(0.4)
    assert (theirs["sm_clock_min_mhz"], theirs["sm_clock_max_mhz"]) == (1000, 1400)
    assert theirs["clock_reasons"] == pytest.approx({"power_cap": 2 / 3, "gpu_idle": 1 / 3})
    assert throttle_reasons(found) == ("power_cap",)  # the warm-up's heat is not a turn's
    assert gpu_values(found)["gpu_throttle_reasons"] == "power_cap"
    assert gpu_values({"obstacle": "no NVML"}) == {}
    assert throttle_reasons({"arms": {"baseline": 3}}) == () == throttle_reasons({})


def test_samples_between_turns_belong_to_no_arm() -> None:
    found = label_samples(_samples(), _WINDOWS)
    assert found["time_s"].tolist() == [0.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    assert found["arm"].fillna("-").tolist() == [
        *("baseline", "baseline", "baseline", "baseline", "speculative", "-"),
    ]
    assert found["is_warmup"].iloc[0] and not found["is_warmup"].iloc[1]


def test_tokens_are_those_of_whole_measured_turns() -> None:
    rows = [
        cycle(num_emitted=3),
        cycle(num_emitted=4, has_prefill=True),
        cycle(num_emitted=9, is_warmup=True),
        cycle(arm="baseline", block=1, num_emitted=2),
    ]
    assert tokens_by_turn(pd.DataFrame(rows)) == {
        ("speculative", 0, 0): 7,
        ("baseline", 0, 1): 2,
    }
