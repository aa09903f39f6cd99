"""What of a sweep is still to be measured, in blocks."""

from collections.abc import Sequence
from pathlib import Path

from dspark_bench.machine.environment import Environment
from dspark_bench.measure.block_plan import Block, PlannedPoint, plan_blocks
from dspark_bench.store.point_store import PointStore
from dspark_bench.store.round_store import stored_blocks


def blocks_left(
    planned: Sequence[PlannedPoint], folder: Path, environment: Environment
) -> list[Block]:
    """Blocks of the points that are not finished in the folder.

    A block that a kill met while its points were stored comes whole, with those that are stored
    already: its rounds are on record. Else unfinished points of a block make another one.
    """
    store, points = PointStore(folder), {point.point_id: point for point in planned}
    left = {point_id for point_id in points if not store.is_finished(point_id)}
    half_stored = []
    for members in stored_blocks(folder, environment):
        if members <= points.keys() and members & left and not members <= left:
            half_stored.append(Block(tuple(p for key, p in points.items() if key in members)))
            left -= members
    return [*half_stored, *plan_blocks([p for key, p in points.items() if key in left])]
