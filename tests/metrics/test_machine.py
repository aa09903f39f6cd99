"""What the machine did during the turns, and when that is too much, by hand-made readings."""

import pytest

from dspark_bench.metrics.machine import Reading, Window, machine_warnings, summarise_machine


def _window(
    arm: str, start_s: float, before: dict[str, float], after: dict[str, float], **more: bool
) -> Window:
    def reading(time_s: float, values: dict[str, float]) -> Reading:
        return Reading(**{"time_s": time_s, "own_s": 0.0, **values})  # type: ignore[arg-type]

    return Window(
        arm,
        0,
        0,
        more.get("is_warmup", False),
        reading(start_s, before),
        reading(start_s + 2, after),
    )


def test_other_load_is_all_load_less_our_own() -> None:
    windows = [
        _window(
            "baseline", 0, {"busy_s": 10, "own_s": 1}, {"busy_s": 18, "own_s": 3}, is_warmup=True
        ),
        _window("baseline", 10, {"busy_s": 20, "own_s": 3}, {"busy_s": 23, "own_s": 5}),
        # between the turns somebody else worked 100 s, which no turn felt
        _window("speculative", 20, {"busy_s": 123, "own_s": 5}, {"busy_s": 128, "own_s": 7}),
    ]
    found = summarise_machine(windows, num_cores=4)
    assert (found.num_turns, found.elapsed_s) == (2, 4)
    assert found.other_cores == pytest.approx((1 + 3) / 4)
    assert found.other_cores_max == pytest.approx(1.5)
    assert found.other_cores_by_arm == {"baseline": 0.5, "speculative": 1.5}
    (line,) = found.as_json()["warnings"]
    assert line.startswith("other processes kept 1.0 of 4 cores busy (at most 1.5 in one turn")


def test_a_turn_that_was_served_in_stretches_is_judged_whole() -> None:
    """Three stretches of 0.1 s, others at work in two of them; the time in between is no turn's."""
    windows = [
        Window(
            "baseline", 0, 7, False, Reading(n, 0.0, 5.0 * n), Reading(n + 0.1, 0.0, 5.0 * n + add)
        )
        for n, add in enumerate((0.2, 0.0, 0.1))
    ]
    found = summarise_machine(windows, num_cores=2)
    assert (found.num_turns, found.elapsed_s) == (1, pytest.approx(0.3))
    assert found.other_cores_max == found.other_cores == pytest.approx(1.0)


def test_turns_too_short_to_be_judged_alone_have_no_worst() -> None:
    """Ten turns of 0.1 s: processor time is counted too coarsely to say which was the worst."""
    windows = [
        Window(
            "baseline", 0, n, False, Reading(n, 0.0, 2.0 * n), Reading(n + 0.1, 0.0, 2.0 * n + 0.2)
        )
        for n in range(10)
    ]
    found = summarise_machine(windows, num_cores=2)
    assert found.other_cores == pytest.approx(2.0) and found.other_cores_max is None
    (line,) = found.as_json()["warnings"]
    assert line == (
        "other processes kept 2.0 of 2 cores busy (limit 10%; every turn was too short to be "
        "judged alone)"
    )


def test_rounding_below_zero_is_cut_after_pooling() -> None:
    windows = [
        _window("baseline", 0, {"busy_s": 0, "own_s": 0}, {"busy_s": 2.02, "own_s": 2.0}),
        _window("baseline", 2, {"busy_s": 2.02, "own_s": 2.0}, {"busy_s": 4.0, "own_s": 4.0}),
    ]
    assert summarise_machine(windows, 4).other_cores == pytest.approx(0.0)


def test_swap_and_throttling_count_from_first_turn_to_last() -> None:
    keys = ("swap_in_bytes", "swap_out_bytes", "num_throttles", "steal_s", "quota_s")
    windows = [
        _window("baseline", 0, dict.fromkeys(keys, 5.0), dict.fromkeys(keys, 6.0)),
        _window("speculative", 9, dict.fromkeys(keys, 8.0), dict.fromkeys(keys, 8.0)),
    ]
    found = summarise_machine(windows, 2)
    assert (found.swap_in_bytes, found.swap_out_bytes, found.num_throttles) == (3, 3, 3)
    assert found.steal_share == pytest.approx(1 / (4 * 2))
    assert found.quota_share == pytest.approx(1 / 4)


def test_frequencies_are_the_extremes_over_all_readings() -> None:
    windows = [
        _window("baseline", 0, {"frequency_mhz": 3000.0}, {"frequency_mhz": 2500.0}),
        _window("baseline", 2, {"frequency_mhz": 2900.0}, {}),
    ]
    found = summarise_machine(windows, 2)
    assert (found.frequency_min_mhz, found.frequency_max_mhz) == (2500.0, 3000.0)


def test_what_is_not_reported_is_none_and_quiet() -> None:
    found = summarise_machine([_window("baseline", 0, {}, {})], 4)
    assert found.other_cores is None and found.frequency_max_mhz is None
    assert found.as_json()["warnings"] == []
    assert summarise_machine([], 4).other_cores is None
    assert machine_warnings({}) == () == machine_warnings({"num_cores": None, "other_cores": "x"})


@pytest.mark.parametrize(
    ("quiet", "noisy", "said"),
    [
        ({"other_cores": 0.4}, {"other_cores": 0.41}, "other processes kept 0.4 of 4"),
        ({"other_cores_max": 2.0}, {"other_cores_max": 2.01}, "at most 2.0 in one turn"),
        ({"steal_share": 0.01}, {"steal_share": 0.011}, "hypervisor took 1.1%"),
        ({"quota_share": 0.001}, {"quota_share": 0.01}, "CPU quota held the process back for 1.0%"),
        ({"num_throttles": 0}, {"num_throttles": 1}, "1 thermal throttling events"),
        ({"swap_in_bytes": 2**20}, {"swap_in_bytes": 2**20, "swap_out_bytes": 1}, "1.0 MiB were"),
        (
            {"frequency_min_mhz": 2700, "frequency_max_mhz": 3000},
            {"frequency_min_mhz": 2699, "frequency_max_mhz": 3000},
            "ran at 2699 to 3000 MHz",
        ),
    ],
)
def test_each_limit(quiet: dict[str, float], noisy: dict[str, float], said: str) -> None:
    assert machine_warnings({"num_cores": 4, **quiet}) == ()
    (line,) = machine_warnings({"num_cores": 4, **noisy})
    assert said in line


def test_short_turns_are_too_coarse_to_be_the_worst() -> None:
    reading = Reading(0.0, 0.0, busy_s=0.0)
    window = Window("baseline", 0, 0, False, reading, Reading(0.1, 0.0, busy_s=0.4))
    found = summarise_machine([window], 4)
    assert found.other_cores == pytest.approx(4.0) and found.other_cores_max is None


def test_what_happened_between_two_processes_is_nobodys() -> None:
    """Swap before an interruption and after; a neighbour's in between counts for no turn."""

    def window(start_s: float, own_s: float, swapped: float, more: float) -> Window:
        first = Reading(start_s, own_s, swap_in_bytes=swapped)
        last = Reading(start_s + 1, own_s + 1, swap_in_bytes=swapped + more)
        return Window("baseline", 0, int(start_s), False, first, last)

    windows = [window(0, 5, 0, 10), window(2, 7, 12, 0), window(90, 1, 9000, 3)]
    assert summarise_machine(windows, 2).swap_in_bytes == 12 + 3
