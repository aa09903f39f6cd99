from dspark_bench.models.partition import partition


def test_decoding_requests_share_a_call_in_order_of_their_rows() -> None:
    assert partition([2, 1, 5], [7, 3, 4]) == [[1, 2, 0]]


def test_a_short_prompt_does_not_pad_those_who_decode() -> None:
    lens = [1] * 20 + [30]
    assert partition(lens, range(21)) == [list(range(20)), [20]]


def test_a_few_queries_of_padding_are_cheaper_than_a_call_of_ones_own() -> None:
    assert partition([1, 1, 8], range(3)) == [[0, 1, 2]]


def test_long_prompts_stay_alone_whatever_it_costs() -> None:
    assert partition([33, 33], range(2)) == [[0], [1]]


def test_prompts_of_like_length_share_a_call() -> None:
    assert partition([30, 31, 32], range(3)) == [[0, 1, 2]]
