"""A token's logits have the same bits whatever else is in the pass."""

import pytest
import torch
from torch import Tensor

from dspark_bench.models.attention import Span, plan_attention
from dspark_bench.models.kernels import team
from dspark_bench.models.target import TargetModel
from tests import tiny, tiny_families

LENGTH = 41
FAMILIES = (
    *(
        "qwen3-biased",
        "qwen2",
        "qwen2-mixed",
        "llama",
        "llama-one-head",
        "llama-many-heads",
        "llama-yarn",
    ),
    *("mistral-window", "mistral-window-of-one"),
)


@pytest.fixture(params=["qwen3", *FAMILIES])
def target(request: pytest.FixtureRequest) -> TargetModel:
    name = request.param
    found = tiny.target() if name == "qwen3" else tiny_families.target(name)
    assert found.is_batch_invariant
    return found


def text(seed: int) -> Tensor:
    return torch.randint(1, tiny.VOCAB, (LENGTH,), generator=torch.Generator().manual_seed(seed))


def read(
    target: TargetModel,
    chunks: list[int],
    row: int = 0,
    others: tuple[int, ...] = (),
    max_len: int = 64,
) -> Tensor:
    """Logits [LENGTH, V] of text 0 in `row`, read in these chunks beside the texts `others`."""
    found, done = [], 0
    rows = [row, *(place for place in range(len(others) + 1) if place != row)]
    texts = [text(0), *(text(seed) for seed in others)]
    with torch.inference_mode():
        cache = target.new_cache(len(rows), max_len)
        for size in chunks:
            spans = [Span(place, done, size) for place in rows]
            order = sorted(range(len(rows)), key=lambda i: rows[i])
            flat = torch.cat([texts[i][done : done + size] for i in order])
            logits = target.forward(
                flat, plan_attention([spans[i] for i in order], cache), cache
            ).logits
            first = order.index(0) * size
            found.append(logits[first : first + size])
            done += size
    return torch.cat(found)


ALONE = [1] * LENGTH


@pytest.mark.parametrize("others", [1, 2, 7, 32])
def test_neighbours_and_rows_do_not_matter(target: TargetModel, others: int) -> None:
    alone = read(target, ALONE)
    beside = tuple(range(1, others + 1))
    assert torch.equal(read(target, ALONE, 0, beside), alone)
    assert torch.equal(read(target, ALONE, others // 2, beside), alone)


@pytest.mark.parametrize("chunks", [[41], [3] * 13 + [2], [8] * 5 + [1], [5, 11, 25]])
def test_chunks_and_verified_lengths_do_not_matter(target: TargetModel, chunks: list[int]) -> None:
    assert torch.equal(read(target, chunks), read(target, ALONE))
    assert torch.equal(read(target, chunks, 1, (4, 5)), read(target, ALONE))


@pytest.mark.parametrize("max_len", [LENGTH, LENGTH + 3, LENGTH + 7])
def test_the_end_of_the_cache_does_not_matter(target: TargetModel, max_len: int) -> None:
    assert torch.equal(read(target, [5, 11, 25], 1, (4,), max_len), read(target, ALONE))


def test_neighbours_of_other_lengths_do_not_matter(target: TargetModel) -> None:
    with torch.inference_mode():
        cache = target.new_cache(3, 64)
        spans = [Span(0, 0, 5), Span(1, 0, LENGTH), Span(2, 0, 1)]
        flat = torch.cat([text(1)[:5], text(0), text(2)[:1]])
        logits = target.forward(flat, plan_attention(spans, cache), cache).logits
    assert torch.equal(logits[5 : 5 + LENGTH], read(target, ALONE))


def test_a_tree_s_branch_has_the_bits_of_its_chain(target: TargetModel) -> None:
    prompt = text(0)[:13]
    nodes, parents = torch.tensor([7, 11, 12, 20, 21]), (-1, 0, 0, 1, 2)
    chains = ((3, (7, 11, 20), (0, 1, 3)), (4, (7, 12, 21), (0, 2, 4)))
    with torch.inference_mode():
        cache = target.new_cache(2, 64)
        spans = [Span(0, 0, 13), Span(1, 0, 13)]
        target.forward(torch.cat([prompt, prompt]), plan_attention(spans, cache), cache)
        mixed = [Span(0, 13, 5, parents=parents), Span(1, 13, 3)]
        beside = torch.cat([nodes, torch.tensor([7, 11, 20])])
        tree = target.forward(beside, plan_attention(mixed, cache), cache).logits
        for _, tokens, places in chains:
            other = target.new_cache(1, 64)
            target.forward(prompt, plan_attention([Span(0, 0, 13)], other), other)
            plan = plan_attention([Span(0, 13, 3)], other)
            chain = target.forward(torch.tensor(tokens), plan, other).logits
            assert torch.equal(tree[list(places)], chain)
    assert torch.equal(tree[5:], tree[[0, 1, 3]])


def test_a_long_branch_that_comes_node_by_node_has_the_bits_of_its_chain(
    target: TargetModel,
) -> None:
    """What was cached of a tree lies between the context and the node that is read."""
    prompt, branch = text(0)[:3], text(1)[:38]
    parents = tuple(range(-1, len(branch) - 1))
    with torch.inference_mode():
        cache = target.new_cache(1, 64)
        target.forward(prompt, plan_attention([Span(0, 0, 3)], cache), cache)
        found = []
        for place in range(len(branch)):
            span = Span(0, 3, 1, None, parents[: place + 1], place)
            plan = plan_attention([span], cache)
            found.append(target.forward(branch[place : place + 1], plan, cache).logits)
        other = target.new_cache(1, 64)
        whole = torch.cat([prompt, branch])
        plan = plan_attention([Span(0, 0, len(whole))], other)
        chain = target.forward(whole, plan, other).logits
    assert torch.equal(torch.cat(found), chain[3:])


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_do_not_matter(
    target: TargetModel, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone, chunked = read(target, ALONE), read(target, [5, 11, 25], 1, (4, 5))
    monkeypatch.setattr(team, "LEAST_BYTES", 0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    assert torch.equal(read(target, ALONE), alone)
    assert torch.equal(read(target, [5, 11, 25], 1, (4, 5)), chunked)
