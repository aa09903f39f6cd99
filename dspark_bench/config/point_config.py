"""One point's configuration as typed values, independent of Hydra from here on."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
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
from dspark_bench.core.types import RunLimits, SamplingParams
from dspark_bench.metrics.slo import Slo
from dspark_bench.models.backend import Backend
from dspark_bench.models.fetchable import FETCHABLE

ZOO = PACKAGE_DIR / "zoo"
NO_DRAFTER = "none"
CONFIG_FILE = "config.json"
PLUGIN_GROUPS = (
    *("drafter", "scheduler", "cost", "calibrator", "load", "lengths", "workload", "acceptance"),
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

    values: the plain configuration it was made from, without what only training reads.
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
    values = composed.values
    for group, kind in _PLAIN_GROUPS.items():
        _check_keys(group, values[group], kind)
    target_dir = _target_dir(values["target"]["path"], composed.choices.get("target"))
    components = {group: _component(group, composed, target_dir) for group in PLUGIN_GROUPS}
    return PointConfig(
        gamma=values["gamma"],
        sampling=SamplingParams(values["temperature"], values["top_k"], values["top_p"]),
        seed=values["seed"],
        max_new_tokens=values["max_new_tokens"],
        num_requests=_num_requests(values, components["load"]),
        name=name,
        results_dir=Path(values["results_dir"]),
        target_dir=target_dir,
        target_backend=_backend(values["target"]["backend"]),
        **components,
        engine=EngineSettings(**values["engine"]),
        measure=MeasureSettings(**values["measure"]),
        slo=Slo(**values["slo"]),
        values={key: value for key, value in values.items() if key != "train"},
        choices=composed.choices,
    )


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


def _target_dir(path: str | None, choice: str | None) -> Path:
    """A null path: where `fetch` keeps a model of the option's name, else the zoo's."""
    if path == "":
        raise UsageError("target.path is ''; valid: a model's folder, or null for the zoo's")
    if path is None and choice in FETCHABLE:
        return model_folder(choice)
    return ZOO / "target" if path is None else Path(path)


def _backend(value: object) -> Backend:
    try:
        return Backend(str(value))
    except ValueError:
        valid = ", ".join(Backend)
        raise UsageError(f"target.backend is {value!r}; valid: {valid}") from None


def _component(group: str, composed: Composed, target_dir: Path) -> Component:
    settings = dict(composed.values[group])
    name = str(composed.choices.get(group))
    class_path = settings.pop("_target_", None)
    component = Component(name, class_path, settings)
    if group == "drafter" and component.is_own and "path" in settings:
        settings["path"] = _checkpoint(name, settings["path"], target_dir)
    return component


def _checkpoint(option: str, path: object, target_dir: Path) -> object:
    """Where a drafter of ours finds its files; null: the shipped ones for this target, if any."""
    if path is None:
        shipped = shipped_checkpoint(option, target_dir)
        return None if shipped is None else str(shipped)
    return str(checkpoint_folder(Path(path))) if isinstance(path, str) else path


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
