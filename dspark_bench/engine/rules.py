"""What a rule of acceptance may say of itself beside `core.protocols.Acceptance`.

These are left out of the protocol so that a rule of chains, a user's among them, need not know
them. A rule that says nothing judges chains, is exact, and asks for nothing.
"""

from dspark_bench.core.protocols import Acceptance


def judges_trees(rule: Acceptance) -> bool:
    """Whether it can walk a tree: `judges_trees`."""
    return bool(getattr(rule, "judges_trees", False))


def needs_drawn_trees(rule: Acceptance) -> bool:
    """Whether it reads the distribution that each node was drawn from: `needs_drawn_trees`."""
    return bool(getattr(rule, "needs_drawn_trees", False))


def is_lossy(rule: Acceptance) -> bool:
    """Whether what it emits has another law than the target's, and is meant to: `is_lossy`."""
    return bool(getattr(rule, "is_lossy", False))
