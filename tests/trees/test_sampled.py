"""`tree=sampled`: what it draws, what from, and the target's law under `multiround` and `match`."""

import re
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from dspark_bench.core import multi_round
from dspark_bench.core.errors import UsageError
from dspark_bench.core.protocols import Acceptance
from dspark_bench.core.records import RunResult
from dspark_bench.core.sampling import token_probs
from dspark_bench.core.types import (
    DraftBatch,
    DraftTree,
    PlanContext,
    Proposal,
    Request,
    SamplingParams,
    TreeSpec,
)
from dspark_bench.engine.acceptance import ExactAcceptance
from dspark_bench.engine.engine import Engine, EngineConfig
from dspark_bench.engine.exactness import P_MIN, chi_square, same_outputs_check
from dspark_bench.engine.markov import MarkovBranches, MarkovDrafter, MarkovTarget, count_sequences
from dspark_bench.engine.match_acceptance import MatchAcceptance
from dspark_bench.engine.multiround_acceptance import MultiRoundAcceptance
from dspark_bench.engine.tree_drafts import TreeDrafts
from dspark_bench.loads.closed import ClosedLoad
from dspark_bench.schedulers.fixed import FixedScheduler
from dspark_bench.trees.best_first import BestFirstTree
from dspark_bench.trees.sampled import SampledTree
from tests import tiny

REQUESTS = tiny.requests(7)
ROUNDS = MultiRoundAcceptance()
TARGET = torch.tensor([[0.68, 0.30, 0.02], [0.25, 0.45, 0.30], [0.40, 0.20, 0.40]])
DRAFT = torch.tensor([[0.10, 0.40, 0.50], [0.45, 0.25, 0.30], [0.30, 0.60, 0.10]])


def uniform(seed: int, *shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def drawn(policy: SampledTree, count: int, depth: int = 4, law: Tensor = DRAFT) -> list[DraftTree]:
    """Trees of `count` requests whose anchor is token 0."""
    numbers = uniform(3, count, policy.spec.num_nodes)
    return policy.draw(MarkovBranches(law), torch.zeros(count, dtype=torch.int64), depth, numbers)


def test_the_shape_is_the_same_and_every_node_says_what_it_was_drawn_from() -> None:
    for tree in drawn(SampledTree([2, 1, 2]), 20):
        assert tree.parents == (-1, -1, 0, 1, 2, 2, 3, 3)
        assert tree.probs is not None and tree.probs.shape == (8, 3)
        torch.testing.assert_close(tree.probs.sum(1), torch.ones(8))
        for node, parent in enumerate(tree.parents):
            above = 0 if parent < 0 else tree.token_ids[parent]
            elder = [n for n in range(node) if tree.parents[n] == parent]
            expected = DRAFT[above].clone()
            for other in elder:
                expected[tree.token_ids[other]] = 0.0
                assert tree.token_ids[other] != tree.token_ids[node]
            torch.testing.assert_close(tree.probs[node], expected / expected.sum())


def test_siblings_are_drawn_from_what_they_say() -> None:
    trees = drawn(SampledTree([2]), 20_000)
    for node in (0, 1):
        expected = sum(tree.probs[node].double() for tree in trees if tree.probs is not None)
        counts = torch.tensor([tree.token_ids[node] for tree in trees]).bincount(minlength=3)
        assert chi_square(counts.double(), expected / len(trees))[1] >= P_MIN


def test_with_replacement_a_repeated_sibling_has_no_children() -> None:
    trees = drawn(SampledTree([3, 1], replacement=True), 200)
    sizes = {len(tree.token_ids) for tree in trees}
    assert sizes == {4, 5, 6}
    for tree in trees:
        first = tree.token_ids[:3]
        with_children = {tree.parents[node] for node in range(3, len(tree.parents))}
        assert with_children == {first.index(token) for token in set(first)}
        assert tree.probs is not None
        torch.testing.assert_close(tree.probs[:3], DRAFT[:1].expand(3, 3))


def test_what_has_no_mass_is_no_node() -> None:
    law = torch.tensor([[0.0, 1.0, 0.0], [0.5, 0.0, 0.5], [0.0, 0.0, 0.0]])
    for tree in drawn(SampledTree([2, 3]), 10, law=law):
        assert tree.token_ids[0] == 1 and tree.parents == (-1, 0, 0)
        assert sorted(tree.token_ids[1:]) == [0, 2]


def test_greedy_trees_hold_the_likeliest() -> None:
    anchors = torch.zeros(2, dtype=torch.int64)
    trees = SampledTree([2, 1]).grow(MarkovBranches(DRAFT), anchors, 4)
    assert trees == [DraftTree((2, 1, 1, 0), (-1, -1, 0, 1))] * 2


def test_a_reduced_vocabulary_is_spread_over_the_targets() -> None:
    class Reduced(MarkovBranches):
        ids = torch.tensor([4, 1])

        def expand(self, requests: Tensor, previous: Tensor, origins: Tensor | None) -> Tensor:
            return torch.tensor([[0.25, 0.75]]).expand(len(requests), 2)

        def token_ids(self, choices: Tensor) -> Tensor:
            return self.ids[choices]

    class Turned(Reduced):
        ids = torch.tensor([1, 0])

    numbers = torch.tensor([[0.9, 0.5]], dtype=torch.float64)
    for kind, tokens, laws in (
        (Reduced, (1, 4), [[0, 0.75, 0, 0, 0.25], [0, 0, 0, 0, 1]]),
        (Turned, (0, 1), [[0.75, 0.25], [0, 1]]),
    ):
        (tree,) = SampledTree([2]).draw(kind(DRAFT), torch.zeros(1).long(), 1, numbers)
        assert tree.token_ids == tokens
        assert tree.probs is not None and tree.probs.tolist() == laws


@pytest.mark.parametrize(
    ("widths", "said"),
    [
        ([], "tree.widths is []; valid: a list such as [3,2,1], of numbers from 1"),
        ([2, 0], "tree.widths is [2, 0]"),
        ([2, True], "tree.widths is [2, True]"),
        ([40, 40], "tree.widths makes 1640 nodes; valid: up to 1024"),
    ],
)
def test_widths_that_are_none_are_named(widths: list[int], said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        SampledTree(widths)


class Filtered(MarkovDrafter):
    """Draws from its law after the run's own filters, as real drafters do."""

    def branch(self, batch: DraftBatch) -> MarkovBranches:
        return MarkovBranches(token_probs(DRAFT.log(), batch.sampling))


def run(
    policy: SampledTree,
    sampling: SamplingParams,
    acceptance: Acceptance = ROUNDS,
    scheduler: FixedScheduler | None = None,
    num_requests: int = 1_200,
) -> RunResult:
    engine = Engine(
        MarkovTarget(TARGET),
        TreeDrafts(Filtered(DRAFT, torch.zeros(3), 4), policy),
        scheduler or FixedScheduler(),
        acceptance,
        sampling,
        3,
        EngineConfig(400, 48),
        lambda: 0.0,
    )
    requests = [Request(i, str(i), "", (0,), 5) for i in range(num_requests)]
    return engine.run(requests, ClosedLoad(400), 2)


def law_p(result: RunResult, sampling: SamplingParams) -> float:
    counts = count_sequences([record.output_tokens for record in result.requests], 3, 4)
    expected = MarkovTarget(token_probs(TARGET.log(), sampling)).joint(0, 4)
    assert not counts[expected == 0].any()
    return chi_square(counts[expected > 0], expected[expected > 0])[1]


@pytest.mark.parametrize(
    ("replacement", "sampling"),
    [
        (False, SamplingParams()),
        (True, SamplingParams(1.2, 0, 0.9)),
        pytest.param(True, SamplingParams(), marks=pytest.mark.slow),
        pytest.param(False, SamplingParams(0.6), marks=pytest.mark.slow),
        pytest.param(True, SamplingParams(0.6), marks=pytest.mark.slow),
        pytest.param(False, SamplingParams(1.2, 0, 0.9), marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_the_joint_law_is_the_targets(replacement: bool, sampling: SamplingParams) -> None:
    result = run(SampledTree([2, 2, 1], replacement), sampling)
    assert any(cycle.is_rejected for cycle in result.cycles)
    assert max(cycle.num_accepted for cycle in result.cycles) == 3
    assert law_p(result, sampling) >= P_MIN


class Half(FixedScheduler):
    """Cuts every tree to its first nodes."""

    def plan_verify(
        self, context: PlanContext, draft_lens: Sequence[int], confidence: object
    ) -> list[int]:
        return [length // 2 for length in draft_lens]


def test_so_it_is_of_a_tree_that_is_cut() -> None:
    result = run(SampledTree([3, 1]), SamplingParams(), scheduler=Half())
    assert law_p(result, SamplingParams()) >= P_MIN


def test_match_judges_drawn_trees_too() -> None:
    for replacement in (False, True):
        policy = SampledTree([2, 2], replacement)
        result = run(policy, SamplingParams(), MatchAcceptance(), num_requests=500)
        assert law_p(result, SamplingParams()) >= P_MIN
        masses = [m for cycle in result.cycles for m in cycle.expected_acceptance]
        assert max(masses) <= 1 + 1e-6


def test_the_joint_law_shows_a_residual_that_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multi_round, "left_over", lambda law, drawn_from: law)
    result = run(SampledTree([2, 2, 1]), SamplingParams())
    assert law_p(result, SamplingParams()) < P_MIN


def test_trying_siblings_accepts_more_than_one_draft_and_than_matching() -> None:
    def accepted(widths: list[int], rule: Acceptance) -> float:
        cycles = [
            cycle
            for cycle in run(SampledTree(widths), SamplingParams(), rule, None, 400).cycles
            if not cycle.is_prefill
        ]
        return sum(cycle.num_accepted for cycle in cycles) / len(cycles)

    rounds, chain = accepted([2, 2], ROUNDS), accepted([1, 1], ROUNDS)
    assert rounds > chain + 0.1
    assert rounds > accepted([2, 2], MatchAcceptance()) + 0.05


@pytest.mark.parametrize("concurrency", [1, 5])
def test_greedy_output_equals_the_baseline(concurrency: int) -> None:
    plain = tiny.serve(REQUESTS, None, temperature=0.0)
    tree = TreeDrafts(tiny.drafter("semi_ar_vanilla"), SampledTree([3, 2, 1]))
    found = tiny.serve(REQUESTS, tree, 4, concurrency, 0.0, acceptance=ROUNDS)
    assert same_outputs_check("greedy", plain, found).is_passed
    assert max(cycle.num_accepted for cycle in found.cycles) >= 1


@pytest.mark.parametrize("name", ["parallel", "semi_ar_rnn"])
@pytest.mark.parametrize("replacement", [False, True])
def test_sampled_tokens_do_not_depend_on_the_batch(name: str, replacement: bool) -> None:
    tree = TreeDrafts(tiny.drafter(name), SampledTree([3, 2, 1], replacement))
    alone, together = (
        tiny.outputs(tiny.serve(REQUESTS, tree, 4, size, acceptance=ROUNDS)) for size in (1, 5)
    )
    assert alone == together


def test_nodes_have_numbers_of_their_own() -> None:
    """Fresh in every cycle: a request's first tree says nothing about its second."""
    seen: list[Tensor] = []

    class Watched(SampledTree):
        def draw(
            self, branches: object, anchors: Tensor, depth: int, numbers: Tensor
        ) -> list[DraftTree]:
            seen.append(numbers.clone())
            return super().draw(branches, anchors, depth, numbers)

    tree = TreeDrafts(tiny.drafter("parallel"), Watched([3, 2]))
    tiny.serve(REQUESTS[:2], tree, 4, 1, acceptance=ROUNDS)
    numbers = torch.cat(seen).flatten()
    assert seen[0].shape == (1, 9) and len(numbers.unique()) == len(numbers)


def test_who_does_not_know_drawn_trees_is_refused() -> None:
    tree = TreeDrafts(tiny.drafter("parallel"), BestFirstTree(4))
    with pytest.raises(UsageError, match="MultiRoundAcceptance judges drawn trees only; valid: "):
        tiny.serve(REQUESTS, tree, acceptance=ROUNDS)
    own = TreeDrafts(tiny.drafter("parallel"), SampledTree([2]))
    with pytest.raises(UsageError, match="ExactAcceptance judges chains only"):
        tiny.serve(REQUESTS, own, acceptance=ExactAcceptance())
    none = Proposal(torch.tensor([[1]]), None, None, draft_lens=(1,), parents=((-1,),))
    with pytest.raises(UsageError, match="without the distributions that they were drawn from"):
        ROUNDS.decide(TARGET[:2].log(), none, [1], None, SamplingParams())  # type: ignore[arg-type]

    class NoDraw(BestFirstTree):
        def __init__(self) -> None:
            self.spec = TreeSpec("mine", 3, None, 1, is_sampled=True)

    with pytest.raises(UsageError, match=r"NoDraw\.spec\.is_sampled is true, but it lacks draw"):
        TreeDrafts(tiny.drafter("parallel"), NoDraw())
