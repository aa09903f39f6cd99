"""Runs one point: warm-up, predictions, the timed turns, and the summary of what they gave."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
import torch

from dspark_bench.config.point_config import PointConfig
from dspark_bench.core.clock import limited
from dspark_bench.core.cost_surface import CostSurface
from dspark_bench.core.protocols import Scheduler
from dspark_bench.engine.engine import Engine, EngineConfig
from dspark_bench.machine.environment import Environment
from dspark_bench.machine.gpu_process import GpuTelemetry
from dspark_bench.machine.gpu_telemetry import gpu_block, run_telemetry
from dspark_bench.machine.processors import read_threading
from dspark_bench.machine.watch import MachineWatch
from dspark_bench.measure.arrivals import arrival_notes, warmup_size
from dspark_bench.measure.bandwidth import copy_bandwidth_bytes_s
from dspark_bench.measure.build import ModelCache, PointObjects, build_point, choose_threads
from dspark_bench.measure.build_scheduler import (
    EXAMPLE_SURFACE,
    SchedulerParts,
    build_calibrator,
    build_scheduler,
    check_confidence,
    wants_surface,
)
from dspark_bench.measure.calibration_file import Found, find_calibration
from dspark_bench.measure.continuations import with_continuations
from dspark_bench.measure.cost_profiles import surface_for
from dspark_bench.measure.doubts import width_doubts
from dspark_bench.measure.facts import peak_memory_bytes, point_facts
from dspark_bench.measure.identity import Identity
from dspark_bench.measure.law_checks import broken_contract, check_run
from dspark_bench.measure.predictions import (
    Prediction,
    agreement_curve,
    can_predict,
    costs_now,
    predict,
    row_length,
    run_untimed,
)
from dspark_bench.measure.replay import replay
from dspark_bench.measure.timing_lock import timing_lock
from dspark_bench.measure.turns import (
    OnTurn,
    Turn,
    TurnResult,
    cycle_frame,
    plan_turns,
    plan_warmup,
    request_frame,
    run_turns,
)
from dspark_bench.measure.verification import verification_path
from dspark_bench.metrics.arm_outputs import ArmOutputs
from dspark_bench.metrics.frames import BASELINE, SPECULATIVE
from dspark_bench.metrics.gpu import gpu_values
from dspark_bench.metrics.lossless import LosslessResult, check_greedy
from dspark_bench.metrics.machine import MachineSummary, Window, machine_warnings, summarise_machine
from dspark_bench.metrics.positions import Agreement
from dspark_bench.metrics.summary import PointSummary, SummaryContext, summarise
from dspark_bench.reading.verdicts import find_verdict
from dspark_bench.schedulers.fixed import FixedScheduler

_CONTROL_CONCURRENCY = 8
_COLD = (
    "measure.warmup_requests=0: the first timed turn, the baseline's, pays for what is set "
    "up once, and that flatters S"
)


@dataclass(frozen=True, slots=True)
class PointResult:
    """What a finished point leaves behind; `facts` are the columns that no record holds.

    machine: what else the machine did; gpu: the `gpu` block of metrics.json, `obstacle` alone
    without samples; gpu_samples: empty without; surface: the step costs that its scheduler read, if
    it read any; doubts: those of the notes that the terminal shows as well.
    """

    cycles: pd.DataFrame
    requests: pd.DataFrame
    summary: PointSummary
    environment: Environment
    facts: dict[str, Any]
    notes: tuple[str, ...]
    machine: MachineSummary
    gpu: dict[str, Any]
    gpu_samples: pd.DataFrame
    surface: CostSurface | None = None
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Measured:
    """The turns of a point, warm-up first, and what was seen around them."""

    done: list[TurnResult]
    windows: tuple[Window, ...]
    telemetry: GpuTelemetry


@dataclass(frozen=True, slots=True)
class Watcher:
    """Called while nothing is timed: `on_notes` with what a reader must know of the prompts and the
    arrivals, before anything runs; `on_plan` with the number of turns, `on_turn` after each.
    """

    on_plan: Callable[[int], None]
    on_turn: OnTurn
    on_notes: Callable[[Sequence[str]], None]


def run_point(
    point: PointConfig,
    identity: Identity,
    environment: Environment,
    models: ModelCache,
    watcher: Watcher,
) -> PointResult:
    """Measure one point. Sets torch's thread count. Raises what its parts raise.

    environment: as seen when the code was loaded, which may have been edited since.
    """
    started_s = time.monotonic()
    torch.set_num_threads(choose_threads(point))
    found = find_calibration(point, identity.target_hash, identity.drafter_hash)
    objects = build_point(point, models, found.stored)
    input_notes = (*objects.notes, *arrival_notes(point, objects.load))
    watcher.on_notes(input_notes)
    limit_s, unlimited = point.measure.time_limit_s, objects.clock
    if limit_s is not None:
        left_s = limit_s - (time.monotonic() - started_s)
        objects = replace(objects, clock=limited(objects.clock, left_s, limit_s))
    broken = broken_contract(point, objects)
    objects, continuations_hash = with_continuations(point, objects, identity)
    with timing_lock() as lock:
        scheduler, surface, cost_notes = _scheduler(point, objects, found, identity, environment)
        is_predicted = can_predict(point, objects, scheduler)
        costs = [costs_now(point, objects)] if is_predicted else []
        measured = _measure(point, objects, scheduler, watcher)
        objects = replace(objects, clock=unlimited)  # what is measured is kept, checks or no checks
        costs += [costs_now(point, objects)] if is_predicted else []
        is_shared = lock.is_shared
    done, windows = measured.done, measured.windows
    prediction = predict(point, objects, costs) if is_predicted else Prediction()
    num_along = 0 if broken else point.measure.agreement_requests
    agreement = agreement_curve(point, objects, done, num_along)
    requests = request_frame(done)
    cycles = cycle_frame(done).assign(
        calibrated=replay(build_calibrator(point, found.stored), done)
    )
    lossless = _lossless(point, objects, identity, environment, requests, scheduler, done)
    context = _context(point, objects, scheduler, prediction, agreement, lossless)
    machine = summarise_machine(windows, environment.num_cores)
    gpu, gpu_samples = gpu_block(measured.telemetry, windows, cycles)
    verdict = verification_path(point, identity, environment).name
    facts = point_facts(point, objects, identity, verdict) | {
        "continuations_hash": continuations_hash,
        "timing_invalid": is_shared,
        "wall_s": time.monotonic() - started_s,
        "peak_memory_bytes": peak_memory_bytes(),
        "other_cores": machine.other_cores,
        "is_noisy": bool(machine_warnings(machine.as_json())),
        **gpu_values(gpu),
    }
    summary = summarise(cycles, requests, context)
    doubts = doubts_of(point.measure.warmup_requests, summary.outputs)
    doubts += width_doubts(point, scheduler.spec, summary.counts)
    notes = (*input_notes, *_calibration_notes(objects, found), *cost_notes, *doubts)
    notes += (f"no agreement curve: {broken}",) if broken else ()
    seen = replace(environment, torch_threads=torch.get_num_threads(), threading=read_threading())
    return PointResult(
        cycles, requests, summary, seen, facts, notes, machine, gpu, gpu_samples, surface, doubts
    )


def doubts_of(num_warmup: int, outputs: ArmOutputs | None) -> tuple[str, ...]:
    """What makes S or the output doubtful, a line each. num_warmup: `measure.warmup_requests`."""
    cold = (_COLD,) if num_warmup == 0 else ()
    return (*cold, *(() if outputs is None else outputs.warnings()))


def _calibration_notes(objects: PointObjects, found: Found) -> tuple[str, ...]:
    """Why confidences stay as they are, where there are any."""
    has_any = objects.drafter is not None and objects.drafter.spec.has_confidence
    return (found.note,) if has_any and found.note is not None else ()


def _scheduler(
    point: PointConfig,
    objects: PointObjects,
    calibration: Found,
    identity: Identity,
    environment: Environment,
) -> tuple[Scheduler, CostSurface | None, tuple[str, ...]]:
    """The scheduler, the measured step costs it reads, and what is doubtful about them."""
    surface: CostSurface | None = None
    notes: tuple[str, ...] = ()
    if wants_surface(point) and objects.drafter is not None:
        found = surface_for(point, objects, identity, environment)
        surface = found.surface
        warnings = (*surface.warnings(), *([found.note] if found.note else []))
        notes = tuple(f"step costs: {warning}" for warning in warnings)
    example = EXAMPLE_SURFACE if wants_surface(point) else None
    scheduler = build_scheduler(point, SchedulerParts(surface or example, calibration.stored))
    if objects.drafter is not None:
        check_confidence(scheduler, objects.drafter, point)
    return scheduler, surface, notes


def _measure(
    point: PointConfig, objects: PointObjects, scheduler: Scheduler, watcher: Watcher
) -> Measured:
    """Warm-up, then every timed turn. Both arms share the target and keep their own caches."""
    requests = objects.prompts.requests
    concurrency = objects.load.max_concurrency
    num_warmup = warmup_size(point, concurrency)
    turns: list[Turn] = plan_warmup(requests, num_warmup, point.seed)
    is_one_by_one = concurrency == 1 and point.load.name == "closed"
    turns += plan_turns(requests, is_one_by_one, point.measure.repeats, point.seed)
    watcher.on_plan(len(turns))
    room = EngineConfig(concurrency, row_length(point, requests), point.limits)
    arms = {
        BASELINE: _engine(point, objects, room, None),
        SPECULATIVE: _engine(point, objects, room, scheduler),
    }
    watch = MachineWatch()
    with run_telemetry(objects.target.device) as telemetry:
        done = run_turns(turns, arms, objects.load, watcher.on_turn, watch.around)
    return Measured(done, tuple(watch.windows), telemetry)


def _engine(
    point: PointConfig, objects: PointObjects, room: EngineConfig, scheduler: Scheduler | None
) -> Engine:
    """The speculative arm; without a scheduler, the baseline."""
    return Engine(
        objects.target,
        None if scheduler is None else objects.drafter,
        scheduler or FixedScheduler(),
        objects.acceptance,
        point.sampling,
        point.gamma,
        room,
        objects.clock,
    )


def _lossless(
    point: PointConfig,
    objects: PointObjects,
    identity: Identity,
    environment: Environment,
    requests: pd.DataFrame,
    scheduler: Scheduler,
    done: Sequence[TurnResult],
) -> LosslessResult:
    """Greedy: compare the arms, with a baseline at another batch size as control. Sampled: judge
    what was emitted by the target's law.

    A scheduler that looks ahead is never called lossless. Arms that walk along a record are equal
    whatever the engine does, which is no evidence.
    """
    if objects.acceptance.is_simulated:
        return LosslessResult(is_simulated=True)
    if not scheduler.spec.is_non_anticipating:
        return LosslessResult(has_passed_distribution=False)
    if objects.acceptance.follows_record:
        passed = find_verdict(verification_path(point, identity, environment))
        return LosslessResult(has_passed_distribution=passed)
    if not point.sampling.is_greedy:
        passed, failed = check_run(point, objects, identity, environment, scheduler, done)
        said = tuple(f"{result.name}: {result.detail}" for result in failed)
        return LosslessResult(has_passed_distribution=passed, failed_checks=said)
    other = 1 if objects.load.max_concurrency > 1 else _CONTROL_CONCURRENCY
    result = run_untimed(point, objects, objects.prompts.requests, other, is_speculative=False)
    turn = Turn(BASELINE, 0, 0, objects.prompts.requests, 0, is_warmup=False)
    return check_greedy(requests, request_frame([TurnResult(turn, result)]))


def _context(
    point: PointConfig,
    objects: PointObjects,
    scheduler: Scheduler,
    prediction: Prediction,
    agreement: Agreement | None,
    lossless: LosslessResult,
) -> SummaryContext:
    target = objects.target
    return SummaryContext(
        gamma=point.gamma if objects.drafter is not None else 0,
        concurrency=objects.load.max_concurrency,
        load=point.load.name,
        is_selective=scheduler.spec.is_selective,
        profile=prediction.profile,
        model_survival=prediction.survival,
        model_mean_output_tokens=prediction.mean_output_tokens,
        floor_step_s=target.num_weight_bytes / copy_bandwidth_bytes_s(target.device),
        lossless=lossless,
        agreement=agreement,
        slo=point.slo,
    )
