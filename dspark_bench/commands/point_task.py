"""What Hydra calls for each point of a sweep.

The task gives back a status and never raises: one that raises would take the later points with it.
"""

import gc
from collections.abc import Sequence
from dataclasses import dataclass

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from dspark_bench.commands.display import SweepDisplay
from dspark_bench.commands.interrupts import Interrupts
from dspark_bench.commands.noise_lines import outcome
from dspark_bench.config.compose import Composed, own_values
from dspark_bench.config.point_config import PointConfig, to_point_config
from dspark_bench.config.schema import GROUPS
from dspark_bench.config.validate import check_writable
from dspark_bench.machine.environment import Environment, read_environment
from dspark_bench.measure.build import ModelCache
from dspark_bench.measure.identity import HashCache, Identity, identify
from dspark_bench.measure.point import run_point
from dspark_bench.metrics.machine import machine_warnings
from dspark_bench.reading.rows import FAILED, FINISHED
from dspark_bench.store.failures import is_out_of_memory, reason_of
from dspark_bench.store.point_store import POINTS, PointStore, flatten

_OTHER_GROUPS = tuple(group for group in GROUPS if group not in ("drafter", "workload"))


@dataclass(frozen=True, slots=True)
class PlannedPoint:
    """A checked point."""

    config: PointConfig
    identity: Identity


class PointTask:
    """Measures one point after the other. Picklable, so that any launcher can carry it.

    unstored: why a point has failed without an error.json, by id; of this process only.
    """

    def __init__(
        self,
        name: str,
        display: SweepDisplay,
        environment: Environment | None = None,
        swept_keys: Sequence[str] = (),
        interrupts: Interrupts | None = None,
    ) -> None:
        """environment: of this process; None to look when the first point begins."""
        self.unstored: dict[str, str] = {}
        self._name = name
        self._swept_keys = tuple(swept_keys)
        self._display = display
        self._environment = environment
        self._interrupts = interrupts or Interrupts()
        self._models = ModelCache()
        self._hashes = HashCache()

    def __reduce__(self) -> tuple[type["PointTask"], tuple[str, SweepDisplay]]:
        """Another process starts with nothing in memory, on a machine of its own."""
        return PointTask, (self._name, self._display)

    def __call__(self, config: DictConfig) -> str:
        """Measure a point unless that has been done. Returns its status."""
        self._interrupts.check()
        try:
            point = to_point_config(_composed_task(config), self._name)
            identity = identify(point, self._hashes)
        except Exception as error:
            self._display.end(f"failed: {reason_of(error)}")
            return FAILED
        if PointStore(point.folder).is_finished(identity.point_id):
            return FINISHED
        return self._measure(point, identity)

    def _measure(self, point: PointConfig, identity: Identity) -> str:
        store = PointStore(point.folder)
        self._environment = self._environment or read_environment()
        watcher = self._display.begin(_label(point, self._swept_keys))
        has_room = True
        try:
            check_writable(point.folder / POINTS)  # what cannot be kept is not worth the time
            result = run_point(point, identity, self._environment, self._models, watcher)
            with self._interrupts.held():
                store.save_result(point, identity, result)
            warnings = machine_warnings(result.machine.as_json())
            self._display.end(outcome(result.summary), warnings, result.doubts)
            return FINISHED
        except Exception as error:
            has_room = not is_out_of_memory(error)
            reason = self._keep_failure(point, identity, error)
        if not has_room:  # what the point had allocated went with the error's frames
            self._models = ModelCache()
            gc.collect()
        self._display.end(f"failed: {reason}")
        return FAILED

    def _keep_failure(self, point: PointConfig, identity: Identity, error: Exception) -> str:
        """Write error.json where that is possible. Returns the reason in one line."""
        assert self._environment is not None
        reason = reason_of(error)
        try:
            with self._interrupts.held():
                store = PointStore(point.folder)
                store.save_failure(point, identity, self._environment, error)
        except OSError:
            self.unstored[identity.point_id] = reason
        return reason


def _composed_task(config: DictConfig) -> Composed:
    choices = HydraConfig.get().runtime.choices
    return Composed(own_values(config), {group: choices.get(group) for group in GROUPS})


def _label(point: PointConfig, swept_keys: Sequence[str]) -> str:
    """Drafter, gamma and workload, and whatever else differs between the points."""
    drafted = f"gamma={point.gamma} " if point.has_drafter else ""
    values = flatten(point.values)
    others = [f" {key}={values[key]}" for key in swept_keys if key != "gamma" and key in values]
    chosen = [f" {key}={point.choices[key]}" for key in swept_keys if key in _OTHER_GROUPS]
    return f"{point.drafter.name} {drafted}{point.workload.name}{''.join(others + chosen)}"
