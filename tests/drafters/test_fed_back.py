"""Trees of drafters that run once per depth: each node is what its own chain would be."""

import pytest
import torch
from torch import Tensor

from dspark_bench.config.point_config import ZOO
from dspark_bench.core.types import ContextUpdate, DraftBatch, Request, SamplingParams
from dspark_bench.drafters.ar import AutoregressiveDrafter
from dspark_bench.drafters.eagle import EagleDrafter
from dspark_bench.drafters.fed_back import FedBackBranches
from dspark_bench.engine.match_acceptance import MatchAcceptance
from dspark_bench.engine.tree_drafts import TreeDrafts
from dspark_bench.models.checkpoint import read_tokenizer
from dspark_bench.models.kernels.choice import Wanted
from dspark_bench.models.target import TargetModel
from dspark_bench.trees.best_first import BestFirstTree
from dspark_bench.workloads.zoo_prompts import zoo_prompts
from tests import tiny

DRAFTERS = ("ar", "eagle")
CONTEXTS = (9, 2, 21)
ROWS = (2, 0, 1)
"""Cache row of each request: not in order."""
TREE = {
    0: [(7,), (41,), (7, 30), (7, 12), (41, 30), (7, 12, 60), (41, 30, 2), (41, 30, 60)],
    1: [(3,), (3, 3), (3, 3, 3)],
    2: [(50,), (51,), (52,), (52, 1), (50, 1), (50, 2), (50, 2, 9), (52, 1, 9)],
}
"""Prefixes expanded, in a tree of each request."""
DEPTH = 4


def on_torch(name: str) -> tiny.Drafter:
    made = AutoregressiveDrafter if name == "ar" else EagleDrafter
    return made(tiny.drafter_dir(name), tiny.target(kernels=Wanted.TORCH))


def filled(name: str, max_len: int = 40, kernels: Wanted = Wanted.AUTO) -> tiny.Drafter:
    """A drafter with three contexts in its cache."""
    drafter = tiny.drafter(name) if kernels is Wanted.AUTO else on_torch(name)
    drafter.allocate(3, max_len)
    drafter.extend(context(name, CONTEXTS))
    return drafter


def context(name: str, lens: tuple[int, ...], seed: int = 3) -> ContextUpdate:
    generator = torch.Generator().manual_seed(seed)
    total, width = sum(lens), 32 * len(tiny.drafter(name).spec.feature_layers)
    tokens = torch.randint(1, tiny.VOCAB, (total,), generator=generator)
    features = torch.randn(total, width, generator=generator)
    return ContextUpdate(ROWS, (0,) * len(lens), lens, tokens, tokens.roll(-1), features)


def batch(requests: list[int], temperature: float, forced: Tensor | None = None) -> DraftBatch:
    return DraftBatch(
        rows=tuple(ROWS[request] for request in requests),
        context_lens=tuple(CONTEXTS[request] for request in requests),
        anchors=torch.full((len(requests),), 5),
        draft_lens=(DEPTH,) * len(requests),
        sampling=SamplingParams(temperature, top_k=20),
        uniform=torch.zeros(len(requests), DEPTH, dtype=torch.float64),
        forced=forced,
    )


def expanded(branches: FedBackBranches, seed: int = 0) -> dict[tuple[int, tuple[int, ...]], Tensor]:
    """What follows every prefix of TREE, level by level, rows in a shuffled order."""
    shuffle = torch.Generator().manual_seed(seed)
    places: dict[tuple[int, tuple[int, ...]], int] = {}
    found: dict[tuple[int, tuple[int, ...]], Tensor] = {}
    for depth in range(DEPTH):
        here = [(r, p) for r in TREE for p in [(), *TREE[r]] if len(p) == depth]
        here = [here[i] for i in torch.randperm(len(here), generator=shuffle).tolist()]
        origins = torch.tensor([places[r, p[:-1]] for r, p in here]) if depth else None
        last = torch.tensor([p[-1] if p else 5 for _, p in here])
        probs = branches.expand(torch.tensor([r for r, _ in here]), last, origins)
        places = {key: row for row, key in enumerate(here)}
        found |= dict(zip(here, probs, strict=True))
    return found


@pytest.mark.parametrize("name", DRAFTERS)
@pytest.mark.parametrize(
    ("max_len", "kernels"), [(26, Wanted.AUTO), (40, Wanted.AUTO), (26, Wanted.TORCH)]
)
def test_a_node_has_the_law_of_the_chain_that_ends_in_it(
    name: str, max_len: int, kernels: Wanted
) -> None:
    """At 26 places a row there is no room for the nodes, and the cache is made longer."""
    with torch.inference_mode():
        drafter = filled(name, max_len, kernels)
        found = expanded(drafter.branch(batch([0, 1, 2], 0.7)))
        for (request, prefix), law in found.items():
            padded = torch.tensor([[*prefix, *(1,) * (DEPTH - len(prefix))]])
            chain = filled(name, 40, kernels).propose(batch([request], 0.7, padded)).probs
            assert chain is not None
            torch.testing.assert_close(law, chain[0, len(prefix)], atol=2e-5, rtol=1e-4)


def test_a_node_does_not_see_other_branches() -> None:
    """Not even of its own request: with or without them, the same bits."""
    with torch.inference_mode():
        found = expanded(filled("ar").branch(batch([0, 1, 2], 0.7)))
        branches = filled("ar").branch(batch([0], 0.7))
        zero = torch.zeros(1, dtype=torch.long)
        branches.expand(zero, torch.tensor([5]), None)
        for depth, token in enumerate((41, 30, 2)):
            alone = branches.expand(zero, torch.tensor([token]), zero)
            torch.testing.assert_close(alone[0], found[0, (41, 30, 2)[: depth + 1]])


def test_the_order_of_rows_makes_no_difference() -> None:
    with torch.inference_mode():
        found = [expanded(filled("ar").branch(batch([0, 1, 2], 0.7)), seed) for seed in (0, 1)]
    for key, law in found[0].items():
        torch.testing.assert_close(law, found[1][key], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", DRAFTERS)
def test_committed_entries_keep_their_bits(name: str) -> None:
    with torch.inference_mode():
        plain, grown = filled(name), filled(name)
        expanded(grown.branch(batch([0, 1, 2], 0.7)))
        for drafter in (plain, grown):
            more = context(name, (3, 1, 2), seed=8)
            drafter.extend(
                ContextUpdate(
                    ROWS, CONTEXTS, more.counts, more.token_ids, more.next_token_ids, more.features
                )
            )
        after = [
            drafter.propose(
                DraftBatch(
                    ROWS,
                    (12, 3, 23),
                    torch.tensor([5, 6, 7]),
                    (2, 2, 2),
                    SamplingParams(1.0),
                    torch.full((3, 2), 0.4, dtype=torch.float64),
                )
            )
            for drafter in (plain, grown)
        ]
    assert torch.equal(after[0].token_ids, after[1].token_ids)
    assert after[0].probs is not None and after[1].probs is not None
    assert torch.equal(after[0].probs, after[1].probs)


def test_without_draws_a_branch_is_ranked_by_the_plain_law() -> None:
    with torch.inference_mode():
        drafter = filled("ar")
        zeros = torch.zeros(1, dtype=torch.long)
        law = drafter.branch(batch([0], 0.0)).expand(zeros, torch.tensor([5]), None)
    assert torch.all(law.sum(-1) > 0.999) and torch.all(law > 0)


@pytest.mark.parametrize("name", DRAFTERS)
@pytest.mark.parametrize(("concurrency", "max_len"), [(1, 66), (4, 128)])
def test_greedy_output_is_the_baseline_s(name: str, concurrency: int, max_len: int) -> None:
    served = tiny.requests(6, 16)
    drafter = TreeDrafts(tiny.drafter(name), BestFirstTree(7))
    made = tiny.serve(
        served,
        drafter,
        4,
        concurrency,
        temperature=0.0,
        max_len=max_len,
        acceptance=MatchAcceptance(),
    )
    plain = tiny.serve(served, None, concurrency=concurrency, temperature=0.0)
    assert tiny.outputs(made) == tiny.outputs(plain)
    assert max(record.num_accepted for record in made.cycles) > 0


def test_the_zoo_s_trees_hold_their_chains_and_the_baseline_s_output() -> None:
    target = TargetModel.load(ZOO / "target", torch.float32, tiny.CPU)
    drafter = AutoregressiveDrafter(ZOO / "drafters" / "ar", target)
    tokenizer = read_tokenizer(ZOO / "target")
    served = [
        Request(i, prompt.id, "code", tuple(tokenizer.encode(prompt.text).ids[:60]), 20)
        for i, prompt in enumerate(zoo_prompts("code", "test")[:3])
    ]
    settings = {"concurrency": 2, "temperature": 0.0, "model": target, "max_len": 100}
    plain = tiny.serve(served, None, **settings)
    tree = TreeDrafts(drafter, BestFirstTree(10))
    made = tiny.serve(served, tree, acceptance=MatchAcceptance(), **settings)
    chain = tiny.serve(served, drafter, **settings)
    assert tiny.outputs(made) == tiny.outputs(plain)
    # ten nodes hold the chain's likeliest tokens and more: fewer passes of the target
    assert len(made.cycles) < len(chain.cycles) < len(plain.cycles)
