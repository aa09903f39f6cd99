"""Compositions that tests share: Hydra reads its files once per choice of groups.

Sweeps of many points are composed this way too (`dspark_bench.config.compose_many`), and
`tests/config/test_compose_many.py` shows that what comes out is what each point is alone. Choices
with settings of Hydra's own, such as a user's folder, are composed anew each time.
"""

from collections.abc import Callable, Sequence

from dspark_bench.config import compose_many
from dspark_bench.config.compose import Composed, compose_point
from dspark_bench.core.errors import UsageError

ComposePoints = Callable[[Sequence[Sequence[str]]], list[Composed]]


def keeping() -> ComposePoints:
    """`compose_points` that remembers each choice from its second use on."""
    seen: dict[tuple[str, ...], compose_many.Compose | None] = {}

    def one(overrides: Sequence[str]) -> Composed:
        try:
            found = compose_many.split(overrides)
        except UsageError:
            return compose_point(overrides)
        if found is None or any(text.startswith("hydra") for text in found.chosen):
            return compose_point(overrides)
        made = seen.get(found.chosen)
        if made is not None:
            return made(overrides)
        slow = compose_point(overrides)
        is_second = found.chosen in seen
        seen[found.chosen] = compose_many._maker(found, slow) if is_second else None
        return slow

    return lambda points: [one(overrides) for overrides in points]
