"""Measures a block: one baseline and the arms of all its points take turns, round after round."""

import gc
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import torch

from dspark_bench.config.point_config import PointConfig
from dspark_bench.core.errors import Stopped
from dspark_bench.engine.engine import EngineConfig
from dspark_bench.machine.environment import Environment
from dspark_bench.machine.gpu_telemetry import run_telemetry
from dspark_bench.measure.arm import (
    Arm,
    BuiltArm,
    Worker,
    arm_worker,
    baseline_worker,
    build_arm,
    prepare_arm,
)
from dspark_bench.measure.arrivals import warmup_size
from dspark_bench.measure.block_plan import Block, PlannedPoint
from dspark_bench.measure.build import ModelCache, choose_device, choose_threads
from dspark_bench.measure.build_tree import most_drafted
from dspark_bench.measure.point import (
    MeasuredBlock,
    PointResult,
    asks_for_control,
    finish_point,
    greedy_control,
)
from dspark_bench.measure.predictions import row_length
from dspark_bench.measure.round_loop import OnStanding, Rounds, Turns
from dspark_bench.measure.round_records import (
    NoLog,
    RoundLog,
)
from dspark_bench.measure.rounds import plan_rounds
from dspark_bench.measure.standing import Standing
from dspark_bench.measure.stopwatch import Stopwatch
from dspark_bench.measure.timing_lock import timing_lock
from dspark_bench.measure.turns import (
    OnTurn,
    Order,
    plan_warmup,
)
from dspark_bench.measure.williams import orders
from dspark_bench.metrics.frames import BASELINE

Item = TypeVar("Item")
Made = TypeVar("Made")
OnPoint = Callable[[PlannedPoint, PointResult | Exception], None]


def _unseen(standing: Standing, is_look: bool) -> None:
    """Nobody looks."""


def _always(point: PlannedPoint) -> bool:
    """Every point."""
    return True


@dataclass(frozen=True, slots=True)
class Watcher:
    """Called while nothing is timed: `on_notes` with what a reader must know of the prompts and the
    arrivals, before anything runs; `on_plan` with the number of turns, `on_turn` after each;
    `on_standing` after each round; `on_point` with the result of every point, or with why it has
    none; `held`: entered while what is known is saved after a signal; `is_wanted`: whether a point
    is to be finished, or only takes its turns.
    """

    on_plan: Callable[[int], None]
    on_turn: OnTurn
    on_notes: Callable[[Sequence[str]], None]
    on_point: OnPoint
    on_standing: OnStanding = _unseen
    held: Callable[[], AbstractContextManager[None]] = nullcontext
    is_wanted: Callable[[PlannedPoint], bool] = _always


def run_block(
    block: Block,
    environment: Environment,
    models: ModelCache,
    watcher: Watcher,
    log: RoundLog | None = None,
) -> None:
    """Measure all points of a block; each is handed to `watcher.on_point` once, whatever becomes of
    it. Sets torch's thread count. An arm that fails leaves the others.

    environment: as seen when the code was loaded, which may have been edited since; log: keeps
    whole rounds, and has those of an earlier run that was interrupted. A signal ends the rounds,
    leaves what they say, marked as interrupted, and is raised again.
    """
    stopwatch = Stopwatch()
    torch.set_num_threads(choose_threads(block.points[0].config))
    with stopwatch.at("build"):
        built = _each(block.points, lambda point: build_arm(point, models), watcher.on_point)
    for note in dict.fromkeys(note for arm in built for note in arm.notes):
        watcher.on_notes([note])
    with timing_lock() as lock:
        with stopwatch.at("costs"):
            arms = _each(
                built, lambda arm: prepare_arm(arm, environment), watcher.on_point, _planned_of
            )
        if not arms:
            return
        turns = take_turns(arms, watcher, log or NoLog(), stopwatch)
        arms = [arm for arm in arms if _has_stood(arm, turns.errors, watcher.on_point)]
        arms = [arm for arm in arms if watcher.is_wanted(arm.planned)]
        if turns.stopped is None:
            with stopwatch.at("costs"):
                arms = _each(arms, _with_late_costs, watcher.on_point, lambda arm: arm.planned)
        is_shared = lock.is_shared
    with stopwatch.at("costs"):
        read_bytes_s = models.read_bytes_s(choose_device(block.points[0].config))
    control = cache(lambda: greedy_control(arms[0]))
    if turns.stopped is None and any(map(asks_for_control, arms)):
        with stopwatch.at("checks"), suppress(Exception):  # the points meet its error themselves
            control()
    measured = MeasuredBlock(
        block.block_id,
        len(block.points),
        turns,
        is_shared,
        read_bytes_s=read_bytes_s,
        shared_s=stopwatch.shares(len(block.points)),
    )

    def finish(arm: Arm) -> None:
        watcher.on_point(arm.planned, finish_point(arm, measured, environment, control))

    with watcher.held() if turns.stopped else nullcontext():
        _each(arms, finish, watcher.on_point, lambda arm: arm.planned)
    if turns.stopped is not None:
        raise turns.stopped


def _planned_of(arm: BuiltArm) -> PlannedPoint:
    return arm.planned


def _with_late_costs(arm: Arm) -> Arm:
    arm.take_costs()
    return arm


def _has_stood(arm: Arm, failed: Mapping[str, Exception], on_point: OnPoint) -> bool:
    """Whether an arm has taken all its turns; else its failure is handed on."""
    error = failed.get(BASELINE) or failed.get(arm.planned.point_id)
    if error is not None:
        on_point(arm.planned, error)
    return error is None


def _each(
    items: Sequence[Item],
    make: Callable[[Item], Made],
    on_point: OnPoint,
    planned_of: Callable[[Item], PlannedPoint] | None = None,
) -> list[Made]:
    """What `make` gives for each item; an item that fails is handed on and left out."""
    made = []
    for item in items:
        try:
            made.append(make(item))
        except Exception as error:
            planned = item if planned_of is None else planned_of(item)
            assert isinstance(planned, PlannedPoint)
            on_point(planned, error)
            gc.collect()  # what it had allocated goes with the error's frames
    return made


def arm_seed(point: PointConfig) -> int:
    """Seed of an arm's noise: the run's, so that arms share their random numbers, but for copies
    that are to have their own.
    """
    copy = point.measure.copy
    is_shared = copy == 0 or point.measure.copy_noise == "shared"
    return point.seed if is_shared else -1 - copy - point.seed


def _workers(
    arms: Sequence[Arm], longest: Arm, room: EngineConfig
) -> tuple[dict[str, Worker], dict[str, Exception]]:
    """The baseline's engine and every arm's, by label, and why some have none: their caches are
    allocated here, and one that has no room leaves the others.
    """
    workers = {BASELINE: baseline_worker(longest, room)}
    unbuilt: dict[str, Exception] = {}
    for arm in arms:
        try:
            workers[arm.planned.point_id] = arm_worker(arm, room)
        except Exception as error:
            unbuilt[arm.planned.point_id] = error
    return workers, unbuilt


def take_turns(arms: Sequence[Arm], watcher: Watcher, log: RoundLog, stopwatch: Stopwatch) -> Turns:
    """Warm-up, then round after round; those on record first, as they were.

    All arms share the target and keep their own caches.
    """
    longest = max(arms, key=lambda arm: most_drafted(arm.planned.config))
    config, requests = longest.planned.config, longest.objects.prompts.requests
    concurrency = longest.objects.load.max_concurrency
    plan = plan_rounds(config, requests, concurrency)
    length, most = row_length(config, requests), config.engine.prefill_tokens
    room = EngineConfig(concurrency, length, config.limits, most)
    labels = (BASELINE, *(arm.planned.point_id for arm in arms))
    workers, unbuilt = _workers(arms, longest, room)
    rows = tuple(tuple(labels[place] for place in row) for row in orders(len(labels)))
    seeds = {arm.planned.point_id: arm_seed(arm.planned.config) for arm in arms}
    order = Order(rows, {label: seeds.get(label, config.seed) for label in labels})
    warmup = plan_warmup(requests, warmup_size(config, concurrency), order)
    watcher.on_plan(len(warmup) + plan.num_sets * len(labels))
    with run_telemetry(longest.objects.target.device) as telemetry:
        rounds = Rounds(plan, order, workers, config.measure.precision, watcher, unbuilt)
        try:
            with stopwatch.at("warmup"):
                rounds.warm_up(warmup)
            with stopwatch.at("turns"):
                rounds.take_over(log)
                while rounds.goes_on:
                    log.append(rounds.serve_next())
        except (KeyboardInterrupt, Stopped) as stop:
            if rounds.num_whole == 0:
                raise
            return rounds.turns(telemetry, stop)
    return rounds.turns(telemetry)
