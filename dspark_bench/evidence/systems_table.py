"""The table of `bench_systems`, from finished parts: `systems.md`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from dspark_bench.evidence.measured_parts import measured_parts
from dspark_bench.evidence.reference_origin import measured_on
from dspark_bench.evidence.systems_arms import FLOOR, System, needs_training
from dspark_bench.evidence.systems_training import training_lines
from dspark_bench.metrics.intervals import Interval
from dspark_bench.reading.points import Point
from dspark_bench.report.ratios import SpeedRecords, measured_speedup

TABLE: Final = "systems.md"
_CHAIN = ("", "none")
_HEAD = (
    "| drafter | drafts | accepted length | c | S | S over layer_skip | prompts |",
    "|---|---|---|---|---|---|---|",
)


def keep_systems(
    folder: Path,
    parts: Sequence[str],
    systems: Sequence[System],
    missing: Mapping[str, str],
    out: Path,
) -> str:
    """Write the table into `out` from the parts below `folder`. Returns the Markdown.

    Raises ResultsError if no part has a measured S.
    """
    found = measured_parts(folder, parts)
    text = systems_text(found, systems, missing, measured_on(*(folder / part for part in found)))
    out.mkdir(parents=True, exist_ok=True)
    (out / TABLE).write_text(text, encoding="utf-8")
    return text


def systems_text(
    found: Mapping[str, Sequence[Point]],
    systems: Sequence[System],
    missing: Mapping[str, str],
    origin: str,
) -> str:
    """Per part every drafter's chain and tree by falling S; then what each took to train.

    origin: the sentence of `measured_on`.
    """
    lines = [
        "# Every drafter on one target",
        "",
        "One request at a time, `scheduler=fixed`; made by `make systems`. Each drafter with the "
        "draft length, the tree and the layers that were fastest in a trial on other prompts; all "
        "arms of a part in one block. Trees are judged by `match`, chains by `exact`. c: time of "
        "one draft token in baseline steps (a tree's whole draft over gamma). S over layer_skip: "
        "paired by prompt, over that drafter's chain, which needs no training. 95 % intervals "
        f"over prompts. {origin}",
        "",
    ]
    for part, points in found.items():
        domain, _, temperature = part.rpartition("-")
        lines += [f"## {domain}, temperature {temperature}", "", *_HEAD, *_rows(points), ""]
        lines += [_beaten(points), ""]
    lines += ["## What they took to train", "", *training_lines(systems)]
    if missing:
        lines += ["", "Not measured:", ""]
        lines += [f"- `{name}`: {why}" for name, why in missing.items()]
    return "\n".join([*lines, ""])


def _rows(points: Sequence[Point]) -> list[str]:
    records, floor = SpeedRecords(), _floor(points)
    ordered = sorted(points, key=lambda point: -(point.number("speedup") or 0.0))
    return [_row(point, _over(point, floor, records)) for point in ordered]


def _row(point: Point, over_floor: Interval | None) -> str:
    cost = point.number("draft_cost_ratio")
    speedup = measured_speedup(point)
    cells = (
        point.text("drafter"),
        _shape(point),
        point.interval("accepted_length").text(),
        "-" if cost is None else f"{cost:.3f}",
        speedup.text(),
        "-" if over_floor is None else over_floor.text(),
        str(speedup.n),
    )
    return f"| {' | '.join(cells)} |"


def _shape(point: Point) -> str:
    """Such as `chain of 4` or `best_first of 8 nodes, 4 deep`."""
    tree, gamma = point.text("tree"), point.text("gamma")
    if tree in _CHAIN:
        layers = point.keys.get("drafter.layers")
        return f"chain of {gamma}" + (f", layers {layers}" if layers is not None else "")
    return f"{tree} of {point.text('tree_nodes')} nodes, {gamma} deep"


def _beaten(points: Sequence[Point]) -> str:
    """Whether every trained drafter's fastest arm beats the floor, in words."""
    floor, records = _floor(points), SpeedRecords()
    if floor is None:
        return f"`{FLOOR}` was not measured here."
    behind = []
    for drafter in dict.fromkeys(point.text("drafter") for point in points):
        own = [point for point in points if point.text("drafter") == drafter]
        fastest = max(own, key=lambda point: point.number("speedup") or 0.0)
        ratio = _over(fastest, floor, records)
        if needs_training(drafter) and (ratio is None or ratio.low is None or ratio.low <= 1):
            behind.append(f"`{drafter}`")
    if not behind:
        return f"Every trained drafter measured here is clearly faster than `{FLOOR}`."
    return f"Not clearly faster than `{FLOOR}`: {', '.join(behind)}."


def _floor(points: Sequence[Point]) -> Point | None:
    own = (point for point in points if point.text("drafter") == FLOOR)
    return max(own, key=lambda point: point.number("speedup") or 0.0, default=None)


def _over(point: Point, floor: Point | None, records: SpeedRecords) -> Interval | None:
    """None for the floor itself, and where it is of another block."""
    if floor is None or floor.point_id == point.point_id:
        return None
    if floor.text("block_id") != point.text("block_id"):
        return None
    return records.ratio(point, floor)
