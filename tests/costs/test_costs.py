"""Each step cost by hand; the online one under a machine that changes."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from dspark_bench.core.cost_surface import CostSurface
from dspark_bench.core.errors import UsageError
from dspark_bench.core.records import CycleRecord
from dspark_bench.costs.flat import FlatCost
from dspark_bench.costs.online import OnlineCost
from dspark_bench.costs.profiled import ProfiledCost
from dspark_bench.costs.surface_file import FileCost
from tests.cycles import cycle_record

SURFACE = CostSurface(
    requests=(1, 4),
    widths=(0, 2),
    step_s=((1.0, 2.0), (4.0, 8.0)),
    slots=(1, 3),
    draft_s=((0.2, 0.4), (0.4, 1.0)),
    absorb_s=(0.1, 0.1),
    uneven_s=(0.0, 0.4),
)


def records(
    step_s: float, draft_s: float, lens: list[int], has_prefill: bool = False
) -> list[CycleRecord]:
    """One cycle of so many drafts per request, all verified."""
    size = len(lens)
    return [
        cycle_record(
            request_id=request_id,
            num_drafted=length,
            verify_len=length,
            is_rejected=length > 0,
            has_prefill=has_prefill,
            batch_size=size,
            batch_tokens=size + sum(lens),
            t_draft_s=draft_s,
            t_verify_s=step_s,
        )
        for request_id, length in enumerate(lens)
    ]


def test_a_profiled_step_by_hand() -> None:
    """Four requests, eight drafts in all: two each, so 8 s and 0.1 s of reading."""
    cost = ProfiledCost(SURFACE)
    assert cost.step_s(4, np.array([4, 8, 12])).tolist() == pytest.approx([4.1, 6.1, 8.1])
    assert cost.uneven_s(4) == 0.4 and cost.uneven_s(2) == pytest.approx(0.4 / 3)
    drafts = cost.draft_s(np.array([0.0, 1.0, 4.0]), 2)
    assert drafts.tolist() == pytest.approx([0.0, 0.3, 0.7])


def test_a_flat_cost_knows_nothing() -> None:
    cost = FlatCost()
    assert cost.step_s(3, np.array([3, 9])).tolist() == [1.0, 1.0]
    assert cost.draft_s(np.array([2.0]), 7).tolist() == [0.0]


def test_online_starts_at_the_profile_and_stays_there_when_it_holds() -> None:
    cost = OnlineCost(SURFACE)
    for _ in range(50):
        cost.observe(records(8.0, 0.8, [2, 2, 2, 2]))
    assert cost.factors == pytest.approx((1.0, 1.0, 1.0))


def drafting(cost: OnlineCost, slow: float, cycles: int, noise: Sequence[float] = ()) -> None:
    """Drafts of one and of two by turns, `slow` times as dear in the pass."""
    for cycle in range(cycles):
        lens, added, draft = ([2] * 4, 4.0, 0.8) if cycle % 2 else ([1] * 4, 2.0, 0.5)
        factor = np.exp(noise[cycle]) if noise else 1.0
        cost.observe(records((4.0 + slow * added) * factor, draft, lens))


def test_online_follows_a_machine_that_slows_down_and_recovers() -> None:
    """Everything three times as slow, then as before: 80 cycles each."""
    cost = OnlineCost(SURFACE)
    for slow in (3.0, 1.0):
        for cycle in range(80):
            lens, step, draft = ([2] * 4, 8.0, 0.8) if cycle % 2 else ([1] * 4, 6.0, 0.5)
            cost.observe(records(slow * step, slow * draft, lens))
        expected = np.array([6.1, 8.1]) * slow
        assert cost.step_s(4, np.array([8, 12])) == pytest.approx(expected, rel=0.05)
        assert cost.draft_s(np.array([4.0]), 2)[0] == pytest.approx(0.7 * slow, rel=0.05)


def test_online_learns_what_drafts_cost_beside_the_rest() -> None:
    """Three times slower drafts in the pass, everything else as before; then back again."""
    cost = OnlineCost(SURFACE)
    for slow in (3.0, 1.0):
        drafting(cost, slow, 50)
        assert cost.step_s(4, np.array([10]))[0] == pytest.approx(4.1 + 3 * slow, rel=0.05)
        drafting(cost, slow, 700)
        expected = 4.1 + slow * np.array([2.0, 4.0])
        assert cost.step_s(4, np.array([8, 12])) == pytest.approx(expected, rel=0.05)


def test_a_shape_that_is_no_longer_seen_is_forgotten() -> None:
    """Learned as three times dearer drafts; then one length only, over a machine as profiled."""
    cost = OnlineCost(SURFACE)
    drafting(cost, 3.0, 700)
    learned = cost.factors[1] / cost.factors[0]
    for _ in range(6000):
        cost.observe(records(8.0, 0.8, [2, 2, 2, 2]))
    base, added, _ = cost.factors
    assert learned > 2.5 and added / base < 1.3
    assert cost.step_s(4, np.array([12]))[0] == pytest.approx(8.1, rel=0.01)


def test_noise_does_not_bend_what_online_learned() -> None:
    """Cycles that differ by 15 % for nothing: drafts stay within a third of their price."""
    cost, rng = OnlineCost(SURFACE), np.random.default_rng(0)
    for _ in range(20):
        drafting(cost, 1.0, 50, noise=rng.normal(0.0, 0.15, 50).tolist())
        base, added, _ = cost.factors
        assert added / base == pytest.approx(1.0, rel=1 / 3)


def test_a_size_that_the_profile_has_wrong_is_no_fault_of_the_drafts() -> None:
    """Single requests take twice the profile's time, four exactly it; drafts cost as profiled.

    Each size keeps to one length, so nothing is seen of what drafts add.
    """
    cost = OnlineCost(SURFACE)
    for cycle in range(400):
        large = records(8.0, 0.8, [2, 2, 2, 2])
        cost.observe(large if cycle % 40 < 20 else records(2.0, 0.1, [0]))
    base, added, _ = cost.factors
    assert added / base == pytest.approx(1.0, rel=0.02)


def test_without_variety_online_keeps_the_profiles_shape() -> None:
    """Everything twice as slow, seen without drafts only: drafts are believed twice as dear."""
    cost = OnlineCost(SURFACE)
    for _ in range(100):
        cost.observe(records(8.0, 0.1, [0, 0, 0, 0]))
    assert cost.factors[0] == pytest.approx(2.0, rel=0.02)
    assert cost.factors[1] == pytest.approx(2.0, rel=0.1)


def test_one_stall_and_prompts_move_online_little() -> None:
    cost = OnlineCost(SURFACE)
    for _ in range(20):
        cost.observe(records(8.0, 0.8, [2, 2, 2, 2]))
    cost.observe(records(4000.0, 0.8, [2, 2, 2, 2]))
    assert cost.step_s(4, np.array([12]))[0] < 9.0
    before = cost.factors
    cost.observe(records(4000.0, 400.0, [2, 2, 2, 2], has_prefill=True))
    assert cost.factors == before


def test_a_file_holds_what_profile_wrote(tmp_path: Path) -> None:
    path = tmp_path / "surface.json"
    path.write_text(json.dumps({"surface": asdict(SURFACE)}))
    assert FileCost(path).step_s(4, np.array([12])).tolist() == pytest.approx([8.1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "No such file"),
        ("{", "no cost surface"),
        ("[]", "no cost surface"),
        ("{}", "it has no 'requests'"),
        (json.dumps(asdict(SURFACE) | {"widths": [1, 2]}), "its first is 0"),
        (json.dumps(asdict(SURFACE) | {"step_s": "x"}), "no cost surface"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "surface.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UsageError, match=message):
        FileCost(path)


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(UsageError, match="path is not given"):
        FileCost(None)
    with pytest.raises(UsageError, match="memory_cycles"):
        OnlineCost(SURFACE, memory_cycles=0.5)
    with pytest.raises(UsageError, match="clip"):
        OnlineCost(SURFACE, clip=0.0)
