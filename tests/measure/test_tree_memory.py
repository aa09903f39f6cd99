"""What judging a tree takes, by arithmetic."""

import pytest

from dspark_bench.core.errors import UsageError
from dspark_bench.measure.tree_memory import check_rows, rows_bytes


def test_a_row_for_every_node_and_anchor_of_every_request() -> None:
    assert rows_bytes(1024, 2, 150_000, False) == 2 * 1025 * 150_000 * 16
    assert rows_bytes(1024, 1, 150_000, True) == 1025 * 150_000 * 4


def test_the_most_nodes_that_fit_are_named_and_fit() -> None:
    room = 6 * 2**30
    check_rows(1024, 2, 150_000, True, room)
    with pytest.raises(UsageError) as caught:
        check_rows(1024, 4, 150_000, False, room)
    message = str(caught.value)
    assert "takes 9.2 GiB, and this device has 6.0 GiB; valid: up to 670 nodes" in message
    assert rows_bytes(670, 4, 150_000, False) <= room < rows_bytes(671, 4, 150_000, False)
    with pytest.raises(UsageError, match=r"valid: fewer requests$"):
        check_rows(8, 4, 150_000, False, 4 * 150_000 * 16)
