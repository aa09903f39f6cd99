from tests import tiny


def test_rows_are_handed_out_lowest_first() -> None:
    cache = tiny.target().new_cache(3, 8)
    assert [cache.acquire() for _ in range(3)] == [0, 1, 2]
    assert cache.num_free == 0
    cache.release(2)
    cache.release(0)
    assert cache.num_free == 2
    assert cache.acquire() == 0


def test_a_row_that_is_given_back_is_empty() -> None:
    cache = tiny.target().new_cache(2, 8)
    row = cache.acquire()
    cache.set_length(row, 5)
    assert cache.lengths[row] == 5
    cache.release(row)
    assert cache.lengths[row] == 0


def test_a_new_owner_starts_empty_whatever_was_written_while_nobody_held_the_row() -> None:
    """A cycle commits lengths of requests that it has just ended."""
    cache = tiny.target().new_cache(2, 8)
    row = cache.acquire()
    cache.release(row)
    cache.set_length(row, 5)
    assert cache.acquire() == row
    assert cache.lengths[row] == 0
