"""Compositions that tests share: Hydra reads its files once per choice of groups.

Sweeps of many points are composed this way too (`dspark_bench.config.compose_many`), and
`tests/config/test_compose_many.py` shows that what comes out is what each point is alone, refusals
included. Choices with settings of Hydra's own, such as a user's folder, and experiments, which
bring values, are composed anew each time.
"""

from collections.abc import Callable, Sequence

from dspark_bench.config import compose_many
from dspark_bench.config.compose import Composed, compose_point, one_line_errors
from dspark_bench.core.errors import UsageError

ComposePoints = Callable[[Sequence[Sequence[str]]], list[Composed]]


def keeping() -> ComposePoints:
    """`compose_points` that remembers each choice."""
    seen: dict[tuple[str, ...], compose_many.Compose] = {}

    def one(overrides: Sequence[str]) -> Composed:
        try:
            found = compose_many.split(overrides)
        except UsageError:
            return compose_point(overrides)
        if found is None or any(text.startswith(("hydra", "experiment")) for text in found.chosen):
            return compose_point(overrides)
        if found.chosen not in seen:
            seen[found.chosen] = _maker(found.chosen)
        return seen[found.chosen](overrides)

    return lambda points: [one(overrides) for overrides in points]


def _maker(chosen: tuple[str, ...]) -> compose_many.Compose:
    """How points of a choice are composed; alone, for their message, where there is no such one."""
    try:
        with one_line_errors():
            base = compose_many._Base(chosen)
    except UsageError:
        return compose_point

    def fast(overrides: Sequence[str]) -> Composed:
        found = compose_many.split(overrides)
        assert found is not None
        try:
            with one_line_errors():
                return base.with_values(found.plain)
        except UsageError:
            return compose_point(overrides)

    return fast
