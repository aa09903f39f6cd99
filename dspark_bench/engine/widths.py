"""How much of each request a cycle handles: slots, tree nodes and random numbers."""

from dataclasses import dataclass

from dspark_bench.core.types import DrafterSpec


@dataclass(frozen=True, slots=True)
class Widths:
    """Per request.

    gamma: draft tokens asked for, 0 without a drafter; most_drafted: tokens or tree nodes that it
    may be given; num_draws: random numbers for drafting, as many for accepting.
    """

    gamma: int
    most_drafted: int
    num_draws: int


def drafter_widths(spec: DrafterSpec | None, gamma: int) -> Widths:
    """Of a drafter that is asked for `gamma` tokens, or of none. A tree may have more nodes."""
    if spec is None:
        return Widths(0, 0, 0)
    most_drafted = gamma
    if spec.num_nodes is not None:
        most_drafted = max(gamma, spec.num_nodes)
    return Widths(gamma, most_drafted, most_drafted if spec.draws_nodes else gamma)
