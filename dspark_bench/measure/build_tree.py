"""A point's tree policy, and what goes together with trees."""

from typing import Any, Final

from dspark_bench.config.component import build_component, constructor_parameters
from dspark_bench.config.plugin_fit import find_class
from dspark_bench.config.point_config import PointConfig
from dspark_bench.core.errors import UsageError
from dspark_bench.core.protocols import Acceptance, Scheduler, TreePolicy
from dspark_bench.engine.acceptance import ExactAcceptance
from dspark_bench.engine.match_acceptance import MatchAcceptance
from dspark_bench.engine.plugin_checks import SCHEDULERS_OF_TREES
from dspark_bench.engine.rules import judges_trees, needs_drawn_trees

_RULES_OF_CHAINS: Final = "exact, match, block, typical, replay, forced"
_RULES_OF_TREES: Final = "exact, match, replay, typical"


def build_tree(point: PointConfig) -> TreePolicy | None:
    """The policy, None for chains. Cheap. Raises UsageError for one that is deeper than drafts."""
    if not point.has_tree:
        return None
    extra = {"gamma": point.gamma} if "gamma" in constructor_parameters(point.tree) else {}
    policy: TreePolicy = build_component("tree", point.tree, extra)
    depth = policy.spec.depth
    if depth is not None and depth > point.gamma:
        raise UsageError(
            f"tree={point.tree.name} is {depth} deep, but gamma is {point.gamma}; valid: a tree "
            f"no deeper than gamma, or gamma={depth}"
        )
    return policy


def most_drafted(point: PointConfig) -> int:
    """The most tokens that a request has verified in a cycle: gamma, or a tree's nodes."""
    policy = build_tree(point)
    return point.gamma if policy is None else max(point.gamma, policy.spec.num_nodes)


def tree_rule(point: PointConfig, acceptance: Acceptance) -> Acceptance:
    """What judges a point's drafts: on trees `exact` means `match`. Raises UsageError for a rule
    that does not go together with the shape of the drafts.
    """
    needs_drawn = needs_drawn_trees(acceptance)
    if not point.has_tree:
        if needs_drawn and point.has_drafter:
            raise UsageError(
                f"acceptance={point.acceptance.name} judges drawn trees only; valid with "
                f"tree=none: {_RULES_OF_CHAINS}"
            )
        return acceptance
    if isinstance(acceptance, ExactAcceptance):
        return MatchAcceptance()
    if not judges_trees(acceptance):
        raise UsageError(
            f"acceptance={point.acceptance.name} judges chains only; valid with "
            f"tree={point.tree.name}: {_RULES_OF_TREES}"
        )
    policy = build_tree(point)
    if needs_drawn and policy is not None and not policy.spec.is_sampled:
        raise UsageError(
            f"acceptance={point.acceptance.name} judges drawn trees only (tree=sampled); valid "
            f"with tree={point.tree.name}: {_RULES_OF_TREES}"
        )
    return acceptance


def check_tree(point: PointConfig, scheduler: Scheduler) -> None:
    """Raise UsageError where a drafter or a scheduler does not go together with the point's tree.
    A user's own drafter is judged when it is built.
    """
    if not point.has_tree:
        return
    policy = build_tree(point)
    if not scheduler.spec.knows_trees:
        raise UsageError(
            f"scheduler={point.scheduler.name} schedules chains only; valid with "
            f"tree={point.tree.name}: {SCHEDULERS_OF_TREES}"
        )
    if scheduler.spec.reads_survival and policy is not None and not policy.spec.has_survival:
        raise UsageError(
            f"scheduler={point.scheduler.name} cuts trees by what their nodes are worth, which "
            f"tree={point.tree.name} does not say; valid with it: fixed"
        )
    called: Any = find_class(str(point.drafter.class_path))
    if not hasattr(called, "branch"):
        raise chains_only(point)


def chains_only(point: PointConfig) -> UsageError:
    """What is wrong with a tree of a drafter that cannot branch."""
    return UsageError(
        f"drafter={point.drafter.name} drafts chains only; valid with tree={point.tree.name}: "
        "ar, eagle, hydra, jetspec, medusa, mtp, parallel, semi_ar, suffix, or your own with a "
        "method `branch`"
    )


def refuse_tree(point: PointConfig, command: str) -> None:
    """Raise UsageError for a command that looks at chains."""
    if point.has_tree:
        raise UsageError(f"{command} looks at chains, tree is {point.tree.name}; valid: tree=none")
