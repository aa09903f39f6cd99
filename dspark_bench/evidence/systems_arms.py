"""Which drafters `bench_systems` measures, and the arms that each of them is tried as.

An arm is a drafter at one draft length, as a chain or with one tree. What a drafter can do is read
from its class and from its checkpoint's files; nothing is loaded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from dspark_bench.config.compose import conf_dir
from dspark_bench.config.plugin_fit import find_class, parameters
from dspark_bench.config.shipped import shipped_checkpoint
from dspark_bench.models.config_values import read_json
from dspark_bench.models.drafter_files import kind_of, parse_drafter

SYSTEMS: Final = (
    *("ngram", "suffix", "layer_skip", "draft_model", "medusa", "hydra"),
    *("eagle", "ar", "mtp", "parallel", "jetspec", "semi_ar"),
)
FLOOR: Final = "layer_skip"
"""The target's own layers: what every trained drafter must beat."""
CHAIN_LENGTHS: Final = (2, 4, 8)
FLOOR_LENGTHS: Final = (1, 2, 4)
TREES: Final = ((4, 4), (4, 8), (8, 16))
"""Depth and nodes."""
COMMON_TREE: Final = "best_first"
OWN_TREES: Final[Mapping[str, str]] = {"eagle": "beam", "ar": "beam", "jetspec": "jetspec"}
"""What a drafter was published with, tried beside the common one."""
_FLOOR_SHARES: Final = (6, 4, 3, 2)
_NO_TRAINING: Final = ("ngram", "suffix", FLOOR)


@dataclass(frozen=True, slots=True)
class System:
    """One drafter that can be measured.

    checkpoint: its folder, None where it needs none; is_typed: whether commands must name it;
    max_gamma: what it was trained for, None for any; has_trees: whether trees grow from it.
    """

    name: str
    checkpoint: Path | None
    is_typed: bool
    max_gamma: int | None
    has_trees: bool


@dataclass(frozen=True, slots=True)
class Arm:
    """One configuration of one system. overrides: all that the command line needs for it."""

    system: str
    is_tree: bool
    overrides: tuple[str, ...]


def find_systems(
    names: Sequence[str], target_dir: Path, checkpoints: Mapping[str, Path] | None = None
) -> tuple[tuple[System, ...], dict[str, str]]:
    """Those that can be measured on a target, and why the others cannot, by name.

    checkpoints: folders by drafter; of the others the shipped one for the target.
    """
    given = checkpoints or {}
    found, missing = list[System](), dict[str, str]()
    for name in names:
        path = conf_dir() / "drafter" / f"{name}.yaml"
        if not path.is_file():
            missing[name] = "not in this version"
            continue
        called = find_class(yaml.safe_load(path.read_text(encoding="utf-8"))["_target_"])
        folder = None
        if "path" in parameters(called):
            folder = given.get(name) or shipped_checkpoint(name, target_dir)
            if folder is None:
                missing[name] = "not trained yet: no checkpoint for this target"
                continue
        has_trees = hasattr(called, "branch")
        found.append(System(name, folder, name in given, _trained_for(folder), has_trees))
    return tuple(found), missing


def _trained_for(folder: Path | None) -> int | None:
    if folder is None:
        return None
    config: dict[str, Any] = read_json(folder / "config.json")
    return None if kind_of(config) is None else parse_drafter(config, folder).max_gamma


def arms_of(system: System, num_target_layers: int) -> tuple[Arm, ...]:
    """Every arm that a system is tried as: chains of several lengths, then trees."""
    own = [f"drafter={system.name}"]
    own += [f"drafter.path={system.checkpoint}"] if system.is_typed else []
    lengths = FLOOR_LENGTHS if system.name == FLOOR else CHAIN_LENGTHS
    choices = floor_layers(num_target_layers) if system.name == FLOOR else ("",)
    chains = [
        (*own, *([f"drafter.layers={layers}"] if layers else []), f"gamma={gamma}")
        for layers in choices
        for gamma in lengths
        if _can_draft(system, gamma)
    ]
    kinds = dict.fromkeys([COMMON_TREE, OWN_TREES.get(system.name, COMMON_TREE)])
    trees = [
        (*own, f"gamma={depth}", f"tree={kind}", f"tree.nodes={nodes}")
        for kind in (kinds if system.has_trees else ())
        for depth, nodes in TREES
        if _can_draft(system, depth)
    ]
    found = [Arm(system.name, False, chain) for chain in chains]
    return (*found, *(Arm(system.name, True, tree) for tree in trees))


def floor_layers(num_target_layers: int) -> tuple[str, ...]:
    """What `layer_skip` runs: the target's first sixth, quarter, third and half; and the first
    sixth with the last two, which do much of the work of some targets.
    """
    counts = dict.fromkeys(max(1, num_target_layers // share) for share in _FLOOR_SHARES)
    first = range(max(1, num_target_layers // _FLOOR_SHARES[0]))
    both = sorted({*first, num_target_layers - 2, num_target_layers - 1})
    return (*map(str, counts), f"[{','.join(map(str, both))}]")


def needs_training(name: str) -> bool:
    """Whether a drafter has weights of its own."""
    return name not in _NO_TRAINING


def _can_draft(system: System, gamma: int) -> bool:
    return system.max_gamma is None or gamma <= system.max_gamma
