"""Finishes one point: from the turns of its arm and the baseline to all that is kept of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
import torch

from dspark_bench.config.point_config import PointConfig
from dspark_bench.core.cost_surface import CostSurface
from dspark_bench.core.protocols import Scheduler
from dspark_bench.core.types import CONFIDENCE_HEAD
from dspark_bench.engine.rules import is_lossy
from dspark_bench.machine.environment import Environment
from dspark_bench.machine.gpu_telemetry import gpu_block
from dspark_bench.machine.processors import read_threading
from dspark_bench.measure.arm import Arm
from dspark_bench.measure.build import PointObjects
from dspark_bench.measure.build_scheduler import build_calibrator
from dspark_bench.measure.calibration_file import Found
from dspark_bench.measure.doubts import width_doubts
from dspark_bench.measure.facts import peak_memory_bytes, point_facts
from dspark_bench.measure.law_checks import check_run
from dspark_bench.measure.predictions import Prediction, agreement_curve, predict, run_untimed
from dspark_bench.measure.replay import replay
from dspark_bench.measure.round_loop import Turns
from dspark_bench.measure.stopwatch import Stopwatch, spent_columns
from dspark_bench.measure.turns import Turn, TurnResult, cycle_frame, request_frame
from dspark_bench.measure.verdicts import verdict_path
from dspark_bench.metrics.arm_outputs import ArmOutputs
from dspark_bench.metrics.frames import BASELINE
from dspark_bench.metrics.gpu import gpu_values
from dspark_bench.metrics.lossless import LosslessResult, check_greedy
from dspark_bench.metrics.machine import MachineSummary, machine_warnings, summarise_machine
from dspark_bench.metrics.more_units import Ending
from dspark_bench.metrics.positions import Agreement
from dspark_bench.metrics.summary import PointSummary, SummaryContext, summarise
from dspark_bench.reading.verdicts import find_verdict

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
class MeasuredBlock:
    """What the points of a block have in common.

    turns: of all its arms; is_shared: whether another timed run was at work; shared_s: each point's
    part of the time that its block took, by stage (`stopwatch.STAGES`); read_bytes_s: how fast this
    machine reads memory.
    """

    block_id: str
    num_arms: int
    turns: Turns
    is_shared: bool
    shared_s: Mapping[str, float]
    read_bytes_s: float


def finish_point(
    arm: Arm, block: MeasuredBlock, environment: Environment, control: Callable[[], pd.DataFrame]
) -> PointResult:
    """What the turns of a point say, with what is found out apart from them: predictions, the
    agreement curve, a verdict on the output. After an interruption that is left out. Allocates the
    drafter's cache anew.

    environment: as seen when the code was loaded; control: `greedy_control` of its block.
    """
    stopwatch = Stopwatch()
    point, identity = arm.planned.config, arm.planned.identity
    objects, found, broken = arm.objects, arm.built.calibration, arm.built.broken
    turns, is_whole = block.turns, block.turns.stopped is None
    done, windows = turns.of(arm.planned.point_id)
    is_predicted = arm.is_predicted and is_whole
    with stopwatch.at("model"):
        prediction = predict(point, objects, arm.costs) if is_predicted else Prediction()
    num_along = point.measure.agreement_requests if is_whole and not broken else 0
    with stopwatch.at("agreement"):
        agreement = agreement_curve(point, objects, done, num_along)
    with stopwatch.at("figures"):
        requests = request_frame(done)
        cycles = cycle_frame(done).assign(
            calibrated=replay(build_calibrator(point, found.stored), done)
        )
    lossless = LosslessResult()
    if is_whole:
        with stopwatch.at("checks"):
            lossless = _lossless(arm, environment, requests, done, control)
    context = _context(point, objects, arm.scheduler, prediction, agreement, lossless)
    context = replace(
        context,
        share=turns.share,
        ending=_ending(point, is_whole),
        floor_step_s=objects.target.num_weight_bytes / block.read_bytes_s,
    )
    machine = summarise_machine(windows, environment.num_cores)
    gpu, gpu_samples = gpu_block(turns.telemetry, windows, cycles)
    verdict = verdict_path(point, identity, environment).name
    facts = point_facts(point, objects, identity, verdict) | {
        "block_id": block.block_id,
        "num_arms": block.num_arms,
        "num_rounds": turns.num_rounds,
        "interrupted": not is_whole,
        "precision_reached": turns.is_reached,
        "units_needed": turns.num_needed,
        "num_looks": turns.num_looks,
        "ci_level": turns.share,
        "continuations_hash": arm.built.continuations_hash,
        "timing_invalid": block.is_shared,
        "peak_memory_bytes": peak_memory_bytes(),
        "other_cores": machine.other_cores,
        "is_noisy": bool(machine_warnings(machine.as_json())),
        **gpu_values(gpu),
    }
    with stopwatch.at("figures"):
        summary = summarise(cycles, requests, context)
    facts |= spent_columns(block.shared_s, stopwatch.shares(1))
    doubts = doubts_of(point.measure.warmup_requests, summary.outputs)
    doubts += width_doubts(point, arm.scheduler.spec, summary.counts)
    notes = (*arm.built.notes, *_calibration_notes(arm, found), *arm.cost_notes, *doubts)
    notes += (f"no agreement curve: {broken}",) if broken else ()
    seen = replace(
        environment,
        torch_threads=torch.get_num_threads(),
        threading=read_threading(),
        kernels=str(objects.target.kernel_choice),
    )
    return PointResult(
        cycles,
        requests,
        summary,
        seen,
        facts,
        notes,
        machine,
        gpu,
        gpu_samples,
        arm.surface,
        doubts,
    )


def asks_for_control(arm: Arm) -> bool:
    """Whether the check of a point's output compares it with `greedy_control`."""
    rule = arm.objects.acceptance
    is_judged = not (rule.is_simulated or is_lossy(rule) or rule.follows_record)
    is_greedy = arm.planned.config.sampling.is_greedy
    return is_greedy and is_judged and arm.scheduler.spec.is_non_anticipating


def greedy_control(arm: Arm) -> pd.DataFrame:
    """Requests of the baseline at another batch size, untimed: how often rounding alone changes a
    greedy output.
    """
    point, objects = arm.planned.config, arm.objects
    requests = objects.prompts.requests
    other = 1 if objects.load.max_concurrency > 1 else _CONTROL_CONCURRENCY
    result = run_untimed(point, objects, requests, other, is_speculative=False)
    return request_frame([TurnResult(Turn(BASELINE, 0, 0, requests, 0, False), result)])


def doubts_of(num_warmup: int, outputs: ArmOutputs | None) -> tuple[str, ...]:
    """What makes S or the output doubtful, a line each. num_warmup: `measure.warmup_requests`."""
    cold = (_COLD,) if num_warmup == 0 else ()
    return (*cold, *(() if outputs is None else outputs.warnings()))


def _calibration_notes(arm: Arm, found: Found) -> tuple[str, ...]:
    """Why confidences stay as they are, where there are any: a head's always, stand-ins where a
    scheduler reads them.
    """
    drafter = arm.objects.drafter
    if drafter is None or arm.objects.tree is not None or found.note is None:
        return ()
    has_head = drafter.spec.has_confidence and drafter.spec.confidence_kind == CONFIDENCE_HEAD
    return (found.note,) if has_head or arm.scheduler.spec.needs_confidence else ()


def _lossless(
    arm: Arm,
    environment: Environment,
    requests: pd.DataFrame,
    done: Sequence[TurnResult],
    control: Callable[[], pd.DataFrame],
) -> LosslessResult:
    """Greedy: compare the arms, with a baseline at another batch size as control. Sampled: judge
    what was emitted by the target's law.

    A lossy rule and a scheduler that looks ahead are never called lossless. Arms that walk along a
    record are equal whatever the engine does, which is no evidence.
    """
    point, identity, objects = arm.planned.config, arm.planned.identity, arm.objects
    if objects.acceptance.is_simulated:
        return LosslessResult(is_simulated=True)
    if is_lossy(objects.acceptance):
        return LosslessResult(is_lossy=True)
    if not arm.scheduler.spec.is_non_anticipating:
        return LosslessResult(has_passed_distribution=False)
    if objects.acceptance.follows_record:
        passed = find_verdict(verdict_path(point, identity, environment))
        return LosslessResult(has_passed_distribution=passed)
    if point.sampling.is_greedy:
        return check_greedy(requests, control())
    passed, failed = check_run(point, objects, identity, environment, arm.scheduler, done)
    said = tuple(f"{result.name}: {result.detail}" for result in failed)
    return LosslessResult(has_passed_distribution=passed, failed_checks=said)


def _ending(point: PointConfig, is_whole: bool) -> Ending:
    """What ended its turns, or would have."""
    if not is_whole:
        return Ending.SIGNAL
    return Ending.REPEATS if point.measure.precision is None else Ending.PRECISION


def _context(
    point: PointConfig,
    objects: PointObjects,
    scheduler: Scheduler,
    prediction: Prediction,
    agreement: Agreement | None,
    lossless: LosslessResult,
) -> SummaryContext:
    return SummaryContext(
        gamma=point.gamma if objects.drafter is not None else 0,
        concurrency=objects.load.max_concurrency,
        load=point.load.name,
        is_selective=scheduler.spec.is_selective,
        profile=prediction.profile,
        model_survival=prediction.survival,
        model_mean_output_tokens=prediction.mean_output_tokens,
        lossless=lossless,
        agreement=agreement,
        slo=point.slo,
        is_tree=objects.tree is not None,
    )
