import numpy as np

from dspark_bench.core.random_streams import cycle_noise, request_key


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
    def first(seed: int, request: int, cycle: int) -> tuple[float, ...]:
        noise = cycle_noise(keys(request, seed=seed), cycles(cycle), 2)
        return (*noise.draft[0], *noise.accept[0], noise.emit[0])

    base = first(0, 0, 0)
    assert len(set(base)) == 5
    for other in (first(1, 0, 0), first(0, 1, 0), first(0, 0, 1)):
        assert not set(base) & set(other)


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
