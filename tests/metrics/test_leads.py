"""Leads among several arms: by hand, what equal arms are called, and that a seed settles it."""

import time
from dataclasses import replace

import numpy as np
import pytest

from dspark_bench.metrics.leads import ArmSums, Leads, find_leads
from dspark_bench.metrics.log_ratio import log_ratio
from dspark_bench.metrics.student import two_sided

_NAMES = tuple("abcdefghijkl")
Speeds = tuple[float, ...]


def _arms(speeds: Speeds, num_units: int, noise: float, seed: int = 0) -> ArmSums:
    """Arms of these speeds over units of uneven size; a baseline of speed 1 that they share."""
    random = np.random.default_rng(seed)
    size = np.exp(random.normal(3, 0.5, num_units))
    scatter = np.exp(noise * random.standard_normal((len(speeds), num_units)))
    time_s = size / np.array(speeds)[:, None] * scatter
    shared = np.broadcast_to(size, time_s.shape)
    return ArmSums(_NAMES[: len(speeds)], np.stack([shared, time_s, shared, shared], axis=-1))


def test_the_fastest_wins_and_who_may_be_as_fast_ties() -> None:
    found = find_leads(_arms((1.5, 2.0, 1.99, 1.0), 40, 0.05))
    assert [found.winner, *(lead.challenger for lead in found.leads)][2:] == ["a", "d"]
    assert set(found.ties) == {"b", "c"} and found.beaten == ("a", "d")
    assert found.num_units == 40 and found.reason is None
    assert found.p_value is not None and found.p_value <= 0.05


def test_a_lead_is_a_ratio_of_pooled_speedups() -> None:
    table = np.array([[[8.0, 2, 8, 8], [2.0, 2, 2, 2]], [[8.0, 8, 8, 8], [2.0, 2, 2, 4]]])
    found = find_leads(ArmSums(("a", "b"), table))
    assert found.winner == "a"
    assert found.leads[0].ratio.value == pytest.approx((10 / 4) / (10 / 10) / (10 / 10 * 12 / 10))


def test_the_interval_is_one_of_all_pairs() -> None:
    arms = _arms((1.0, 1.1, 1.2), 30, 0.1)
    found = find_leads(arms)
    winner, other = (_NAMES.index(name) for name in (found.winner, found.leads[0].challenger))
    pair = np.concatenate([arms.table[winner], arms.table[other]], axis=-1)
    parts = log_ratio(pair, (1, -1, -1, 1, -1, 1, 1, -1))
    reach = parts.widening * two_sided(1 - 0.05 / 3, float(parts.degrees)) * parts.error
    assert found.leads[0].ratio.low == pytest.approx(np.exp(parts.value - reach))
    looked = find_leads(arms, num_looks=4).leads[0].ratio
    assert looked.low is not None and found.leads[0].ratio.low is not None
    assert looked.low < found.leads[0].ratio.low


def test_both_judges_must_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    arms = _arms((1.0, 1.5), 12, 0.02)
    assert find_leads(arms).beaten == ("a",)

    def doubtful(*args: object) -> tuple[float, np.ndarray[tuple[int], np.dtype[np.float64]]]:
        return 0.06, np.array([0.06, 0.06])

    monkeypatch.setattr("dspark_bench.metrics.leads._randomise", doubtful)
    assert find_leads(arms).beaten == ()
    monkeypatch.setattr(
        "dspark_bench.metrics.leads._randomise", lambda *_: (0.03, np.full(2, 0.03))
    )
    assert find_leads(arms).beaten == ("a",)
    assert find_leads(arms, num_looks=2).beaten == ()  # both share their error over the looks
    level = ArmSums(arms.labels, arms.table[[0, 0]])
    assert find_leads(level).beaten == ()


def test_no_verdict_below_six_units() -> None:
    few = find_leads(_arms((1.0, 3.0), 5, 0.001))
    assert few.beaten == () and few.p_value is None
    assert few.reason == "5 units: no verdict below 6"
    assert few.leads[0].ratio.low is not None and few.leads[0].ratio.low > 1
    assert find_leads(_arms((1.0, 3.0), 6, 0.001)).beaten == ("a",)


def test_one_arm_has_nobody_to_beat() -> None:
    found = find_leads(_arms((1.0,), 9, 0.1))
    assert (found.winner, found.leads, found.p_value) == ("a", (), None)
    assert found.reason is not None and "nothing to compare" in found.reason


def test_equal_records_are_no_lead() -> None:
    arms = _arms((1.0, 1.0, 1.0), 12, 0.1)
    same = find_leads(ArmSums(arms.labels, np.repeat(arms.table[:1], 3, axis=0)))
    assert (same.winner, same.beaten, same.p_value) == ("a", (), 1.0)
    assert same.reason is not None and "one run counted twice" in same.reason


def test_a_lead_without_scatter_is_not_clear_and_leaves_the_others_theirs() -> None:
    """Half the time in every unit: six units alike are no interval, however large the lead."""
    arms = _arms((2.0, 1.0), 12, 0.1)
    third = arms.table[0] * [1, 1.25, 1, 1]
    found = find_leads(ArmSums(("a", "b", "c"), np.concatenate([arms.table, third[None]])))
    assert (found.winner, found.beaten, found.ties) == ("a", ("b",), ("a", "c"))
    assert found.reason is None and found.leads[0].ratio.low is None


def test_one_unit_that_is_everything_gives_no_verdict() -> None:
    table = np.zeros((2, 8, 4))
    table[:, 0] = 1.0
    table[1, 0, 1] = 2.0
    found = find_leads(ArmSums(("a", "b"), table))
    assert found.beaten == () and found.reason is not None and "holds all" in found.reason


def test_equal_arms_are_seldom_beaten() -> None:
    """Judged one lead at a time, somebody would be in a third of these."""
    sets = [_arms((1.0,) * 6, 12, 0.1, seed) for seed in range(120)]
    beaten = sum(bool(find_leads(arms, num_draws=99).beaten) for arms in sets)
    assert beaten <= 120 * 0.05 + 2 * 2.4


def test_the_randomisation_takes_the_largest_of_all_pairs() -> None:
    """The largest of six arms' leads comes of chance far more often than the same two arms' own."""
    arms = _arms((1.0,) * 6, 24, 0.1, seed=3)
    found = find_leads(arms)
    ends = [_NAMES.index(found.winner), _NAMES.index(found.leads[-1].challenger)]
    alone = find_leads(ArmSums(("a", "b"), arms.table[ends]))
    assert alone.p_value is not None and found.p_value is not None
    assert found.p_value > 3 * alone.p_value


def test_randomisation_is_exact_for_two_arms_of_six_units() -> None:
    """Of 64 relabellings only two, all and none, have the largest lead: p is 1/32."""
    table = np.ones((2, 6, 4))
    table[1, :, 1] = 1.1, 1.2, 1.15, 1.3, 1.25, 1.12
    found = find_leads(ArmSums(("a", "b"), table), num_draws=20_000)
    assert found.p_value == pytest.approx(1 / 32, abs=0.005)


def test_no_chance_is_nil() -> None:
    """The labels as they were count as one of the draws."""
    assert find_leads(_arms((1.0, 3.0), 30, 0.01), num_draws=99).p_value == 1 / 100


def test_a_seed_settles_it() -> None:
    arms = _arms((1.0, 1.02, 1.03), 24, 0.1)
    same: list[Leads] = [find_leads(arms, seed=seed) for seed in (1, 1, 2)]
    assert same[0] == same[1]
    assert same[0].p_value != same[2].p_value


def test_what_no_run_gives_is_refused() -> None:
    arms = _arms((1.0, 2.0), 6, 0.1)
    for table in (arms.table[:1], arms.table[..., :3], -arms.table, arms.table * np.nan):
        with pytest.raises(ValueError, match="table"):
            replace(arms, table=table)
    with pytest.raises(ValueError, match="each once"):
        replace(arms, labels=("a", "a"))
    with pytest.raises(ValueError, match="no tokens or no time"):
        replace(arms, table=arms.table * [1, 0, 1, 1])
    with pytest.raises(ValueError, match="num_looks is 0"):
        find_leads(arms, num_looks=0)


def test_twelve_arms_take_under_a_second() -> None:
    arms = _arms((1.0,) * 12, 96, 0.1)
    started_s = time.process_time()
    find_leads(arms)
    assert time.process_time() - started_s < 1.5  # 0.3 s on a free core
