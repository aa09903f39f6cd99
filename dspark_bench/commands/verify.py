"""`dspark-bench verify`: the exactness checks for a drafter and a scheduler, ours or a user's.

What passes is written beside the results, where a sweep under the same settings finds it and calls
its sampled output verified.
"""

from collections.abc import Sequence

import torch
from rich.console import Console
from rich.table import Table

from dspark_bench.commands.kernel_notice import prepare_kernels
from dspark_bench.commands.sweep_plan import SweepRequest, single_point
from dspark_bench.config.point_config import PointConfig
from dspark_bench.core.errors import RegressionError
from dspark_bench.core.records import RunResult
from dspark_bench.core.types import SamplingParams
from dspark_bench.engine.confidence_contract import confidence_contract
from dspark_bench.engine.emitted_law import emitted_law_check
from dspark_bench.engine.engine import Engine
from dspark_bench.engine.exactness import CheckResult, same_outputs_check, tilt_check
from dspark_bench.engine.forced_contract import forced_contract
from dspark_bench.loads.closed import ClosedLoad
from dspark_bench.machine.environment import read_environment
from dspark_bench.measure.build import (
    ModelCache,
    PointObjects,
    build_point,
    choose_threads,
    refuse_simulated,
)
from dspark_bench.measure.build_scheduler import build_scheduler, check_confidence
from dspark_bench.measure.calibration_file import find_calibration
from dspark_bench.measure.law_checks import (
    LAWS,
    requests_for,
    scheduler_checks,
    serve_texts,
)
from dspark_bench.measure.predictions import engine_config
from dspark_bench.measure.rule_pairs import PairResult, check_pair, pairs_for
from dspark_bench.measure.verdicts import verdict_path, write_verdict
from dspark_bench.schedulers.fixed import FixedScheduler

DISTRIBUTION_REQUESTS = 40_000
EMITTED_TOKENS = 16_384
MOST_TEXTS = 512
BATCH = 8


def run_verify(request: SweepRequest, console: Console) -> None:
    """Check one configuration and print the table. Raises RegressionError if a check fails.

    A broken contract is no inexact output: it is shown, and what rests on it refuses the drafter.
    """
    planned = single_point(request, "verify")
    point, identity = planned.config, planned.identity
    refuse_simulated(point, "verify")
    torch.set_num_threads(choose_threads(point))
    prepare_kernels(point, console)
    found = find_calibration(point, identity.target_hash, identity.drafter_hash)
    objects = build_point(point, ModelCache(), found.stored)
    check_confidence(build_scheduler(point, LAWS), objects.drafter, point)
    results = [*scheduler_checks(point, DISTRIBUTION_REQUESTS), *greedy_checks(point, objects)]
    laws, contract = sampled_checks(point, objects)
    results += laws
    console.print(_table(point, results, contract))
    if contract is not None and not contract.is_passed:
        console.print(
            f"contract broken: {contract.detail}. Its output is judged above; agreement curves and "
            "acceptance=replay, which force tokens, are not measured with it",
            soft_wrap=True,
        )
    write_verdict(verdict_path(point, identity, read_environment()), results)
    pairs = pair_checks(point, objects)
    if pairs:
        console.print(_pair_table(point, objects, pairs))
    failed = [result.name for result in results if not result.is_passed]
    failed += [pair.name for pair in pairs if not pair.is_lossy and not pair.is_passed]
    if failed:
        raise RegressionError(f"not exact: {', '.join(failed)}")


def greedy_checks(point: PointConfig, objects: PointObjects) -> list[CheckResult]:
    """Whether greedy output is the baseline's, alone and in a batch."""
    baseline = _serve_greedy(point, objects, 1, is_speculative=False)
    results = [
        same_outputs_check(
            "control: baseline in a batch",
            baseline,
            _serve_greedy(point, objects, BATCH, is_speculative=False),
        )
    ]
    if objects.drafter is None:
        return results
    for concurrency in (1, BATCH):
        speculative = _serve_greedy(point, objects, concurrency, is_speculative=True)
        name = f"greedy at batch {concurrency}"
        results.append(same_outputs_check(name, baseline, speculative))
    return results


def sampled_checks(
    point: PointConfig, objects: PointObjects
) -> tuple[list[CheckResult], CheckResult | None]:
    """The law of what is emitted by the drafter at hand on the target at hand, and whether the
    drafter answers forced tokens as it must (None without a drafter).
    """
    sampling = SamplingParams(1.0) if point.sampling.is_greedy else point.sampling
    scheduler = build_scheduler(point, LAWS)
    requests = requests_for(objects.prompts.requests, EMITTED_TOKENS, MOST_TEXTS)
    texts = serve_texts(point, objects, scheduler, requests, sampling)
    results = [emitted_law_check(objects.target, texts, sampling, point.gamma)]
    if objects.drafter is None:
        return results, None
    contract = forced_contract(objects.target, objects.drafter, texts, point.gamma, sampling)
    if contract.is_passed:
        parts = objects.target, objects.drafter, texts, point.gamma, sampling
        results += [tilt_check(*parts), confidence_contract(*parts)]
    return results, contract


def pair_checks(point: PointConfig, objects: PointObjects) -> list[PairResult]:
    """Every rule on every shape of drafts that the drafter at hand can make; none without one."""
    if objects.drafter is None:
        return []
    can_branch = objects.drafter.spec.can_branch
    return [check_pair(pair, point, objects) for pair in pairs_for(point.gamma, can_branch)]


def _serve_greedy(
    point: PointConfig, objects: PointObjects, concurrency: int, is_speculative: bool
) -> RunResult:
    requests = objects.prompts.requests
    engine = Engine(
        objects.target,
        objects.speculator if is_speculative else None,
        build_scheduler(point, LAWS) if is_speculative else FixedScheduler(),
        objects.acceptance,
        SamplingParams(temperature=0.0),
        point.gamma,
        engine_config(point, requests, concurrency),
        objects.clock,
    )
    return engine.run(requests, ClosedLoad(concurrency), point.seed)


def _pair_table(point: PointConfig, objects: PointObjects, pairs: Sequence[PairResult]) -> Table:
    assert objects.drafter is not None
    title = f"rules of acceptance with drafter={point.drafter.name}, everything verified"
    if not objects.drafter.spec.can_branch:
        title += " (it drafts chains only)"
    table = Table("drafts", "rule", "verdict", "three tokens", "this drafter", title=title)
    for pair in pairs:
        table.add_row(pair.shape, pair.rule, pair.verdict, pair.law.detail, pair.own.detail)
    return table


def _table(
    point: PointConfig, results: Sequence[CheckResult], contract: CheckResult | None
) -> Table:
    title = f"exactness of drafter={point.drafter.name} scheduler={point.scheduler.name}"
    table = Table("check", "verdict", "figures", title=f"{title} gamma={point.gamma}")
    for result in results:
        table.add_row(result.name, "pass" if result.is_passed else "FAIL", result.detail)
    if contract is not None:
        verdict = "kept" if contract.is_passed else "BROKEN"
        table.add_row(contract.name, verdict, contract.detail)
    return table
