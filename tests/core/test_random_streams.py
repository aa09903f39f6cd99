import itertools
from collections import Counter

import numpy as np

from dspark_bench.core.random_streams import (
    cycle_noise,
    keyed_place,
    noise_block,
    request_key,
    split_noise,
)
from dspark_bench.core.types import Request
from dspark_bench.engine.state import ActiveRequest


def keys(*ids: int, seed: int = 0) -> np.ndarray:
    return np.array([request_key(seed, i) for i in ids], dtype=np.uint64)


def cycles(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.uint64)


def test_a_request_meets_the_same_noise_whoever_shares_its_batch() -> None:
    alone = cycle_noise(keys(7), cycles(3), 4)
    together = cycle_noise(keys(1, 7, 9), cycles(8, 3, 0), 4)
    assert np.array_equal(alone.draft[0], together.draft[1])
    assert np.array_equal(alone.accept[0], together.accept[1])
    assert alone.emit[0] == together.emit[1]


def test_slots_do_not_depend_on_how_many_are_drawn() -> None:
    few, many = (cycle_noise(keys(7), cycles(3), n) for n in (2, 16))
    assert np.array_equal(few.draft[0], many.draft[0, :2])
    assert np.array_equal(few.accept[0], many.accept[0, :2])
    assert few.emit[0] == many.emit[0]


def test_every_part_of_the_key_matters() -> None:
    """Seeds, requests and cycles that differ in one part, in high and low bits, and in several:
    no two share a number, whichever purpose or slot it is for.
    """
    ids = (0, 1, 2, 31, 32, 1 << 16, 1 << 40)
    count = 0
    seen: set[float] = set()
    for seed, request in itertools.product((0, 1, 2, -1, 1 << 33), ids):
        noise = cycle_noise(keys(*[request] * 9, seed=seed), cycles(*ids, 3, 64), 3)
        for part in (noise.draft, noise.accept, noise.emit):
            seen.update(part.ravel().tolist())
            count += part.size
    assert len(seen) == count == 5 * 7 * 9 * 7


def test_requests_of_neighbouring_seeds_do_not_share_a_stream() -> None:
    """A key is no sum of its parts: seed 1 of request 0 is not seed 0 of request 1."""
    pairs = itertools.product(range(40), range(40))
    assert len({request_key(seed, request) for seed, request in pairs}) == 1600


def test_a_block_of_cycles_holds_what_each_of_them_would_draw() -> None:
    key = request_key(3, 7)
    for first in (0, 32, 100):
        rows = noise_block(key, first, 5, 3)
        for place in range(5):
            alone = cycle_noise(keys(7, seed=3), cycles(first + place), 3)
            block = split_noise(rows, 3)
            assert np.array_equal(block.draft[place], alone.draft[0])
            assert np.array_equal(block.accept[place], alone.accept[0])
            assert block.emit[place] == alone.emit[0]


def test_draft_accept_and_emit_are_three_parts_of_a_row() -> None:
    noise = split_noise(np.arange(14, dtype=np.float64).reshape(2, 7), 3)
    assert noise.draft.tolist() == [[0, 1, 2], [7, 8, 9]]
    assert noise.accept.tolist() == [[3, 4, 5], [10, 11, 12]]
    assert noise.emit.tolist() == [6, 13]


NUM_CYCLES, NUM_SLOTS = 100, 7


def noise_of(seed: int, request_id: int) -> np.ndarray:
    """All that a request meets over its cycles [100, 15], as the engine draws it."""
    request = Request(request_id, "", "", (1,), 4)
    state = ActiveRequest(request, 0, 0, request_key(seed, request_id), 0.0, 0.0)
    rows = []
    for _ in range(NUM_CYCLES):
        rows.append(state.noise_row(NUM_SLOTS))
        state.cycle += 1
    return np.array(rows)


def test_no_number_comes_back_in_a_hundred_cycles() -> None:
    """Of any request, seed, purpose, cycle or slot: 100 cycles of 15 numbers, six streams."""
    streams = [noise_of(seed, request) for seed in (0, 1, -1) for request in (0, 1)]
    drawn = np.concatenate([stream.ravel() for stream in streams])
    assert np.unique(drawn).size == drawn.size == 6 * NUM_CYCLES * (2 * NUM_SLOTS + 1)


def test_what_the_engine_draws_is_keyed_by_seed_request_cycle_and_slot() -> None:
    """Drawn by blocks, in one go or cycle by cycle: the same numbers."""
    engine = noise_of(3, 7)
    for cycle in (0, 1, 31, 32, 33, 63, 64, 99):
        noise = cycle_noise(keys(7, seed=3), cycles(cycle), NUM_SLOTS)
        expected = np.concatenate([noise.draft[0], noise.accept[0], noise.emit])
        assert np.array_equal(engine[cycle], expected)
    assert np.array_equal(engine, noise_of(3, 7))
    other = [noise_of(4, 7), noise_of(3, 8), np.roll(engine, 1, 0), np.roll(engine, 1, 1)]
    assert not any((engine == noise).any() for noise in other)


def test_explored_places_are_spread_and_the_same_every_time() -> None:
    places = [keyed_place(block, 10) for block in range(1000)]
    assert places == [keyed_place(block, 10) for block in range(1000)]
    counts = Counter(places)
    assert set(counts) == set(range(10)) and min(counts.values()) > 60  # mean 100


def test_seed_zero_is_a_seed_and_negative_seeds_work() -> None:
    assert request_key(0, 0) != request_key(-1, 0) != request_key(1, 0)


def test_numbers_are_uniform_and_uncorrelated() -> None:
    n = 20_000
    noise = cycle_noise(keys(*range(n)), cycles(*([5] * n)), 2)
    columns = np.column_stack([noise.draft, noise.accept, noise.emit])
    assert columns.min() >= 0 and columns.max() < 1
    counts = np.stack([np.histogram(c, 20, (0, 1))[0] for c in columns.T])
    chi_square = ((counts - n / 20) ** 2 / (n / 20)).sum(1)
    assert chi_square.max() < 50  # 19 degrees of freedom: p = 1e-4 lies at 50.8
    correlation = np.corrcoef(columns.T) - np.eye(5)
    assert np.abs(correlation).max() < 4.5 / np.sqrt(n)
