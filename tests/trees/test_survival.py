"""What trees say of their nodes, and the order in which a scheduler meets them."""

from collections.abc import Sequence

import pytest
import torch

from dspark_bench.core.errors import UsageError
from dspark_bench.core.protocols import Scheduler, TreePolicy
from dspark_bench.core.records import RunResult
from dspark_bench.core.tree import falling_order
from dspark_bench.core.types import DraftTree, PlanContext, Request, SamplingParams, TreeSpec
from dspark_bench.engine.engine import Engine, EngineConfig
from dspark_bench.engine.exactness import P_MIN, distribution_check, same_outputs_check
from dspark_bench.engine.markov import MarkovDrafter, MarkovTarget
from dspark_bench.engine.match_acceptance import MatchAcceptance
from dspark_bench.engine.tree_drafts import TreeDrafts
from dspark_bench.loads.closed import ClosedLoad
from dspark_bench.schedulers.fixed import FixedScheduler
from dspark_bench.schedulers.hardware_aware import HardwareAwareScheduler
from dspark_bench.schedulers.threshold import ThresholdScheduler
from dspark_bench.trees.beam import BeamTree
from dspark_bench.trees.best_first import BestFirstTree
from dspark_bench.trees.jetspec import JetSpecTree
from dspark_bench.trees.optimal import OptimalTree
from dspark_bench.trees.static import StaticTree
from tests import tiny
from tests.schedulers.test_schedulers import AsItIs, Linear
from tests.trees.test_policies import Law, prefixes_of, random_law, worth

PATHS = [[0], [1], [2], [0, 0], [0, 1], [1, 0], [0, 0, 0], [1, 0, 1]]
POLICIES: list[TreePolicy] = [
    BestFirstTree(9),
    BeamTree(9, 3),
    JetSpecTree(9, 2),
    StaticTree(PATHS),
    OptimalTree([[0.6, 0.2], [0.5, 0.1], [0.4, 0.2]], 7),
]
MATCH = MatchAcceptance()


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("seed", range(3))
def test_a_node_is_worth_the_product_of_its_prefix(policy: TreePolicy, seed: int) -> None:
    law = random_law(seed, 3, 3)
    [tree] = policy.grow(Law(law, 3, 1), torch.tensor([7]), 3)
    assert policy.spec.has_survival
    expected = [worth(law, prefix) for prefix in prefixes_of(tree)]
    assert tree.survival == pytest.approx(expected, rel=1e-5)


def test_order_is_by_survival_then_depth_then_number() -> None:
    parents = (-1, -1, 0, 0, 1)
    assert falling_order(parents, (0.5, 0.5, 0.2, 0.5, 0.4)) == [0, 1, 3, 4, 2]
    assert falling_order(parents, (0.3, 0.6, 0.3, 0.1, 0.3)) == [1, 0, 2, 4, 3]


@pytest.mark.parametrize("policy", [BestFirstTree(4), BeamTree(4, 2), JetSpecTree(4, 2)])
def test_a_probability_that_rounding_lifts_above_one_makes_no_node_worth_more(
    policy: TreePolicy,
) -> None:
    above = 1.0 + 2.0**-23
    law = {prefix: [0.0, above, 0.0] for prefix in ((), (1,), (1, 1))}
    [tree] = policy.grow(Law(law, 3, 1), torch.tensor([7]), 3)
    assert tree == DraftTree((1, 1, 1), (-1, 0, 1))
    assert tree.survival == (1.0, 1.0, 1.0)


class Cutting(ThresholdScheduler):
    """Threshold by another name, to look at what it is shown."""

    def __init__(self) -> None:
        super().__init__(AsItIs(), 0.1, exploration_period=0)
        self.seen: list[list[float]] = []

    def plan_verify(self, context, draft_lens, confidence):  # type: ignore[no-untyped-def]
        assert confidence is None and context.num_nodes == len(PATHS)
        self.seen += context.survival.tolist()
        return super().plan_verify(context, draft_lens, confidence)


def test_a_fixed_shape_is_cut_where_it_is_worth_least() -> None:
    requests = tiny.requests(5)
    baseline = tiny.serve(requests, None, temperature=0.0)
    scheduler = Cutting()
    drafter = TreeDrafts(tiny.drafter("semi_ar_vanilla"), StaticTree(PATHS))
    result = tiny.serve(requests, drafter, 4, 3, 0.0, acceptance=MATCH, scheduler=scheduler)
    assert same_outputs_check("greedy", baseline, result).is_passed
    assert all(row == sorted(row, reverse=True) for row in scheduler.seen)
    cycles = [cycle for cycle in result.cycles if not cycle.is_prefill]
    assert len({cycle.verify_len for cycle in cycles}) > 2
    assert any(cycle.path for cycle in cycles)
    for cycle in cycles:
        assert len(cycle.survival) == cycle.num_drafted == len(PATHS)
        assert cycle.verify_len == sum(value >= 0.1 for value in cycle.survival)


def test_nothing_is_estimated_where_nobody_asks() -> None:
    drafter = TreeDrafts(tiny.drafter("parallel"), StaticTree(PATHS))
    result = tiny.serve(tiny.requests(2), drafter, 4, acceptance=MATCH)
    assert not any(cycle.survival for cycle in result.cycles)


def schedulers() -> list[Scheduler]:
    return [
        ThresholdScheduler(AsItIs(), 0.2),
        HardwareAwareScheduler(Linear(2.0, 0.5), AsItIs()),
    ]


@pytest.mark.parametrize("kind", range(2))
@pytest.mark.parametrize("policy", [BestFirstTree(6), StaticTree([[0], [1], [0, 0], [1, 1]])])
def test_the_joint_law_of_cut_trees_is_the_targets(kind: int, policy: TreePolicy) -> None:
    lens: set[int] = set()

    def serve(
        target: MarkovTarget, drafter: MarkovDrafter, requests: list[Request], gamma: int
    ) -> RunResult:
        engine = Engine(
            target,
            TreeDrafts(drafter, policy),
            schedulers()[kind],
            MATCH,
            SamplingParams(),
            gamma,
            EngineConfig(512, 24),
            lambda: 0.0,
        )
        result = engine.run(requests, ClosedLoad(512), 5)
        lens.update(cycle.verify_len for cycle in result.cycles if not cycle.is_prefill)
        return result

    found = distribution_check(serve, 6_000, 2, 3)
    assert found.is_passed and P_MIN > 0, found.detail
    assert len(lens) > 1


class Silent(BestFirstTree):
    """Says nothing of what nodes are worth, or what cannot be."""

    def __init__(self, survival: tuple[float, ...], has_survival: bool = True) -> None:
        super().__init__(2)
        self.spec = TreeSpec("silent", 2, None, 1, has_survival=has_survival)
        self._survival = survival

    def grow(self, branches: object, anchors: torch.Tensor, depth: int) -> list[DraftTree]:
        return [DraftTree((3, 4), (-1, -1), survival=self._survival)] * anchors.shape[0]


class Rising(BestFirstTree):
    """Its second node, behind the first, is worth a rounding more."""

    def grow(self, branches: object, anchors: torch.Tensor, depth: int) -> list[DraftTree]:
        return [DraftTree((3, 4), (-1, 0), survival=(0.5, 0.5000001))] * anchors.shape[0]


def test_estimates_that_rise_along_a_path_put_no_child_before_its_parent() -> None:
    drafter = TreeDrafts(tiny.drafter("parallel"), Rising(2))
    cutting = ThresholdScheduler(AsItIs(), 0.1, exploration_period=0)
    result = tiny.serve(tiny.requests(1), drafter, 2, acceptance=MATCH, scheduler=cutting)
    cycles = [cycle for cycle in result.cycles if not cycle.is_prefill]
    assert {cycle.survival for cycle in cycles} == {(0.5, 0.5)}


def test_records_say_how_deep_the_verified_nodes_go() -> None:
    """Not the whole tree: half of PATHS are three children and one behind the first of them."""

    class Half(FixedScheduler):
        def plan_verify(
            self, context: PlanContext, draft_lens: Sequence[int], confidence: object
        ) -> list[int]:
            return [length // 2 for length in draft_lens]

    drafter = TreeDrafts(tiny.drafter("semi_ar_vanilla"), StaticTree(PATHS))
    result = tiny.serve(tiny.requests(3), drafter, 4, 3, acceptance=MATCH, scheduler=Half())
    cycles = [cycle for cycle in result.cycles if not cycle.is_prefill]
    assert {(cycle.num_drafted, cycle.verify_len) for cycle in cycles} == {(8, 4)}
    for cycle in cycles:
        assert cycle.tree_depth == 2 or cycle.num_emitted <= cycle.num_accepted
        assert len(cycle.expected_acceptance) == cycle.num_accepted + cycle.is_rejected
    assert {cycle.num_accepted for cycle in cycles} >= {0, 1}


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (Silent(()), "tree=silent does not say what its nodes are worth"),
        (Silent((0.5, 0.2), has_survival=False), "tree=silent does not say"),
        (Silent((0.5, 1.2)), r"tree=silent gave survival \[0.5, 1.2\]; valid: 0 to 1"),
        (Silent((0.5, float("nan"))), "tree=silent gave survival"),
    ],
)
def test_a_policy_without_estimates_is_refused_by_name(policy: TreePolicy, message: str) -> None:
    drafter = TreeDrafts(tiny.drafter("parallel"), policy)
    cutting = ThresholdScheduler(AsItIs(), 0.1)
    with pytest.raises(UsageError, match=message):
        tiny.serve(tiny.requests(1), drafter, 2, acceptance=MATCH, scheduler=cutting)
