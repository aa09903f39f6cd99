"""`acceptance=typical`: which drafts stand, on chains and trees; its law is another one."""

import math

import pytest
import torch

from dspark_bench.core.errors import UsageError
from dspark_bench.core.random_streams import CycleNoise
from dspark_bench.core.sampling import Verdict
from dspark_bench.core.types import Proposal, SamplingParams
from dspark_bench.engine.exactness import distribution_check, same_outputs_check
from dspark_bench.engine.rules import is_lossy, judges_trees
from dspark_bench.engine.tree_drafts import TreeDrafts
from dspark_bench.engine.typical_acceptance import TypicalAcceptance, typical_path
from dspark_bench.trees.best_first import BestFirstTree
from tests import tiny
from tests.engine.test_trees import serve_markov

REQUESTS = tiny.requests(7)
TYPICAL = TypicalAcceptance()


def noise(count: int, emit: float = 0.5) -> CycleNoise:
    table = torch.full((count, 4), 0.5, dtype=torch.float64).numpy()
    return CycleNoise(table, table, torch.full((count,), emit, dtype=torch.float64).numpy())


def test_it_says_that_it_is_lossy_and_walks_trees() -> None:
    assert is_lossy(TYPICAL) and judges_trees(TYPICAL)


def test_a_chain_stands_as_far_as_its_drafts_are_typical() -> None:
    """Entropies: ln 2 (limit 0.15, so 0.09), and 0.56 (0.3 exp(-0.56) = 0.17, so 0.09)."""
    rows = torch.tensor([[0.5, 0.5, 0.0], [0.08, 0.85, 0.07], [0.4, 0.3, 0.3]])
    proposal = Proposal(torch.tensor([[0, 0]]), torch.ones(1, 2, 3) / 3, None)
    verdict = TYPICAL.decide(rows.log(), proposal, [2], noise(1), SamplingParams()).verdict
    assert verdict == Verdict([1], [True], [1])
    wider = TypicalAcceptance(epsilon=0.07)
    verdict = wider.decide(rows.log(), proposal, [2], noise(1), SamplingParams()).verdict
    assert verdict == Verdict([2], [False], [1])


def test_the_second_limit_falls_as_the_target_grows_unsure() -> None:
    """Four equal tokens: delta exp(-ln 4) is delta / 4."""
    rows = torch.full((2, 4), 0.25)
    proposal = Proposal(torch.tensor([[3]]), torch.ones(1, 1, 4) / 4, None)
    for delta, count in ((0.99, 1), (1.01, 0)):
        rule = TypicalAcceptance(epsilon=1.0, delta=delta)
        verdict = rule.decide(rows.log(), proposal, [1], noise(1), SamplingParams()).verdict
        assert verdict.num_accepted == [count]


def test_of_a_tree_the_longest_path_stands_then_the_likeliest() -> None:
    none = -math.inf
    parents = (-1, -1, 0, 1, 1, 2)
    assert typical_path(parents, (-1, -2, none, -3, -1, 0)) == ([1, 4], False)
    assert typical_path(parents, (-1, -2, -3, -3, -1, none)) == ([1, 4], False)
    assert typical_path(parents, (-1, -2, -1.5, -3, -1, none)) == ([0, 2], True)
    assert typical_path(parents, (-1, -2, none, none, none, 0)) == ([0], True)
    assert typical_path(parents, (none,) * 6) == ([], True)
    assert typical_path((), ()) == ([], False)
    assert typical_path((-1, -1, 0, 1), (-1, -1, -2, -2)) == ([0, 2], False)


def test_trees_of_unequal_size_in_one_batch() -> None:
    rows = torch.tensor(
        [
            *([0.6, 0.3, 0.1], [0.0, 1.0, 0.0]),
            *([0.5, 0.5, 0.0], [0.02, 0.96, 0.02], [0.02, 0.02, 0.96], [0.0, 0.0, 1.0]),
            [1.0, 0.0, 0.0],
        ]
    )
    proposal = Proposal(
        torch.tensor([[0, 0, 0], [0, 1, 2]]),
        None,
        None,
        draft_lens=(1, 3),
        parents=((-1,), (-1, -1, 1)),
    )
    verdict = TYPICAL.decide(rows.log(), proposal, [1, 3, 0], noise(3), SamplingParams()).verdict
    assert verdict == Verdict([1, 2, 0], [False] * 3, [1, 2, 0], [[0], [1, 2]])


@pytest.mark.parametrize("policy", [None, BestFirstTree(5)])
def test_its_law_is_not_the_targets(policy: BestFirstTree | None) -> None:
    check = distribution_check(serve_markov(policy, TYPICAL), 3000, 3, 4)
    assert not check.is_passed, check.detail


@pytest.mark.parametrize("concurrency", [1, 5])
def test_greedy_decoding_takes_the_argmax_alone(concurrency: int) -> None:
    plain = tiny.serve(REQUESTS, None, temperature=0.0)
    tree = TreeDrafts(tiny.drafter("semi_ar_vanilla"), BestFirstTree(9))
    for drafter in (tiny.drafter("ar"), tree):
        found = tiny.serve(REQUESTS, drafter, 4, concurrency, 0.0, acceptance=TYPICAL)
        assert same_outputs_check("greedy", plain, found).is_passed


def test_what_is_emitted_is_the_paths_tokens_and_does_not_depend_on_the_batch() -> None:
    tree = TreeDrafts(tiny.drafter("semi_ar_vanilla"), BestFirstTree(9))
    for drafter in (tiny.drafter("ar"), tree):
        alone, together = (
            tiny.outputs(tiny.serve(REQUESTS, drafter, 4, size, acceptance=TYPICAL))
            for size in (1, 5)
        )
        assert alone == together


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"epsilon": 0.0}, "acceptance.epsilon is 0; valid: above 0, at most 1"),
        ({"epsilon": 1.5}, "acceptance.epsilon is 1.5"),
        ({"delta": 0.0}, "acceptance.delta is 0; valid: above 0"),
        ({"delta": math.nan}, "acceptance.delta is nan"),
    ],
)
def test_thresholds_that_are_none_are_named(keys: dict[str, float], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        TypicalAcceptance(**keys)
