"""Bounds against scipy, and resampling that never compares a run with itself."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from dspark_bench.evidence.bench_gate import judge, repetition
from dspark_bench.evidence.bench_gate_text import tally, upper_bound
from dspark_bench.evidence.gate_runs import noise_for
from dspark_bench.evidence.gate_tables import ReplayTables, walk


@pytest.mark.parametrize(("count", "n"), [(0, 2000), (0, 20), (3, 50), (40, 2000)])
def test_upper_bounds_are_clopper_pearson(count: int, n: int) -> None:
    exact = stats.beta.ppf(0.95, count + 1, n - count)
    assert upper_bound(count, n) == pytest.approx(exact, rel=1e-6)


def test_nothing_bounds_a_rate_of_one() -> None:
    assert upper_bound(5, 5) == 1.0


def tables(chance: float, size: int = 40, places: int = 60) -> ReplayTables:
    """Two slots; the drafter gives a recorded token `chance` of what the target gives it."""
    shape = (size, places, 2)
    return ReplayTables(
        tuple(range(size)),
        np.full(shape, 0.5),
        np.full(shape, 0.5 * chance),
        np.full(shape, chance),
        np.full(size, places + 9),
        np.full(size, places),
    )


def test_a_repetition_draws_the_same_prompts_for_both_sides_with_other_draws() -> None:
    known = tables(0.6)
    known = replace(known, num_places=np.arange(20, 60))  # a prompt is told by its length
    (pair,) = repetition([known], [known], (1, 2), np.random.default_rng(0))
    chosen = np.random.default_rng(0).integers(40, size=40)
    first, second = np.flatnonzero(chosen == np.bincount(chosen).argmax())[:2]
    alike = known.resampled(chosen)
    assert alike.num_places.tolist() == (20 + chosen).tolist()
    assert pair.ours.accepted.tolist() == walk(alike, 0, 1).accepted.tolist()
    assert pair.theirs.accepted.tolist() == walk(alike, 0, 2).accepted.tolist()
    assert pair.ours.accepted.tolist() != pair.theirs.accepted.tolist()
    assert pair.ours.accepted[first].tolist() != pair.ours.accepted[second].tolist()


def test_noise_is_interpolated_in_its_square() -> None:
    assert noise_for([(0.2, 0.04), (0.1, 0.01)], 0.01) == pytest.approx(0.1)
    assert noise_for([(0.1, 0.01), (0.2, 0.04)], 0.0225) == pytest.approx(0.15, rel=0.02)
    with pytest.raises(ValueError, match="20%"):
        noise_for([(0.1, 0.01)], 0.2)


def test_verdicts_are_counted() -> None:
    found = tally("name", ["pass", "fail", "open", "pass"])
    assert (found.n, found.num_failed, found.num_open) == (4, 1, 1)
    assert found.row("1a2b3c4").startswith("| name | 4 | 25.0% (at most ")
    assert found.row("1a2b3c4").endswith(" | 1a2b3c4 |")


def test_the_judge_is_the_gates() -> None:
    def verdict(chance: float) -> str:
        pairs = repetition([tables(chance)], [tables(0.6)], (1, 2), np.random.default_rng(0))
        return judge(pairs)

    assert verdict(0.6) == "pass"
    assert verdict(0.5) == "fail"
