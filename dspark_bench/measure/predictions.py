"""What `speedup_model` and the agreement curve rest on, measured apart from the timed runs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np

from dspark_bench.config.point_config import PointConfig
from dspark_bench.core.protocols import Scheduler
from dspark_bench.core.records import RunResult
from dspark_bench.core.types import Request
from dspark_bench.engine.agreement import measure_agreement
from dspark_bench.engine.engine import Engine, EngineConfig
from dspark_bench.engine.profile import PROFILE_NEW_TOKENS, profile_costs
from dspark_bench.engine.short_drafts import always_full
from dspark_bench.loads.closed import ClosedLoad
from dspark_bench.measure.build import PointObjects
from dspark_bench.measure.build_tree import most_drafted
from dspark_bench.measure.turns import TurnResult, garbage_kept, repeat_seed
from dspark_bench.metrics.frames import BASELINE
from dspark_bench.metrics.positions import Agreement
from dspark_bench.metrics.theory import CostProfile
from dspark_bench.schedulers.fixed import FixedScheduler

LOCAL_REQUESTS = 8
_CALIBRATION_REPEAT = -2


@dataclass(frozen=True, slots=True)
class Prediction:
    """Inputs of `speedup_model`; None where there is nothing to predict from.

    survival [gamma] and mean_output_tokens come from the calibration prompts.
    """

    profile: CostProfile | None = None
    survival: tuple[float, ...] | None = None
    mean_output_tokens: float | None = None


def can_predict(point: PointConfig, objects: PointObjects, scheduler: Scheduler) -> bool:
    """Whether `speedup_model` knows this kind of point: one request at a time, all verified. Of a
    tree, depths take the place of positions, and its costs are those of its own cycles: of a
    drafter that finds a tree in every cycle.
    """
    is_alone = objects.load.max_concurrency == 1
    drafter = objects.drafter
    has_prompts = drafter is not None and bool(objects.prompts.calibration)
    if drafter is not None and objects.tree is not None and drafter.spec.falls_short:
        return False
    return has_prompts and is_alone and isinstance(scheduler, FixedScheduler)


def costs_now(point: PointConfig, objects: PointObjects) -> CostProfile:
    """Costs at the point's own draft length, on calibration prompts, as the machine is now.

    A machine that others use drifts by more in minutes than two draft lengths differ, so these are
    taken right before and right after the timed turns. Allocates the drafter's cache anew.
    """
    prompts = objects.prompts.calibration[:LOCAL_REQUESTS]
    return _profile(point, objects, prompts)


def predict(point: PointConfig, objects: PointObjects, taken: Sequence[CostProfile]) -> Prediction:
    """The mean of the costs `taken`, and the acceptance of the calibration prompts, run untimed.

    Allocates the drafter's cache anew: call it when nothing is left to be timed.
    """
    result = run_untimed(
        point,
        objects,
        objects.prompts.calibration,
        point.measure.calibration_concurrency,
        is_speculative=True,
    )
    lengths = [len(record.output_tokens) for record in result.requests]
    profile = _mean_profile(taken)
    if objects.drafter is not None and objects.drafter.spec.falls_short:
        profile = of_lengths(profile, _draft_lens(result), point.gamma)
    survival = (_survival if objects.tree is None else depth_survival)(result, point.gamma)
    return Prediction(profile, survival, sum(lengths) / len(lengths))


def of_lengths(profile: CostProfile, lengths: Sequence[int], gamma: int) -> CostProfile:
    """The profile whose costs at gamma are the mean over cycles with drafts of these lengths.

    Lengths that were not measured lie between those that were. A cycle that found nothing to
    propose looked for it all the same, so it drafts at the cost of one token.
    """

    def mixed(costs: tuple[float, ...], places: Sequence[int]) -> tuple[float, ...]:
        known = [place for place in range(gamma + 1) if np.isfinite(costs[place])]
        found = np.interp(places, known, [costs[place] for place in known])
        return (*costs[:gamma], float(found.mean()), *costs[gamma + 1 :])

    if not lengths:
        return profile
    drafting = [max(1, length) for length in lengths]
    return replace(
        profile,
        verify_s=mixed(profile.verify_s, lengths),
        draft_s=mixed(profile.draft_s, drafting),
        overhead_s=mixed(profile.overhead_s, drafting),
    )


def _mean_profile(taken: Sequence[CostProfile]) -> CostProfile:
    def mean(name: str) -> float:
        return fmean(getattr(costs, name) for costs in taken)

    def mean_curve(name: str) -> tuple[float, ...]:
        curves = zip(*(getattr(costs, name) for costs in taken), strict=True)
        return tuple(fmean(values) for values in curves)

    return CostProfile(
        step_s=mean("step_s"),
        verify_s=mean_curve("verify_s"),
        draft_s=mean_curve("draft_s"),
        overhead_s=mean_curve("overhead_s"),
        prefill_s=mean("prefill_s"),
        draft_prefill_s=mean("draft_prefill_s"),
    )


def _profile(
    point: PointConfig,
    objects: PointObjects,
    prompts: Sequence[Request],
) -> CostProfile:
    drafter = always_full(objects.drafter)
    is_uneven = drafter is not objects.drafter
    widths = tuple(sorted({1, point.gamma})) if is_uneven else (point.gamma,)
    longest = max(len(p.prompt_tokens) for p in prompts)
    positions = longest + PROFILE_NEW_TOKENS + most_drafted(point) + 1
    room = EngineConfig(1, positions, prefill_tokens=point.engine.prefill_tokens)
    filled = replace(objects, drafter=drafter)
    engines = {
        gamma: _engine(point, filled, gamma, room, is_speculative=gamma > 0)
        for gamma in (0, *widths)
    }

    def serve(gamma: int, requests: Sequence[Request], seed: int) -> RunResult:
        with garbage_kept():
            return engines[gamma].run(requests, ClosedLoad(1), seed)

    seed = repeat_seed(point.seed, _CALIBRATION_REPEAT)
    costs = profile_costs(serve, prompts, widths, seed)
    return CostProfile(
        costs.step_s,
        costs.verify_s,
        costs.draft_s,
        costs.overhead_s,
        costs.prefill_s,
        costs.draft_prefill_s,
    )


def run_untimed(
    point: PointConfig,
    objects: PointObjects,
    requests: Sequence[Request],
    concurrency: int,
    is_speculative: bool,
) -> RunResult:
    """One run at a batch size of its own, everything verified; its times mean nothing."""
    room = engine_config(point, requests, concurrency)
    engine = _engine(point, objects, point.gamma, room, is_speculative)
    seed = repeat_seed(point.seed, 0)
    return engine.run(requests, ClosedLoad(concurrency), seed)


def _engine(
    point: PointConfig,
    objects: PointObjects,
    gamma: int,
    room: EngineConfig,
    is_speculative: bool,
) -> Engine:
    """An engine of its own that verifies everything."""
    return Engine(
        objects.target,
        objects.speculator if is_speculative else None,
        FixedScheduler(),
        objects.acceptance,
        point.sampling,
        gamma,
        room,
        objects.clock,
    )


def engine_config(
    point: PointConfig, requests: Sequence[Request], concurrency: int
) -> EngineConfig:
    """Room for `concurrency` of the requests, whose prompts are read as the point says."""
    length, most = row_length(point, requests), point.engine.prefill_tokens
    return EngineConfig(concurrency, length, prefill_tokens=most)


def row_length(point: PointConfig, requests: Sequence[Request]) -> int:
    """Cache positions that the longest request can need, drafts included."""
    longest = max(len(request.prompt_tokens) for request in requests)
    return longest + point.max_new_tokens + most_drafted(point) + 1


def agreement_curve(
    point: PointConfig, objects: PointObjects, done: Sequence[TurnResult], num_requests: int
) -> Agreement | None:
    """1 - TV per position along the baseline's outputs; None without a drafter.

    Allocates the drafter's cache anew: call it when nothing is left to be timed.
    """
    if objects.drafter is None or num_requests == 0:
        return None
    sequences = _baseline_outputs(objects.prompts.requests, done)[:num_requests]
    sampling = point.sampling
    return Agreement(
        *measure_agreement(objects.target, objects.drafter, sequences, point.gamma, sampling)
    )


def _baseline_outputs(
    requests: Sequence[Request], done: Sequence[TurnResult]
) -> list[tuple[Request, tuple[int, ...]]]:
    """First baseline output of each request that is long enough to draft along."""
    first: dict[int, tuple[int, ...]] = {}
    for item in done:
        if item.turn.arm == BASELINE and not item.turn.is_warmup:
            for record in filter(lambda record: record.output_tokens, item.result.requests):
                first.setdefault(record.request_id, record.output_tokens)
    return [
        (request, first[request.request_id])
        for request in requests
        if len(first.get(request.request_id, ())) > 1
    ]


def _survival(result: RunResult, gamma: int) -> tuple[float, ...] | None:
    """#(a >= k)/#(l >= k) for k in 1..gamma, times the share of cycles that drafted so far: 1, but
    for a drafter that falls short. None if some position was drafted and never verified.
    """
    cycles = [record for record in result.cycles if not record.is_prefill]
    survival = []
    for k in range(1, gamma + 1):
        num_drafted = sum(record.num_drafted >= k for record in cycles)
        num_verified = sum(record.verify_len >= k for record in cycles)
        if num_verified == 0 and (num_drafted > 0 or not cycles):
            return None
        stood = sum(record.num_accepted >= k for record in cycles) / max(1, num_verified)
        survival.append(stood * num_drafted / len(cycles))
    return tuple(survival)


def depth_survival(result: RunResult, gamma: int) -> tuple[float, ...] | None:
    """Of trees: #(accepted depth >= k) over all decode cycles, for k in 1..gamma. Their sum is the
    mean accepted depth, whatever the trees' shapes. None without cycles.
    """
    depths = [record.num_accepted for record in result.cycles if not record.is_prefill]
    if not depths:
        return None
    return tuple(sum(depth >= k for depth in depths) / len(depths) for k in range(1, gamma + 1))


def _draft_lens(result: RunResult) -> list[int]:
    """Tokens drafted in each decode cycle."""
    return [record.num_drafted for record in result.cycles if not record.is_prefill]
