"""One point's configuration as typed values, independent of Hydra from here on."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

from dspark_bench.config.compose import PACKAGE_DIR, Composed
from dspark_bench.config.schema import (
    EngineSettings,
    MeasureSettings,
    SloSettings,
    TargetSettings,
    TrainSettings,
)
from dspark_bench.config.shipped import shipped_checkpoint
from dspark_bench.config.sizes import default_num_requests
from dspark_bench.config.wording import did_you_mean
from dspark_bench.core.errors import CheckpointError, UsageError
from dspark_bench.core.model_cache import model_folder
from dspark_bench.core.records import RunLimits
from dspark_bench.core.types import SamplingParams
from dspark_bench.metrics.slo import Slo
from dspark_bench.models.backend import Backend
from dspark_bench.models.fetchable import FETCHABLE
from dspark_bench.models.hub import FoundModel, HubModel, find_model

ZOO = PACKAGE_DIR / "zoo"
NO_DRAFTER = "none"
NO_TREE = "none"
CONFIG_FILE = "config.json"
PLUGIN_GROUPS = (
    *("drafter", "tree", "scheduler", "cost", "calibrator", "load", "lengths", "workload"),
    "acceptance",
)
_PLAIN_GROUPS: Final[dict[str, type]] = {
    "target": TargetSettings,
    "engine": EngineSettings,
    "measure": MeasureSettings,
    "slo": SloSettings,
    "train": TrainSettings,
}
"""Groups that hold no plug-in, with the keys that they may have."""


@dataclass(frozen=True, slots=True)
class Component:
    """A plug-in as configured: the option's name, its class path, and its keyword arguments."""

    name: str
    class_path: str | None
    arguments: dict[str, Any]

    @property
    def is_own(self) -> bool:
        """Whether the class is this package's, not a user's. A YAML may name what is no text."""
        return str(self.class_path).startswith(f"{PACKAGE_DIR.name}.")


@dataclass(frozen=True, slots=True)
class PointConfig:
    """Everything that one point needs.

    values: the plain configuration it was made from, without what only training reads; target_hub,
    drafter_hub: where a folder came from that was named as on the hub.
    """

    gamma: int
    sampling: SamplingParams
    seed: int
    max_new_tokens: int
    num_requests: int
    name: str
    results_dir: Path
    target_dir: Path
    target_backend: Backend
    drafter: Component
    tree: Component
    scheduler: Component
    cost: Component
    calibrator: Component
    load: Component
    lengths: Component
    workload: Component
    acceptance: Component
    engine: EngineSettings
    measure: MeasureSettings
    slo: Slo
    values: dict[str, Any]
    choices: dict[str, str | None]
    target_hub: HubModel | None = None
    drafter_hub: HubModel | None = None

    @property
    def limits(self) -> RunLimits:
        """When a timed turn gives up on requests that wait."""
        return RunLimits(self.measure.max_turn_s, self.measure.max_waiting)

    @property
    def has_default_size(self) -> bool:
        """Whether nobody said how many requests: then a workload that holds fewer is no mistake."""
        return self.values["num_requests"] is None

    @property
    def folder(self) -> Path:
        """The sweep's folder."""
        return self.results_dir / self.name

    @property
    def has_drafter(self) -> bool:
        """Whether this point speculates at all."""
        return self.drafter.class_path is not None

    @property
    def has_tree(self) -> bool:
        """Whether its drafts are trees."""
        return self.has_drafter and self.tree.class_path is not None

    @property
    def has_prompt_file(self) -> bool:
        """Whether the prompts are a user's, from a file."""
        return "path" in self.workload.arguments

    @property
    def drafter_dir(self) -> Path | None:
        """Checkpoint folder of the drafter, where it has one."""
        path = self.drafter.arguments.get("path")
        return None if path is None else Path(str(path))


def to_point_config(composed: Composed, name: str) -> PointConfig:
    """Typed values of a composed configuration; a null path becomes that of what is shipped.

    Raises UsageError for a key that no group has. A drafter without a shipped checkpoint for the
    target keeps its null, which `check_point` refuses.
    """
    values = _plain_values(composed.values)
    for group, kind in _PLAIN_GROUPS.items():
        _check_keys(group, composed.values[group], kind)
    target = _target(values["target"]["path"], composed.choices.get("target"))
    components = {group: _component(group, composed) for group in PLUGIN_GROUPS}
    components["drafter"], drafter_hub = _with_folder(components["drafter"], target.folder)
    return PointConfig(
        gamma=values["gamma"],
        sampling=SamplingParams(values["temperature"], values["top_k"], values["top_p"]),
        seed=values["seed"],
        max_new_tokens=values["max_new_tokens"],
        num_requests=_num_requests(values, components["load"]),
        name=name,
        results_dir=Path(values["results_dir"]),
        target_dir=target.folder,
        target_backend=_backend(values["target"]["backend"]),
        **components,
        engine=EngineSettings(**values["engine"]),
        measure=MeasureSettings(**values["measure"]),
        slo=Slo(**values["slo"]),
        values=values,
        choices=composed.choices,
        target_hub=target.hub,
        drafter_hub=drafter_hub,
    )


def _plain_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Without what only training reads, and without the keys of no tree."""
    kept = {key: value for key, value in values.items() if key != "train"}
    if "_target_" not in kept["tree"]:
        kept["tree"] = dict.fromkeys(kept["tree"])
    return kept


def _num_requests(values: Mapping[str, Any], load: Component) -> int:
    asked = values["num_requests"]
    if asked is not None:
        return int(asked)
    precision, concurrency = values["measure"]["precision"], load.arguments.get("concurrency")
    return default_num_requests(precision, load.name, concurrency)


def _check_keys(group: str, values: Mapping[str, Any], kind: type) -> None:
    known = [field.name for field in fields(kind)]
    unknown = [name for name in values if name not in known]
    if unknown:
        raise UsageError(
            f"{group} has no key {unknown[0]!r}; valid: {', '.join(known)}"
            f"{did_you_mean(unknown[0], known)}"
        )


def _target(path: str | None, choice: str | None) -> FoundModel:
    """A null path: where `fetch` keeps a model of the option's name, else the zoo's."""
    if path == "":
        raise UsageError(
            "target.path is ''; valid: a model's folder, its ORG/NAME on the hub, or null for the "
            "zoo's"
        )
    if path is None:
        return FoundModel(model_folder(choice) if choice in FETCHABLE else ZOO / "target")
    return find_model(path)


def _backend(value: object) -> Backend:
    try:
        return Backend(str(value))
    except ValueError:
        valid = ", ".join(Backend)
        raise UsageError(f"target.backend is {value!r}; valid: {valid}") from None


def _component(group: str, composed: Composed) -> Component:
    settings = dict(composed.values[group])
    name = str(composed.choices.get(group))
    return Component(name, settings.pop("_target_", None), settings)


def _with_folder(drafter: Component, target_dir: Path) -> tuple[Component, HubModel | None]:
    """With the folder that its path stands for. A null path of a drafter of ours: that of the
    shipped checkpoint for this target, if any.
    """
    path = drafter.arguments.get("path")
    if isinstance(path, str):
        found = find_model(path)
        folder = checkpoint_folder(found.folder) if drafter.is_own else found.folder
        text = path if folder == Path(path) else str(folder)
        return replace(drafter, arguments={**drafter.arguments, "path": text}), found.hub
    if path is None and drafter.is_own and "path" in drafter.arguments:
        shipped = shipped_checkpoint(drafter.name, target_dir)
        place = None if shipped is None else str(shipped)
        return replace(drafter, arguments={**drafter.arguments, "path": place}), None
    return drafter, None


def checkpoint_folder(folder: Path) -> Path:
    """`folder`, or the one checkpoint below it: `train.out=DIR` writes DIR/NAME.

    Raises CheckpointError if there are several.
    """
    if not folder.is_dir() or (folder / CONFIG_FILE).exists():
        return folder
    below = sorted(path.parent for path in folder.glob(f"*/{CONFIG_FILE}"))
    if len(below) > 1:
        names = ", ".join(str(path) for path in below)
        raise CheckpointError(f"drafter.path is {folder}, which holds several; valid: {names}")
    return below[0] if below else folder
