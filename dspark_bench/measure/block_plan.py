"""Which points of a sweep are measured together.

Points that are equal in everything but what speculates form a block: one baseline and all of their
arms take turns, so that each speedup is paired with the same baseline, and arms with each other
(design section 7).
"""

import hashlib
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dspark_bench.config.point_config import PointConfig
from dspark_bench.measure.identity import Identity

ARM_GROUPS: Final = ("drafter", "tree", "scheduler", "cost", "calibrator")
ARM_KEYS: Final = ("gamma", *ARM_GROUPS)
"""What may differ between the arms of a block."""
_NO_MEASUREMENT: Final = ("name", "results_dir")


@dataclass(frozen=True, slots=True)
class PlannedPoint:
    """A checked point."""

    config: PointConfig
    identity: Identity

    @property
    def point_id(self) -> str:
        """16 hex digits."""
        return self.identity.point_id


@dataclass(frozen=True, slots=True)
class Block:
    """Points that take turns with one baseline, in the order of the command line, each once."""

    points: tuple[PlannedPoint, ...]

    @property
    def block_id(self) -> str:
        """16 hex digits over the ids of its points."""
        text = "/".join(sorted(point.point_id for point in self.points))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def plan_blocks(points: Sequence[PlannedPoint]) -> tuple[Block, ...]:
    """The distinct points in blocks of at most their `measure.max_arms`, in the order of each
    block's first point.
    """
    distinct = {point.point_id: point for point in points}
    alike: dict[str, list[PlannedPoint]] = {}
    for point in distinct.values():
        alike.setdefault(block_key(point), []).append(point)
    blocks = []
    for members in alike.values():
        size = members[0].config.measure.max_arms
        blocks += [Block(tuple(part)) for part in _evenly(members, size)]
    return tuple(blocks)


def block_key(point: PlannedPoint) -> str:
    """Equal for points that can share a baseline: same target, prompts, arrivals and protocol."""
    config, identity = point.config, point.identity
    kept = {
        key: value
        for key, value in config.values.items()
        if key not in (*ARM_KEYS, *_NO_MEASUREMENT)
    }
    measure = {key: value for key, value in config.values["measure"].items() if key != "copy"}
    parts = {
        "values": kept | {"measure": measure},
        "choices": {k: v for k, v in config.choices.items() if k not in ARM_KEYS},
        "folder": str(config.folder),
        "target": identity.target_hash,
        "prompts": identity.prompts_hash,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def _evenly(members: Sequence[PlannedPoint], size: int) -> list[list[PlannedPoint]]:
    """As few parts of at most `size` as hold all, as equal as they can be."""
    num_parts = -(-len(members) // size)
    bounds = [round(part * len(members) / num_parts) for part in range(num_parts + 1)]
    return [list(members[a:b]) for a, b in itertools.pairwise(bounds)]
