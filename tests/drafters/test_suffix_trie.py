"""The trie of suffixes: counts as by looking at every place, after growing and after forgetting."""

from collections.abc import Sequence

import pytest
import torch

from dspark_bench.drafters.earlier_outputs import EarlierOutputs
from dspark_bench.drafters.suffix_trie import (
    Node,
    SuffixTrie,
    Text,
    count_of,
    likeliest,
    shares,
)


def grown(trie: SuffixTrie, tokens: Sequence[int], text: Text | None = None) -> Text:
    text = text or Text()
    for token in tokens:
        trie.append(text, token)
    return text


def random_texts(seed: int, count: int, size: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 30, (count,), generator=generator).tolist()
    return [torch.randint(0, size, (n,), generator=generator).tolist() for n in lengths]


def places(texts: Sequence[Sequence[int]], piece: Sequence[int]) -> list[int | None]:
    """The token behind every place where a piece stands, None at the end of a text."""
    found: list[int | None] = []
    for text in texts:
        for start in range(len(text) - len(piece) + 1):
            end = start + len(piece)
            if list(text[start:end]) == list(piece):
                found.append(text[end] if end < len(text) else None)
    return found


def check(trie: SuffixTrie, texts: Sequence[Sequence[int]]) -> None:
    """Every piece that fits, and some that never were."""
    pieces = {
        tuple(text[start : start + length])
        for text in texts
        for start in range(len(text))
        for length in range(1, trie.max_depth + 1)
        if start + length <= len(text)
    }
    for piece in pieces:
        found = trie.find(piece)
        assert found is not None, piece
        behind = places(texts, piece)
        assert count_of(found) == len(behind), piece
        if len(piece) == trie.max_depth:
            continue
        tokens = [token for token in behind if token is not None]
        expected = {token: tokens.count(token) / len(tokens) for token in tokens}
        assert shares(found) == pytest.approx(expected), piece
        best = likeliest(found)
        assert (best is None) == (not expected)
        if best is not None:
            assert best[1] == pytest.approx(max(expected.values()))
            assert expected[best[0]] == pytest.approx(best[1])
    for token in range(9):
        if (token,) not in pieces:
            assert trie.find([token]) is None


@pytest.mark.parametrize(("size", "depth"), [(2, 5), (3, 3), (3, 24), (8, 4)])
def test_counts_are_those_of_every_place(size: int, depth: int) -> None:
    for seed in range(4):
        texts = random_texts(seed, 4, size)
        trie = SuffixTrie(depth)
        for text in texts:
            grown(trie, text)
        check(trie, texts)


def test_reading_in_between_changes_nothing() -> None:
    (text,) = random_texts(7, 1, 2)
    trie, growing = SuffixTrie(6), Text()
    for place, token in enumerate(text):
        trie.append(growing, token)
        check(trie, [text[: place + 1]])


@pytest.mark.parametrize(("size", "depth"), [(2, 5), (3, 24)])
def test_a_text_that_is_removed_was_never_there(size: int, depth: int) -> None:
    for seed in range(4):
        texts = random_texts(seed, 5, size)
        trie = SuffixTrie(depth)
        kept = [grown(trie, text).tokens for text in texts]
        check(trie, texts)
        for gone in (2, 0, 2):
            trie.remove(kept.pop(gone))
            texts.pop(gone)
            check(trie, texts)
        for text in kept:
            trie.remove(text)
        assert all(trie.find([token]) is None for token in range(size))


def test_the_ends_are_the_pieces_that_were_met_before() -> None:
    trie = SuffixTrie(4)
    text = grown(trie, [1, 2, 3, 1, 2])
    assert [node.count for node in text.ends] == [2, 2]
    grown(trie, [3, 1, 2, 3], text)
    assert len(text.ends) == 4 and [node.count for node in text.ends] == [3, 3, 3, 2]
    grown(trie, [9], text)
    assert text.ends == []


def test_of_equals_the_earlier_met_is_the_likeliest() -> None:
    trie = SuffixTrie(3)
    text = grown(trie, [5, 7, 5, 6, 5])
    assert likeliest(text.ends[0]) == (7, 0.5)
    grown(trie, [6, 5], text)
    assert likeliest(text.ends[0]) == (6, 2 / 3)


def num_nodes(trie: SuffixTrie) -> int:
    waiting, count = [trie._root], 0
    while waiting:
        node = waiting.pop()
        count += 1
        waiting += [child for child in node.children.values() if isinstance(child, Node)]
    return count


def test_what_repeats_nothing_takes_no_nodes() -> None:
    trie = SuffixTrie(24)
    grown(trie, range(500))
    assert num_nodes(trie) == 1
    grown(trie, [1000, *range(100, 110)])
    assert num_nodes(trie) == 1 + sum(range(1, 11))


def test_earlier_outputs_are_bounded_and_the_oldest_go_first() -> None:
    kept = EarlierOutputs(8, 10)
    kept.add((1,), [1, 2, 3, 4])
    kept.add((2,), [5, 6, 7, 8])
    assert kept.num_tokens == 8
    kept.add((3,), [9, 9, 9])
    assert kept.num_tokens == 7
    assert kept.trie.find([1]) is None and kept.trie.find([5, 6]) is not None
    kept.add((4,), [7] * 11)
    kept.add((5,), [])
    assert kept.num_tokens == 7
    kept.forget((2,))
    assert kept.num_tokens == 3 and kept.trie.find([5]) is None
    check(kept.trie, [[9, 9, 9]])
