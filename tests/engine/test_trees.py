"""Trees in the cycle: the same output, a chain's logits, plain decoding's cache, for any shape."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from dspark_bench.core.errors import UsageError
from dspark_bench.core.protocols import Acceptance, TreePolicy
from dspark_bench.core.random_streams import CycleNoise
from dspark_bench.core.records import RunResult
from dspark_bench.core.sampling import Verdict
from dspark_bench.core.types import (
    ContextUpdate,
    DraftBatch,
    DrafterSpec,
    DraftTree,
    PlanContext,
    Proposal,
    Request,
    SamplingParams,
    SchedulerSpec,
    TreeSpec,
)
from dspark_bench.drafters.ngram import NgramDrafter
from dspark_bench.engine import engine
from dspark_bench.engine.acceptance import ExactAcceptance
from dspark_bench.engine.engine import Engine, EngineConfig
from dspark_bench.engine.exactness import P_MIN, distribution_check, same_outputs_check
from dspark_bench.engine.markov import MarkovDrafter, MarkovTarget
from dspark_bench.engine.match_acceptance import MatchAcceptance
from dspark_bench.engine.tree_drafts import TreeDrafts
from dspark_bench.loads.closed import ClosedLoad
from dspark_bench.models.attention import Span, plan_attention
from dspark_bench.models.kernels.choice import Wanted
from dspark_bench.schedulers.fixed import FixedScheduler
from dspark_bench.trees.best_first import BestFirstTree
from dspark_bench.trees.static import StaticTree
from tests import tiny
from tests.engine.knowing import KnowingDrafter

REQUESTS = tiny.requests(7)
WIDE = [[0], [1], [2], [0, 0], [0, 1], [1, 0], [0, 0, 0], [0, 1, 0]]
MATCH = MatchAcceptance()


@pytest.fixture(scope="module")
def greedy_baseline() -> RunResult:
    return tiny.serve(REQUESTS, None, temperature=0.0)


def serve(name: str, policy: TreePolicy, concurrency: int, temperature: float) -> RunResult:
    drafter = TreeDrafts(tiny.drafter(name), policy)
    return tiny.serve(REQUESTS, drafter, 4, concurrency, temperature, acceptance=MATCH)


@pytest.mark.parametrize(
    ("name", "concurrency"), [("parallel", 7), ("semi_ar_vanilla", 1), ("semi_ar_rnn", 3)]
)
@pytest.mark.parametrize(
    "policy", [BestFirstTree(1), BestFirstTree(8), BestFirstTree(40), StaticTree(WIDE)]
)
def test_greedy_output_equals_the_baseline(
    greedy_baseline: RunResult, name: str, concurrency: int, policy: TreePolicy
) -> None:
    result = serve(name, policy, concurrency, 0.0)
    check = same_outputs_check("greedy", greedy_baseline, result)
    assert check.is_passed, check.detail
    cycles = [cycle for cycle in result.cycles if not cycle.is_prefill]
    assert max(cycle.num_accepted for cycle in cycles) >= 1
    assert all(cycle.verify_len <= policy.spec.num_nodes for cycle in cycles)
    assert all(len(cycle.path) == cycle.num_accepted <= cycle.tree_depth for cycle in cycles)
    assert all(cycle.full_width for cycle in cycles)


@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize("policy", [BestFirstTree(40), StaticTree(WIDE)])
def test_scattered_paths_are_kept_whole(
    greedy_baseline: RunResult, concurrency: int, policy: TreePolicy
) -> None:
    drafter = TreeDrafts(KnowingDrafter(REQUESTS, greedy_baseline), policy)
    result = tiny.serve(REQUESTS, drafter, 4, concurrency, 0.0, acceptance=MATCH, prefill_tokens=9)
    check = same_outputs_check("greedy", greedy_baseline, result)
    assert check.is_passed and "0 near-ties" in check.detail
    cycles = [cycle for cycle in result.cycles if not cycle.is_prefill]
    moved = [cycle for cycle in cycles if cycle.path != tuple(range(len(cycle.path)))]
    assert len(moved) > len(cycles) / 2
    assert max(cycle.num_accepted for cycle in cycles) >= 3


def test_a_path_that_stays_where_it_was_verified_spoils_what_follows(
    greedy_baseline: RunResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "keep_paths", lambda commit, cache: None)
    drafter = TreeDrafts(KnowingDrafter(REQUESTS, greedy_baseline), BestFirstTree(12))
    result = tiny.serve(REQUESTS, drafter, 4, 1, 0.0, acceptance=MATCH)
    assert not same_outputs_check("greedy", greedy_baseline, result).is_passed


def test_paths_are_kept_on_torch_operations_too(greedy_baseline: RunResult) -> None:
    target = tiny.target(kernels=Wanted.TORCH)
    drafter = TreeDrafts(KnowingDrafter(REQUESTS, greedy_baseline), BestFirstTree(40))
    result = tiny.serve(REQUESTS, drafter, 4, 3, 0.0, acceptance=MATCH, model=target)
    check = same_outputs_check("greedy", greedy_baseline, result)
    assert check.is_passed, check.detail
    assert max(cycle.num_accepted for cycle in result.cycles) >= 3


def test_an_end_on_a_path_ends_the_request_there() -> None:
    requests = tiny.requests(40, max_new_tokens=60)
    baseline = tiny.serve(requests, None, temperature=0.0, concurrency=8)
    drafter = TreeDrafts(KnowingDrafter(requests, baseline), BestFirstTree(12))
    result = tiny.serve(requests, drafter, 4, 8, 0.0, acceptance=MATCH)
    assert same_outputs_check("greedy", baseline, result).is_passed
    ended = {r.request_id for r in result.requests if r.finish_reason == "eos"}
    last = {cycle.request_id: cycle for cycle in result.cycles}
    on_path = [
        last[key]
        for key in ended
        if last[key].num_accepted == last[key].num_emitted and last[key].num_accepted > 0
    ]
    assert on_path
    for cycle in on_path:
        assert cycle.tree_depth == cycle.num_accepted == len(cycle.path)
        assert not cycle.is_rejected and cycle.verify_len == 12


@pytest.mark.parametrize("policy", [BestFirstTree(8), StaticTree(WIDE)])
def test_sampled_tokens_do_not_depend_on_the_batch(policy: TreePolicy) -> None:
    alone, together = (
        tiny.outputs(serve("semi_ar_gated", policy, concurrency, 1.0)) for concurrency in (1, 5)
    )
    assert alone == together


@pytest.mark.parametrize("name", ["parallel", "semi_ar_vanilla", "semi_ar_rnn", "semi_ar_gated"])
def test_a_tree_with_one_path_is_the_greedy_chain(name: str) -> None:
    path = StaticTree([[0], [0, 0], [0, 0, 0]])
    tree = TreeDrafts(tiny.drafter(name), path)
    chain = tiny.serve(REQUESTS, tiny.drafter(name), 3, 3, 0.0, acceptance=MATCH)
    found = tiny.serve(REQUESTS, tree, 3, 3, 0.0, acceptance=MATCH)
    assert tiny.outputs(found) == tiny.outputs(chain)
    for one, other in zip(chain.cycles, found.cycles, strict=True):
        assert (one.num_accepted, one.is_rejected) == (other.num_accepted, other.is_rejected)


def test_match_and_exact_agree_where_nothing_is_drawn() -> None:
    match, exact = (
        tiny.serve(REQUESTS, tiny.drafter("ar"), 4, 3, 0.0, acceptance=rule)
        for rule in (MATCH, ExactAcceptance())
    )
    assert tiny.outputs(match) == tiny.outputs(exact)
    accepted = [[cycle.num_accepted for cycle in run.cycles] for run in (match, exact)]
    assert accepted[0] == accepted[1]
    margins = [[record.margins for record in run.requests] for run in (match, exact)]
    assert margins[0] == margins[1]


def test_margins_are_those_of_the_emitted_tokens(greedy_baseline: RunResult) -> None:
    result = serve("semi_ar_vanilla", BestFirstTree(20), 1, 0.0)
    known = {record.request_id: record for record in greedy_baseline.requests}
    for record in result.requests:
        assert record.margins == pytest.approx(known[record.request_id].margins, abs=1e-3)


@pytest.mark.parametrize("kernels", [Wanted.AUTO, Wanted.TORCH])
def test_a_node_has_the_logits_of_its_tokens_as_a_chain(kernels: Wanted) -> None:
    target = tiny.target(kernels=kernels)
    context, parents = [5, 9, 11, 3, 8], (-1, 0, 0, 1, 2, 3)
    nodes = [7, 20, 21, 22, 23, 24]

    def logits(tokens: list[int], shape: tuple[int, ...] | None) -> torch.Tensor:
        cache = target.new_cache(1, 32)
        with torch.inference_mode():
            row = cache.acquire()
            plan = plan_attention([Span(row, 0, len(context))], cache)
            target.forward(torch.tensor(context), plan, cache)
            span = Span(row, len(context), len(tokens), parents=shape)
            plan = plan_attention([span], cache)
            return target.forward(torch.tensor(tokens), plan, cache).logits

    tree = logits(nodes, parents)
    for path in ([0, 1, 3, 5], [0, 2, 4]):
        chain = logits([nodes[node] for node in path], None)
        if target.is_batch_invariant:
            assert torch.equal(tree[path], chain)
        torch.testing.assert_close(tree[path], chain, atol=1e-5, rtol=1e-5)


def test_the_cache_behind_a_kept_path_is_that_of_plain_decoding(
    greedy_baseline: RunResult,
) -> None:
    target = tiny.target()
    seen = {}
    for name, drafter in (
        ("plain", None),
        ("tree", TreeDrafts(KnowingDrafter(REQUESTS, greedy_baseline), BestFirstTree(12))),
    ):
        serving = Engine(
            target,
            drafter,
            FixedScheduler(),
            MATCH,
            SamplingParams(0.0),
            4,
            EngineConfig(1, 128),
            lambda: 0.0,
        )
        result = serving.run(REQUESTS[:1], ClosedLoad(1), 1)
        seen[name] = (serving._cache, result)
    (plain, first), (tree, second) = seen["plain"], seen["tree"]
    assert tiny.outputs(first) == tiny.outputs(second)
    last = second.cycles[-1]
    filled = (
        len(REQUESTS[0].prompt_tokens) + len(second.requests[0].output_tokens) - last.num_emitted
    )
    assert any(cycle.path != tuple(range(len(cycle.path))) for cycle in second.cycles[:-1])
    for kept, known in ((tree.keys, plain.keys), (tree.values, plain.values)):
        assert torch.equal(kept[:, 0, :filled], known[:, 0, :filled])


def serve_markov(policy: TreePolicy | None, acceptance: Acceptance) -> object:
    def run(
        target: MarkovTarget, drafter: MarkovDrafter, requests: Sequence[Request], gamma: int
    ) -> RunResult:
        serving = Engine(
            target,
            drafter if policy is None else TreeDrafts(drafter, policy),
            FixedScheduler(),
            acceptance,
            SamplingParams(),
            gamma,
            EngineConfig(1000, 32),
            lambda: 0.0,
        )
        return serving.run(requests, ClosedLoad(1000), 11)

    return run


@pytest.mark.parametrize(
    "policy", [None, BestFirstTree(5), StaticTree([[0], [1], [0, 0], [1, 2], [1, 2, 0]])]
)
def test_the_joint_law_is_the_targets(policy: TreePolicy | None) -> None:
    check = distribution_check(serve_markov(policy, MATCH), 3000, 3, 4)
    assert check.is_passed, check.detail


class SharedNoise(MatchAcceptance):
    """Draws every depth with the anchor's number: biased."""

    def decide(self, *given: object, **named: object) -> object:
        logits, proposal, lens, noise, *others = given
        shared = CycleNoise(noise.draft, noise.accept[:, :1].repeat(3, 1), noise.accept[:, 0])
        return super().decide(logits, proposal, lens, shared, *others, **named)


def test_the_joint_law_shows_noise_that_depths_share() -> None:
    check = distribution_check(serve_markov(BestFirstTree(5), SharedNoise()), 3000, 3, 4)
    assert not check.is_passed and f"{P_MIN:g}" in check.detail


def test_expected_acceptance_is_the_mass_on_the_children() -> None:
    rows = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3], [0.2, 0.2, 0.6], [0.3, 0.3, 0.4]])
    proposal = Proposal(
        torch.tensor([[0, 1, 2]]), None, None, draft_lens=(3,), parents=((-1, -1, 0),)
    )
    uniform = torch.tensor([[0.1, 0.95]], dtype=torch.float64).numpy()
    noise = CycleNoise(uniform, uniform, uniform[:, 0])
    decision = MATCH.decide(rows.log(), proposal, [3], noise, SamplingParams())
    assert decision.verdict == Verdict([2], [False], [0], [[0, 2]])
    found = decision.findings().expected_acceptance
    torch.testing.assert_close(found, torch.tensor([[0.8, 0.3, 0.0]]))


def test_a_requests_own_rows_say_what_its_children_are_worth() -> None:
    """Of trees of unequal size in one batch: rows behind the first request's count from its own."""
    rows = torch.tensor(
        [[0.5, 0.3, 0.2], [0.1, 0.6, 0.3], [0.2, 0.5, 0.3], [0.4, 0.25, 0.35], [0.7, 0.2, 0.1]]
    )
    proposal = Proposal(
        torch.tensor([[1, 0, 0], [2, 0, 1]]),
        None,
        None,
        draft_lens=(1, 2),
        parents=((-1,), (-1, 0)),
    )
    uniform = torch.tensor([[0.1, 0.5], [0.95, 0.1]], dtype=torch.float64).numpy()
    noise = CycleNoise(uniform, uniform, uniform[:, 1])
    decision = MATCH.decide(rows.log(), proposal, [1, 2], noise, SamplingParams())
    assert decision.verdict == Verdict([0, 2], [True, False], [0, 0], [[], [0, 1]])
    found = decision.findings().expected_acceptance
    torch.testing.assert_close(found, torch.tensor([[0.3, 0.0, 0.0], [0.3, 0.4, 0.0]]))


def test_the_margins_behind_a_path_are_those_of_its_own_request() -> None:
    logits = torch.tensor([[9.0, 1, 0], [0, 8, 1], [0, 1, 3], [6, 0, 2], [5, 4, 0], [2, 7, 1]])
    proposal = Proposal(
        torch.tensor([[1, 0], [0, 2]]), None, None, draft_lens=(1, 2), parents=((-1,), (-1, -1))
    )
    none = torch.zeros(3, 2, dtype=torch.float64).numpy()
    noise = CycleNoise(none, none, none[:, 0])
    decision = MATCH.decide(logits, proposal, [1, 2, 0], noise, SamplingParams(0.0))
    assert decision.verdict == Verdict([0, 1, 0], [True, False, False], [0, 0, 1], [[], [1]])
    found = decision.findings()
    assert found.margins is not None and found.largest is not None and found.best is not None
    assert found.margins.tolist() == [[8, 8], [2, 1], [5, 5]]
    assert found.largest.tolist() == [[9, 9], [3, 5], [7, 7]]
    assert found.best.tolist() == [[0, 0], [2, 0], [1, 1]]


def test_a_chains_expected_acceptance_is_known_at_every_verified_slot() -> None:
    """Whoever else is in the batch, and however far each was accepted."""
    alone, together = (
        tiny.serve(REQUESTS, tiny.drafter("semi_ar_vanilla"), 4, size, acceptance=MATCH)
        for size in (1, 5)
    )

    def recorded(result: RunResult) -> dict[int, list[tuple[float, ...]]]:
        found: dict[int, list[tuple[float, ...]]] = {}
        for cycle in result.cycles:
            assert len(cycle.expected_acceptance) == cycle.verify_len
            assert all(mass > 0 for mass in cycle.expected_acceptance)
            found.setdefault(cycle.request_id, []).append(cycle.expected_acceptance)
        return found

    first, second = recorded(alone), recorded(together)
    assert first.keys() == second.keys()
    for key, own in first.items():
        for one, other in zip(own, second[key], strict=True):
            assert one == pytest.approx(other, rel=1e-4)


def test_a_row_must_have_room_for_every_node(greedy_baseline: RunResult) -> None:
    """What is verified beyond a row would overwrite the next one."""
    longest = max(len(request.prompt_tokens) for request in REQUESTS)
    needed = longest + REQUESTS[0].max_new_tokens + 40 + 1
    policy = BestFirstTree(40)

    def run(max_len: int) -> RunResult:
        drafter = TreeDrafts(KnowingDrafter(REQUESTS, greedy_baseline), policy)
        return tiny.serve(REQUESTS, drafter, 4, 3, 0.0, acceptance=MATCH, max_len=max_len)

    with pytest.raises(UsageError, match="41 "):
        run(needed - 1)
    assert same_outputs_check("greedy", greedy_baseline, run(needed)).is_passed


def test_a_limit_on_a_path_ends_the_request_there(greedy_baseline: RunResult) -> None:
    """The tokens of a path behind max_new_tokens are cut, and nothing is emitted twice."""
    known = tiny.outputs(greedy_baseline)
    cut = 0
    for limit in (2, 3, 5, 6):
        short = [replace(request, max_new_tokens=limit) for request in REQUESTS]
        drafter = TreeDrafts(KnowingDrafter(REQUESTS, greedy_baseline), BestFirstTree(40))
        result = tiny.serve(short, drafter, 4, 3, 0.0, acceptance=MATCH)
        for record in result.requests:
            assert record.output_tokens == known[record.request_id][:limit]
        last = {cycle.request_id: cycle for cycle in result.cycles}
        cut += sum(cycle.num_cut > 0 and cycle.num_accepted > 0 for cycle in last.values())
        for cycle in last.values():
            assert len(cycle.path) == cycle.num_accepted
    assert cut


def test_a_draw_that_no_child_carries_is_the_bonus_and_a_refusal() -> None:
    logits = torch.eye(4)[[3, 0, 0]]
    proposal = Proposal(torch.tensor([[1, 2]]), None, None, draft_lens=(2,), parents=((-1, -1),))
    none = torch.zeros(1, 2, dtype=torch.float64).numpy()
    noise = CycleNoise(none, none, none[:, 0])
    verdict = MATCH.decide(logits, proposal, [2], noise, SamplingParams(0.0)).verdict
    assert verdict == Verdict([0], [True], [3], [[]])


class Grown:
    """A policy that always grows the same tree."""

    def __init__(self, tree: DraftTree, num_nodes: int = 3) -> None:
        self.spec = TreeSpec("grown", num_nodes, None, 1)
        self._tree = tree

    def grow(self, branches: object, anchors: torch.Tensor, depth: int) -> list[DraftTree]:
        return [self._tree] * anchors.shape[0]


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        (DraftTree((4, 5), (-1, 1)), "gave node 1 the parent 1; valid: -1 for the anchor"),
        (DraftTree((4, 4), (-1, -1)), "gave siblings the same token"),
        (DraftTree((4, 5), (-1,)), "gave 1 parents for 2 nodes"),
        (DraftTree((4, 5, 6, 7), (-1, -1, -1, -1)), "gave 4 nodes to depth 1; valid: up to 3"),
        (DraftTree((4, 5, 6), (-1, 0, 1)), "to depth 3; valid: up to 3 nodes, depth 2"),
    ],
)
def test_what_is_no_tree_is_named(tree: DraftTree, message: str) -> None:
    drafter = TreeDrafts(tiny.drafter("parallel"), Grown(tree))
    with pytest.raises(UsageError, match=message):
        tiny.serve(REQUESTS[:1], drafter, 2, acceptance=MATCH)


def test_an_empty_tree_is_a_cycle_without_drafts(greedy_baseline: RunResult) -> None:
    drafter = TreeDrafts(tiny.drafter("parallel"), Grown(DraftTree((), ())))
    result = tiny.serve(REQUESTS, drafter, 2, 3, 0.0, acceptance=MATCH)
    assert same_outputs_check("greedy", greedy_baseline, result).is_passed
    assert {cycle.verify_len for cycle in result.cycles} == {0}


class EverySecond(FixedScheduler):
    """Cuts every tree to its first nodes: it knows trees, and looks at nothing."""

    def plan_verify(
        self, context: PlanContext, draft_lens: Sequence[int], confidence: object
    ) -> list[int]:
        return [length // 2 for length in draft_lens]


def test_a_tree_may_be_cut_to_its_first_nodes(greedy_baseline: RunResult) -> None:
    drafter = TreeDrafts(tiny.drafter("semi_ar_vanilla"), BestFirstTree(20))
    scheduler = EverySecond()
    result = tiny.serve(REQUESTS, drafter, 4, 3, 0.0, acceptance=MATCH, scheduler=scheduler)
    assert same_outputs_check("greedy", greedy_baseline, result).is_passed
    cycles = [cycle for cycle in result.cycles if not cycle.is_prefill]
    assert {cycle.verify_len for cycle in cycles} == {10}
    assert any(cycle.path for cycle in cycles) and not any(cycle.full_width for cycle in cycles)


def test_who_knows_chains_only_is_refused() -> None:
    drafter = TreeDrafts(tiny.drafter("parallel"), BestFirstTree(4))
    with pytest.raises(UsageError, match="ExactAcceptance judges chains only; valid with a tree: "):
        tiny.serve(REQUESTS, drafter)

    class Other(FixedScheduler):
        spec = SchedulerSpec("other")

    with pytest.raises(UsageError, match="other schedules chains only; valid with a tree: fixed"):
        tiny.serve(REQUESTS, drafter, acceptance=MATCH, scheduler=Other())
    with pytest.raises(UsageError, match="drafter ngram drafts chains only; valid: tree=none"):
        TreeDrafts(NgramDrafter(tiny.target()), BestFirstTree(4))
    deep = TreeDrafts(tiny.drafter("parallel"), StaticTree([[0], [0, 0], [0, 0, 0]]))
    with pytest.raises(UsageError, match="tree=static is 3 deep, gamma is 2"):
        tiny.serve(REQUESTS, deep, 2, acceptance=MATCH)


class WithParents:
    """A drafter of its own whose trees do not fit their lengths."""

    def __init__(self, proposal: Proposal) -> None:
        self.spec = DrafterSpec("mine", 4, (), False, num_nodes=2)
        self._proposal = proposal

    def allocate(self, num_rows: int, max_len: int) -> None:
        pass

    def extend(self, update: ContextUpdate) -> None:
        pass

    def propose(self, batch: DraftBatch) -> Proposal:
        return self._proposal


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"draft_lens": None}, "without parents and draft_lens of each request"),
        ({"draft_lens": (1,)}, r"gave parents of \[2\] nodes; valid: draft_lens, \[1\]"),
    ],
)
def test_parents_that_do_not_fit_are_named(changed: dict[str, object], message: str) -> None:
    good = Proposal(torch.tensor([[4, 5]]), None, None, draft_lens=(2,), parents=((-1, -1),))
    drafter = WithParents(replace(good, **changed))
    with pytest.raises(UsageError, match=message):
        tiny.serve(REQUESTS[:1], drafter, 2, acceptance=MATCH)


def test_a_tree_that_nobody_announced_is_refused() -> None:
    tree = Proposal(torch.tensor([[4, 5]]), None, None, draft_lens=(2,), parents=((-1, -1),))
    drafter = WithParents(tree)
    drafter.spec = replace(drafter.spec, num_nodes=None)
    for rule in (MATCH, ExactAcceptance()):
        with pytest.raises(UsageError, match="gave a tree; valid: chains, or `branch`"):
            tiny.serve(REQUESTS[:1], drafter, 2, acceptance=rule)
