"""What a server has to know of a drafter: what kind it is, and where its checkpoint lies."""

from pathlib import Path
from typing import Any

import dspark_bench
from dspark_bench.reading.points import Point

_OURS = "dspark_bench.drafters."
_KINDS = (
    *("semi_ar", "parallel", "ar", "eagle", "medusa", "hydra", "mtp", "jetspec"),
    *("draft_model", "layer_skip", "ngram", "suffix"),
)
_CHAINS = ("", "none", "chain")
FIXED = "fixed"

DrafterId = tuple[str, str, str]
"""Name, file and hash: the same for one checkpoint."""


def drafter_id(point: Point) -> DrafterId:
    """Which drafter a point ran."""
    return point.text("drafter"), point.text("drafter_name"), point.text("drafter_hash")


def is_plain(point: Point) -> bool:
    """Whether a drafter and a length say all: the whole of each draft is verified, as a chain."""
    return point.text("scheduler") == FIXED and not has_tree(point)


def has_tree(point: Point) -> bool:
    """Whether its drafts are trees."""
    return str(point.keys.get("tree") or "") not in _CHAINS


def kind_of(point: Point) -> str | None:
    """Such as `semi_ar` (DSpark), `parallel` (DFlash) or `ar` (Eagle3): the module of our class;
    None for any other.
    """
    target = point.keys.get("drafter._target_")
    name = point.text("drafter")
    if isinstance(target, str):
        name = target.removeprefix(_OURS).partition(".")[0] if target.startswith(_OURS) else ""
    return name if name in _KINDS else None


def setting(point: Point, key: str) -> Any:
    """A key of the drafter's configuration; None where the point does not state it."""
    return point.keys.get(f"drafter.{key}")


def checkpoint_of(point: Point) -> str:
    """Its folder: as given, or the one that came with this package for the point's target."""
    given = point.keys.get("drafter.path")
    if isinstance(given, str) and given:
        return given
    root, name = Path(dspark_bench.__file__).parent / "zoo" / "drafters", point.text("drafter")
    own = root / point.text("target") / name
    return str(own if own.is_dir() else root / name)
