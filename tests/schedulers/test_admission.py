"""Admission by hand, against brute force, and what it may and may not depend on."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspark_bench.schedulers.admission import (
    FloatArray,
    causal_greedy,
    global_best,
    rank,
    top,
)


def affine(base: float, per_draft: float, most: int = 12) -> FloatArray:
    return base + per_draft * np.arange(most + 1)


def test_three_candidates_by_hand() -> None:
    """Theta: 2/2=1, 2.9/2.5, 3.4/3, 3.8/3.5 with step 2 + 0.5 drafts: the first one only."""
    survival = np.array([[0.9, 0.4], [0.5, 0.1]])
    assert causal_greedy(survival, [2, 2], 2, affine(2.0, 0.5, 4)) == [1, 0]
    assert global_best(survival, [2, 2], 2, affine(2.0, 0.5, 4)) == [1, 0]
    assert causal_greedy(survival, [2, 2], 2, affine(9.2, 0.1, 4)) == [2, 2]
    assert causal_greedy(survival, [2, 2], 2, affine(2.0, 1.0, 4)) == [0, 0]
    assert top(survival, [2, 2], 3) == [2, 1]
    assert top(survival, [2, 2], 0) == [0, 0]
    assert top(survival, [1, 2], 9) == [1, 2]


def test_the_early_stop_misses_what_lies_behind_a_dip() -> None:
    """A cost that steps up and then stays: the global search goes on, the causal one may not."""

    stairs = np.array([1.0, 1.6, 1.6, 1.6])
    survival = np.array([[0.5, 0.45, 0.4]])
    assert causal_greedy(survival, [3], 1, stairs) == [0]
    assert global_best(survival, [3], 1, stairs) == [3]


def test_equal_survival_is_settled_by_position_then_request() -> None:
    candidates = rank(np.array([[0.5, 0.5], [0.5, 0.2]]), [2, 2])
    assert candidates.requests.tolist() == [0, 1, 0, 1]
    assert top(np.full((3, 2), 0.5), [2, 2, 2], 4) == [2, 1, 1]


survivals = st.integers(1, 4).flatmap(
    lambda size: st.lists(
        st.lists(st.floats(0.0, 1.0), min_size=3, max_size=3), min_size=size, max_size=size
    )
)


@given(survivals, st.floats(0.1, 10.0), st.floats(0.01, 2.0), st.data())
def test_convex_costs_make_the_early_stop_optimal(
    conditional: list[list[float]], base: float, slope: float, data: st.DataObject
) -> None:
    """Against brute force over every combination of verify lengths."""
    survival = np.cumprod(np.array(conditional), axis=1)
    lens = [data.draw(st.integers(0, 3)) for _ in conditional]
    cost = affine(base, slope, sum(lens))

    def theta(chosen: tuple[int, ...]) -> float:
        size = len(lens)
        gained = sum(survival[i, :n].sum() for i, n in enumerate(chosen))
        return float((size + gained) / cost[sum(chosen)])

    best = max(theta(chosen) for chosen in product(*(range(n + 1) for n in lens)))
    for search in (causal_greedy, global_best):
        found = search(survival, lens, len(lens), cost)
        assert all(n <= limit for n, limit in zip(found, lens, strict=True))
        assert theta(tuple(found)) == pytest.approx(best, rel=1e-9)


@given(survivals, st.data())
def test_causal_admission_ignores_later_confidences(
    conditional: list[list[float]], data: st.DataObject
) -> None:
    """Whether k is admitted stays, whatever the confidences after k of that request become."""
    base = np.array(conditional)
    row = data.draw(st.integers(0, len(conditional) - 1))
    place = data.draw(st.integers(0, 2))
    changed = base.copy()
    changed[row, place + 1 :] = data.draw(st.floats(0.0, 1.0))
    lens = [3] * len(conditional)
    cost = affine(1.0, data.draw(st.floats(0.05, 1.0)), sum(lens))
    capacity = data.draw(st.integers(0, 9))
    for search in (
        lambda a: causal_greedy(a, lens, len(lens), cost),
        lambda a: top(a, lens, capacity),
    ):
        before = search(np.cumprod(base, axis=1))[row]
        after = search(np.cumprod(changed, axis=1))[row]
        assert (before > place) == (after > place)


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=6), st.floats(0.01, 1.0), st.data())
def test_a_single_draft_is_admitted_like_one_of_many(
    survival: list[float], slope: float, data: st.DataObject
) -> None:
    """A second request whose draft is empty takes the general way."""
    length = data.draw(st.integers(1, len(survival)))
    cost = affine(1.0, slope, length)
    one = causal_greedy(np.array([survival]), [length], 2, cost)
    two = causal_greedy(np.array([survival, survival]), [length, 0], 2, cost)
    assert one == two[:1]


def test_small_batches_are_admitted_as_large_ones_are() -> None:
    """Plain numbers and arrays: the same first fall of the same throughput, ties included."""
    rng = np.random.default_rng(1)
    for trial in range(500):
        size, longest = int(rng.integers(1, 4)), int(rng.integers(1, 8))
        lens = [longest, *map(int, rng.integers(1, longest + 1, size - 1))]
        survival = np.cumprod(rng.uniform(0.2, 1.0, (size, longest)), axis=1)
        survival = np.round(survival, 1) if trial % 3 == 0 else survival
        step_s = 2.0 + np.cumsum(rng.uniform(0.01, 0.6, sum(lens) + 1))
        candidates = rank(survival, lens)
        theta = candidates.throughput(size, step_s)
        falls = np.flatnonzero(theta[1:] <= theta[:-1])
        expected = candidates.lengths(int(falls[0]) if falls.size else theta.size - 1)
        assert causal_greedy(survival, lens, size, step_s) == expected
