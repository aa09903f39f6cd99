"""Every way to judge a drafter's drafts, one after the other: rules of acceptance times shapes.

`verify` shows whether each pair that goes together keeps the target's law: over three tokens, where
the joint law is written down whole, and with the drafter at hand on the target at hand. A rule that
is lossy is shown at it: it is here to be seen to fail. Pairs that do not go together are refused
where they are asked for (`build_tree.tree_rule`). Left out are rules that emit what is on record.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dspark_bench.config.point_config import PointConfig
from dspark_bench.core.protocols import Acceptance, TreePolicy
from dspark_bench.core.records import RunResult
from dspark_bench.core.types import Request, SamplingParams
from dspark_bench.engine.acceptance import ExactAcceptance
from dspark_bench.engine.block_acceptance import BlockAcceptance
from dspark_bench.engine.emitted_law import emitted_law_check
from dspark_bench.engine.engine import Engine, EngineConfig
from dspark_bench.engine.exactness import CheckResult, distribution_check
from dspark_bench.engine.markov import MarkovDrafter, MarkovTarget
from dspark_bench.engine.match_acceptance import MatchAcceptance
from dspark_bench.engine.multiround_acceptance import MultiRoundAcceptance
from dspark_bench.engine.rules import is_lossy, needs_drawn_trees
from dspark_bench.engine.tree_drafts import TreeDrafts
from dspark_bench.engine.typical_acceptance import TypicalAcceptance
from dspark_bench.loads.closed import ClosedLoad
from dspark_bench.measure.build import PointObjects
from dspark_bench.measure.law_checks import requests_for, serve_texts
from dspark_bench.schedulers.fixed import FixedScheduler
from dspark_bench.trees.beam import BeamTree
from dspark_bench.trees.best_first import BestFirstTree
from dspark_bench.trees.jetspec import JetSpecTree
from dspark_bench.trees.optimal import OptimalTree
from dspark_bench.trees.sampled import SampledTree
from dspark_bench.trees.static import StaticTree

PAIR_REQUESTS = 4_000
PAIR_TOKENS = 1_024
LENGTH = 4
BATCH = 1024
MOST_TEXTS = 64
NODES = 6
DEEPEST = 3
_PATHS = ([0], [1], [0, 0], [0, 1], [1, 0], [0, 0, 0])
_STANDS = [0.5, 0.3]
_WIDTHS = [2, 2, 1]


@dataclass(frozen=True, slots=True)
class Pair:
    """A rule and the shape of the drafts that it judges; tree: None for chains."""

    rule: str
    shape: str
    acceptance: Acceptance
    tree: TreePolicy | None


@dataclass(frozen=True, slots=True)
class PairResult:
    """What was found of one pair. law: over three tokens; own: by the drafter at hand."""

    rule: str
    shape: str
    is_lossy: bool
    law: CheckResult
    own: CheckResult

    @property
    def name(self) -> str:
        """Such as `match on best_first`."""
        return f"{self.rule} on {self.shape}"

    @property
    def is_passed(self) -> bool:
        """Whether both checks found the target's law."""
        return self.law.is_passed and self.own.is_passed

    @property
    def verdict(self) -> str:
        """`pass`, `FAIL`, or `lossy` of a rule that is meant to change the text."""
        if self.is_lossy:
            return "lossy" if not self.is_passed else "lossy, not seen here"
        return "pass" if self.is_passed else "FAIL"


def pairs_for(gamma: int, can_branch: bool) -> tuple[Pair, ...]:
    """All pairs for drafts of up to gamma tokens: chains, and trees where a drafter can branch.

    Trees are small, so that they can be grown over three tokens too.
    """
    chains: tuple[tuple[str, Acceptance], ...] = (
        ("exact", ExactAcceptance()),
        ("match", MatchAcceptance()),
        ("block", BlockAcceptance()),
        ("typical", TypicalAcceptance()),
    )
    found = [Pair(name, "chains", rule, None) for name, rule in chains]
    trees: tuple[tuple[str, Acceptance], ...] = (
        ("match", MatchAcceptance()),
        ("multiround", MultiRoundAcceptance()),
        ("typical", TypicalAcceptance()),
    )
    for shape, policy in _policies(min(gamma, DEEPEST)) if can_branch else ():
        found += [
            Pair(name, shape, rule, policy)
            for name, rule in trees
            if policy.spec.is_sampled or not needs_drawn_trees(rule)
        ]
    return tuple(found)


def _policies(depth: int) -> tuple[tuple[str, TreePolicy], ...]:
    paths = [path for path in _PATHS if len(path) <= depth]
    return (
        ("best_first", BestFirstTree(NODES)),
        ("beam", BeamTree(NODES, 2)),
        ("jetspec", JetSpecTree(NODES, 2)),
        ("static", StaticTree(paths)),
        ("optimal", OptimalTree([_STANDS] * depth, NODES, depth)),
        ("sampled", SampledTree(_WIDTHS[:depth])),
        ("sampled, replacement", SampledTree(_WIDTHS[:depth], replacement=True)),
    )


def check_pair(pair: Pair, point: PointConfig, objects: PointObjects) -> PairResult:
    """Both checks of one pair, everything verified. Allocates the drafter's cache anew."""
    sampling = SamplingParams(1.0) if point.sampling.is_greedy else point.sampling
    judged = replace(objects, tree=pair.tree, acceptance=pair.acceptance)
    requests = requests_for(objects.prompts.requests, PAIR_TOKENS, MOST_TEXTS)
    texts = serve_texts(point, judged, FixedScheduler(), requests, sampling, spare=NODES)
    return PairResult(
        pair.rule,
        pair.shape,
        is_lossy(pair.acceptance),
        law_of(pair, point),
        emitted_law_check(objects.target, texts, sampling, point.gamma),
    )


def law_of(pair: Pair, point: PointConfig) -> CheckResult:
    """The joint law of several tokens under this pair."""
    gamma = max(1, min(point.gamma, DEEPEST))

    def serve(
        target: MarkovTarget, drafter: MarkovDrafter, requests: Sequence[Request], gamma: int
    ) -> RunResult:
        engine = Engine(
            target,
            drafter if pair.tree is None else TreeDrafts(drafter, pair.tree),
            FixedScheduler(),
            pair.acceptance,
            SamplingParams(),
            gamma,
            EngineConfig(BATCH, 2 * LENGTH + gamma + NODES),
            lambda: 0.0,
        )
        return engine.run(requests, ClosedLoad(BATCH), point.seed)

    return distribution_check(serve, PAIR_REQUESTS, gamma, LENGTH)
