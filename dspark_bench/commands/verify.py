"""`dspark-bench verify`: the exactness checks for a drafter and a scheduler, ours or a user's.

What passes is written beside the results, where a sweep of the same pair finds it and may call its
sampled output lossless.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from dspark_bench.commands.sweep import SweepRequest, single_point
from dspark_bench.config.point_config import PointConfig
from dspark_bench.core.errors import RegressionError
from dspark_bench.core.types import Request, RunResult, SamplingParams
from dspark_bench.engine.engine import Engine, EngineConfig
from dspark_bench.engine.exactness import (
    CheckResult,
    distribution_check,
    non_anticipation_check,
    same_outputs_check,
    tilt_check,
)
from dspark_bench.engine.markov import MarkovDrafter, MarkovTarget
from dspark_bench.loads.closed import ClosedLoad
from dspark_bench.measure.build import (
    ModelCache,
    PointObjects,
    build_acceptance,
    build_point,
    choose_threads,
    refuse_simulated,
)
from dspark_bench.measure.build_scheduler import (
    CLIFF_SURFACE,
    EXAMPLE_SURFACE,
    SchedulerParts,
    build_scheduler,
    check_confidence,
)
from dspark_bench.measure.calibration_file import find_calibration
from dspark_bench.measure.predictions import row_length
from dspark_bench.measure.verification import verification_path
from dspark_bench.schedulers.fixed import FixedScheduler

DISTRIBUTION_REQUESTS = 40_000
DISTRIBUTION_LENGTH = 4
DISTRIBUTION_BATCH = 1024
ANTICIPATION_TRIALS = 200
LAWS = SchedulerParts(EXAMPLE_SURFACE)
CLIFF = SchedulerParts(CLIFF_SURFACE)
BATCH = 8


def run_verify(request: SweepRequest, console: Console) -> None:
    """Check one configuration and print the table. Raises RegressionError if a check fails."""
    planned = single_point(request, "verify")
    point, identity = planned.config, planned.identity
    refuse_simulated(point, "verify")
    torch.set_num_threads(choose_threads(point))
    found = find_calibration(point, identity.target_hash, identity.drafter_hash)
    objects = build_point(point, ModelCache(), found.stored)
    check_confidence(build_scheduler(point, LAWS), objects.drafter, point)
    results = [*scheduler_checks(point), *drafter_checks(point, objects)]
    console.print(_table(point, results))
    path = verification_path(point, identity)
    _write(path, results)
    failed = [result.name for result in results if not result.is_passed]
    if failed:
        raise RegressionError(f"not exact: {', '.join(failed)}")


def scheduler_checks(point: PointConfig) -> list[CheckResult]:
    """What the scheduler promises, the joint law of several tokens under it, non-anticipation."""

    def serve(
        target: MarkovTarget, drafter: MarkovDrafter, requests: Sequence[Request], gamma: int
    ) -> RunResult:
        engine = Engine(
            target,
            drafter,
            build_scheduler(point, LAWS),
            build_acceptance(point),
            SamplingParams(),
            gamma,
            EngineConfig(DISTRIBUTION_BATCH, 2 * DISTRIBUTION_LENGTH + gamma),
            lambda: 0.0,
        )
        return engine.run(requests, ClosedLoad(DISTRIBUTION_BATCH), point.seed)

    gamma = max(1, min(point.gamma, DISTRIBUTION_LENGTH))
    law = distribution_check(serve, DISTRIBUTION_REQUESTS, gamma, DISTRIBUTION_LENGTH)
    spec = build_scheduler(point, LAWS).spec
    if spec.needs_hindsight:
        causal = CheckResult("non_anticipation", False, "is told the accepted lengths beforehand")
    else:
        causal = non_anticipation_check(
            lambda: build_scheduler(point, CLIFF), point.gamma, ANTICIPATION_TRIALS, point.seed
        )
    promise = CheckResult(
        "promise",
        spec.is_non_anticipating,
        "promises to look at no later token" if spec.is_non_anticipating else "says it looks ahead",
    )
    return [promise, law, causal]


def drafter_checks(point: PointConfig, objects: PointObjects) -> list[CheckResult]:
    """Greedy equality alone and in a batch, and the tilt of what is emitted when sampling."""
    greedy = SamplingParams(temperature=0.0)
    baseline = _serve(point, objects, greedy, 1, is_speculative=False)
    results = [
        same_outputs_check(
            "control: baseline in a batch",
            baseline,
            _serve(point, objects, greedy, BATCH, is_speculative=False),
        )
    ]
    if objects.drafter is None:
        return results
    for concurrency in (1, BATCH):
        speculative = _serve(point, objects, greedy, concurrency, is_speculative=True)
        name = f"greedy at batch {concurrency}"
        results.append(same_outputs_check(name, baseline, speculative))
    sampling = SamplingParams(1.0) if point.sampling.is_greedy else point.sampling
    sampled = _serve(point, objects, sampling, BATCH, is_speculative=True)
    by_id = {record.request_id: record.output_tokens for record in sampled.requests}
    sequences = [(r, by_id[r.request_id]) for r in objects.prompts.requests]
    results.append(tilt_check(objects.target, objects.drafter, sequences, point.gamma, sampling))
    return results


def _serve(
    point: PointConfig,
    objects: PointObjects,
    sampling: SamplingParams,
    concurrency: int,
    is_speculative: bool,
) -> RunResult:
    requests = objects.prompts.requests
    engine = Engine(
        objects.target,
        objects.drafter if is_speculative else None,
        build_scheduler(point, LAWS) if is_speculative else FixedScheduler(),
        objects.acceptance,
        sampling,
        point.gamma,
        EngineConfig(concurrency, row_length(point, requests)),
        objects.clock,
    )
    return engine.run(requests, ClosedLoad(concurrency), point.seed)


def _table(point: PointConfig, results: Sequence[CheckResult]) -> Table:
    title = f"exactness of drafter={point.drafter.name} scheduler={point.scheduler.name}"
    table = Table("check", "verdict", "figures", title=f"{title} gamma={point.gamma}")
    for result in results:
        table.add_row(result.name, "pass" if result.is_passed else "FAIL", result.detail)
    return table


def _write(path: Path, results: Sequence[CheckResult]) -> None:
    verdict = {
        "passed": all(result.is_passed for result in results),
        "checks": [asdict(result) for result in results],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".tmp")
    aside.write_text(json.dumps(verdict, indent=2) + "\n", encoding="utf-8")
    aside.replace(path)
