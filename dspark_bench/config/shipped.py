"""Which checkpoint `drafter.path: null` means: the shipped one that was trained for the target.

A shipped checkpoint lies at `zoo/drafters/OPTION`, for the embedded target, or at
`zoo/drafters/TARGET/OPTION`; its manifest names the target by the hash of its files. So a copy of
that target elsewhere finds it too, and another model of the same shape does not.
"""

from functools import lru_cache
from pathlib import Path
from typing import Final

from dspark_bench.config.compose import PACKAGE_DIR
from dspark_bench.core.errors import CheckpointError
from dspark_bench.models.checkpoint import content_hash, weight_files
from dspark_bench.models.config_values import read_json

DRAFTERS: Final = PACKAGE_DIR / "zoo" / "drafters"
EMBEDDED: Final = "zoo"
"""The option of the target that lies in the package."""
_SHAPE: Final = (("vocab_size", "vocab_size"), ("num_target_layers", "num_hidden_layers"))
"""What a drafter's config.json says of its target, and where the target's says it."""


def shipped_checkpoint(option: str, target_dir: Path, drafters: Path | None = None) -> Path | None:
    """The shipped checkpoint of a drafter's option for a target; None if there is none, or if the
    target cannot be read.

    drafters: where they lie; None: in the package.
    """
    folders = _folders(option, drafters or DRAFTERS)
    try:
        return next((folder for folder in folders if _is_for(folder, target_dir)), None)
    except CheckpointError:
        return None


def shipped_targets(option: str, drafters: Path | None = None) -> tuple[str, ...]:
    """Targets, by the names of their options, that a drafter's option has a shipped checkpoint for.

    drafters: where they lie; None: in the package.
    """
    root = drafters or DRAFTERS
    parents = [folder.parent for folder in _folders(option, root)]
    return tuple(EMBEDDED if parent == root else parent.name for parent in parents)


def _folders(option: str, root: Path) -> list[Path]:
    """The option's checkpoints, that of the embedded target first."""
    below = sorted(root.iterdir()) if root.is_dir() else []
    found = [root / option, *(folder / option for folder in below)]
    return [folder for folder in found if (folder / "manifest.json").is_file()]


def _is_for(folder: Path, target_dir: Path) -> bool:
    """Whether a manifest names this target. A target of another shape than the config says
    (not every format says it) is not hashed: that takes seconds for each gigabyte.
    """
    ours, theirs = read_json(folder / "config.json"), read_json(target_dir / "config.json")
    if any(mine in ours and ours[mine] != theirs.get(its) for mine, its in _SHAPE):
        return False
    named = read_json(folder / "manifest.json").get("target_hash")
    return bool(named == _hash_of(target_dir))


def _hash_of(target_dir: Path) -> str:
    files = [target_dir / "config.json", *weight_files(target_dir)]
    stamps = [file.stat() for file in files if file.is_file()]
    seen = tuple((stamp.st_mtime_ns, stamp.st_size) for stamp in stamps)
    return _known_hash(target_dir.resolve(), seen)


@lru_cache(maxsize=4)
def _known_hash(target_dir: Path, seen: tuple[tuple[int, int], ...]) -> str:
    """The hash of a target, taken again only when one of its files has changed."""
    return content_hash(target_dir)
