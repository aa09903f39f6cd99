from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from dspark_bench.models.partition import GROUP_MAX_QUERY, partition


def test_decoding_requests_share_a_call_in_order_of_their_rows() -> None:
    assert partition([2, 1, 5], [7, 3, 4]) == [[1, 2, 0]]


def test_a_short_prompt_does_not_pad_those_who_decode() -> None:
    lens = [1] * 10 + [30] + [1] * 10
    assert partition(lens, range(21)) == [list(range(10)), [10], list(range(11, 21))]


def test_long_drafts_in_neighbouring_rows_get_a_call_of_their_own() -> None:
    assert partition([8] * 4 + [1] * 12, range(16)) == [[0, 1, 2, 3], list(range(4, 16))]


def test_a_few_queries_of_padding_are_cheaper_than_another_call() -> None:
    assert partition([1, 1, 8], range(3)) == [[0, 1, 2]]


def test_long_prompts_stay_alone_whatever_it_costs() -> None:
    assert partition([33, 1, 33], range(3)) == [[1], [0], [2]]


def test_nobody_makes_no_call() -> None:
    assert partition([], []) == []


@given(st.lists(st.integers(1, 40), max_size=70), st.data())
def test_everyone_is_in_one_call(lens: list[int], data: st.DataObject) -> None:
    rows = data.draw(st.permutations(range(len(lens))))
    groups = partition(lens, rows)
    assert sorted(i for group in groups for i in group) == list(range(len(lens)))
    for group in groups:
        assert all(rows[a] < rows[b] for a, b in pairwise(group))
        assert len(group) == 1 or max(lens[i] for i in group) <= GROUP_MAX_QUERY
