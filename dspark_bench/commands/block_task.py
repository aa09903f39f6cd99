"""What Hydra calls for each block of a sweep.

The task gives back a status and never raises: one that raises would take the later blocks with it.
"""

import gc
from collections.abc import Sequence
from functools import partial
from typing import Final

from omegaconf import DictConfig

from dspark_bench.commands.display import SweepDisplay
from dspark_bench.commands.interrupts import Interrupts
from dspark_bench.commands.noise_lines import outcome
from dspark_bench.config.point_config import PointConfig
from dspark_bench.config.schema import GROUPS
from dspark_bench.config.validate import check_writable
from dspark_bench.machine.environment import Environment, read_environment
from dspark_bench.measure.block import Watcher, run_block
from dspark_bench.measure.block_plan import Block, PlannedPoint
from dspark_bench.measure.build import ModelCache
from dspark_bench.measure.point import PointResult
from dspark_bench.metrics.machine import machine_warnings
from dspark_bench.reading.rows import FAILED, FINISHED
from dspark_bench.store.failures import is_out_of_memory, reason_of
from dspark_bench.store.point_store import POINTS, PointStore, flatten
from dspark_bench.store.round_store import RoundStore

BLOCK_KEY: Final = "block"
"""The key that tells Hydra's jobs apart: which of the task's blocks one measures."""
_OTHER_GROUPS = tuple(group for group in GROUPS if group not in ("drafter", "workload"))


class BlockTask:
    """Measures one block after the other. Picklable, so that any launcher can carry it.

    unstored: why a point has failed without an error.json, by id; of this process only.
    """

    def __init__(
        self,
        blocks: Sequence[Block],
        display: SweepDisplay,
        environment: Environment | None = None,
        swept_keys: Sequence[str] = (),
        interrupts: Interrupts | None = None,
    ) -> None:
        """environment: of this process; None to look when the first block begins."""
        self.unstored: dict[str, str] = {}
        self._blocks = tuple(blocks)
        self._swept_keys = tuple(swept_keys)
        self._display = display
        self._environment = environment
        self._interrupts = interrupts or Interrupts()
        self._models = ModelCache()

    def __reduce__(self) -> tuple[type["BlockTask"], tuple[tuple[Block, ...], SweepDisplay]]:
        """Another process starts with nothing in memory, on a machine of its own."""
        return BlockTask, (self._blocks, self._display)

    def __call__(self, config: DictConfig) -> str:
        """The job of a launcher: `run` of the block that its key names."""
        return self.run(int(config[BLOCK_KEY]))

    def run(self, index: int) -> str:
        """Measure the points of a block that have not been measured. Returns their status."""
        self._interrupts.check()
        block = self._blocks[index]
        folder = block.points[0].config.folder
        missing = [p for p in block.points if not PointStore(folder).is_finished(p.point_id)]
        return self._measure(block, missing) if missing else FINISHED

    def _measure(self, block: Block, missing: Sequence[PlannedPoint]) -> str:
        """missing: points that are to be stored; the others have been, from the same rounds."""
        environment = self._environment = self._environment or read_environment()
        labels = [_label(point.config, self._swept_keys) for point in block.points]
        ids = {point.point_id for point in missing}
        self._display.begin([_label(point.config, self._swept_keys) for point in missing])
        statuses: dict[str, str] = {}

        def keep(planned: PlannedPoint, result: PointResult | Exception) -> None:
            if planned.point_id in ids:
                statuses[planned.point_id] = self._keep(planned, result, environment)

        display, folder = self._display, block.points[0].config.folder
        by_id = {p.point_id: label for p, label in zip(block.points, labels, strict=True)}
        watcher = Watcher(
            on_plan=display.plan,
            on_turn=display.turn,
            on_notes=display.say,
            on_point=keep,
            on_standing=lambda standing, is_look: display.stand(standing, by_id, is_look),
            held=self._interrupts.held,
            is_wanted=lambda planned: planned.point_id in ids,
        )
        rounds = RoundStore(folder, block.block_id, environment)
        try:
            check_writable(folder / POINTS)  # what cannot be kept is not worth the time
            run_block(block, environment, self._models, watcher, rounds)
        except Exception as error:
            for planned in block.points:
                if planned.point_id not in statuses:
                    keep(planned, error)
        rounds.forget()  # a signal passes this by: the same command goes on from there
        return FAILED if FAILED in statuses.values() else FINISHED

    def _keep(
        self, planned: PlannedPoint, result: PointResult | Exception, environment: Environment
    ) -> str:
        """Write what became of a point. Returns its status."""
        label = _label(planned.config, self._swept_keys)
        end = partial(self._display.end, label)
        if isinstance(result, Exception):
            end(f"failed: {self._keep_failure(planned, environment, result)}")
            return FAILED
        try:
            with self._interrupts.held():
                PointStore(planned.config.folder).save_result(
                    planned.config, planned.identity, result
                )
        except Exception as error:
            end(f"failed: {self._keep_failure(planned, environment, error)}")
            return FAILED
        is_cut = result.facts.get("interrupted") is True
        said = "interrupted: " if is_cut else ""
        end(
            said + outcome(result.summary),
            machine_warnings(result.machine.as_json()),
            result.doubts,
            result.facts.get("wall_s"),
        )
        return FINISHED

    def _keep_failure(
        self, planned: PlannedPoint, environment: Environment, error: Exception
    ) -> str:
        """Write error.json where that is possible. Returns the reason in one line."""
        reason = reason_of(error)
        try:
            with self._interrupts.held():
                store = PointStore(planned.config.folder)
                store.save_failure(planned.config, planned.identity, environment, error)
        except OSError:
            self.unstored[planned.point_id] = reason
        if is_out_of_memory(error):  # what was allocated goes with the error's frames
            self._models = ModelCache()
            gc.collect()
        return reason


def _label(point: PointConfig, swept_keys: Sequence[str]) -> str:
    """Drafter, gamma and workload, and whatever else differs between the points."""
    drafted = f"gamma={point.gamma} " if point.has_drafter else ""
    values = flatten(point.values)
    if not point.has_tree:
        swept_keys = [key for key in swept_keys if not key.startswith("tree.")]
    others = [f" {key}={values[key]}" for key in swept_keys if key != "gamma" and key in values]
    chosen = [f" {key}={point.choices[key]}" for key in swept_keys if key in _OTHER_GROUPS]
    if point.has_tree and "tree" not in swept_keys:
        chosen.append(f" tree={point.tree.name}")
    return f"{point.drafter.name} {drafted}{point.workload.name}{''.join(others + chosen)}"
