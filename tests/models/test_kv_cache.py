from tests import tiny


def test_rows_are_handed_out_lowest_first() -> None:
    cache = tiny.target().new_cache(3, 8)
    assert [cache.acquire() for _ in range(3)] == [0, 1, 2]
    assert cache.num_free == 0
    cache.release(2)
    cache.release(0)
    assert cache.num_free == 2
    assert cache.acquire() == 0


def test_a_new_owner_starts_empty() -> None:
    cache = tiny.target().new_cache(1, 8)
    row = cache.acquire()
    cache.set_length(row, 5)
    cache.release(row)
    assert cache.lengths[cache.acquire()] == 0
