"""What `speedup_model` and the agreement curve rest on, measured apart from the timed runs.

Costs and survival are kept between points of a sweep that share target, drafter and sampling.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import torch

from dspark_bench.core.types import Request, RunResult
from dspark_bench.engine.agreement import measure_agreement
from dspark_bench.engine.engine import Engine, EngineConfig
from dspark_bench.engine.profile import PROFILE_MAX_GAMMA, PROFILE_NEW_TOKENS, profile_costs
from dspark_bench.experiment.build import PointObjects
from dspark_bench.experiment.point_config import PointConfig
from dspark_bench.experiment.turns import TurnResult, garbage_kept, repeat_seed
from dspark_bench.loads.closed import ClosedLoad
from dspark_bench.metrics.frames import BASELINE
from dspark_bench.metrics.positions import Agreement
from dspark_bench.metrics.theory import CostProfile
from dspark_bench.schedulers.fixed import FixedScheduler

PROFILE_REQUESTS = 3
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


class PredictionCache:
    """Profiles by what they depend on."""

    def __init__(self) -> None:
        self._profiles: dict[tuple[object, ...], CostProfile] = {}

    def profile(self, point: PointConfig, objects: PointObjects, drafter_key: str) -> CostProfile:
        """Costs at batch 1 for every draft length up to 16 that the drafter can do."""
        assert objects.drafter is not None
        target = objects.target
        key = (
            *(target.identity, drafter_key, str(target.dtype), str(target.device)),
            *(point.sampling, str(point.workload), torch.get_num_threads()),
        )
        if key not in self._profiles:
            longest = min(PROFILE_MAX_GAMMA, objects.drafter.spec.max_gamma)
            prompts = objects.prompts.calibration[:PROFILE_REQUESTS]
            self._profiles[key] = _profile(point, objects, prompts, range(1, longest + 1))
        return self._profiles[key]


def costs_now(point: PointConfig, objects: PointObjects) -> CostProfile | None:
    """Costs at the point's own draft length, on calibration prompts, as the machine is now.

    A machine that others use drifts by more in minutes than two draft lengths differ, so these are
    taken right before and right after the timed turns. Allocates the drafter's cache anew.
    """
    prompts = objects.prompts.calibration[:LOCAL_REQUESTS]
    if objects.drafter is None or not prompts or objects.load.max_concurrency > 1:
        return None
    return _profile(point, objects, prompts, (point.gamma,))


def with_costs(
    prediction: Prediction, gamma: int, taken: Sequence[CostProfile | None]
) -> Prediction:
    """The prediction with the mean of `taken` in place of the sweep's figures at `gamma`."""
    profile = prediction.profile
    local = [costs for costs in taken if costs is not None]
    if profile is None or not local:
        return prediction

    def at_gamma(name: str) -> tuple[float, ...]:
        curve = list(getattr(profile, name))
        curve += [float("nan")] * (gamma + 1 - len(curve))
        curve[gamma] = fmean(getattr(costs, name)[gamma] for costs in local)
        return tuple(curve)

    updated = CostProfile(
        step_s=fmean(costs.step_s for costs in local),
        verify_s=at_gamma("verify_s"),
        draft_s=at_gamma("draft_s"),
        overhead_s=at_gamma("overhead_s"),
        prefill_s=fmean(costs.prefill_s for costs in local),
        draft_prefill_s=fmean(costs.draft_prefill_s for costs in local),
    )
    return replace(prediction, profile=updated)


def _profile(
    point: PointConfig,
    objects: PointObjects,
    prompts: Sequence[Request],
    gammas: Sequence[int],
) -> CostProfile:
    longest = max(gammas)
    room = EngineConfig(
        1, max(len(p.prompt_tokens) for p in prompts) + PROFILE_NEW_TOKENS + longest + 1
    )
    engines = {
        gamma: _engine(point, objects, gamma, room, is_speculative=gamma > 0)
        for gamma in (0, *gammas)
    }

    def serve(gamma: int, requests: Sequence[Request], seed: int) -> RunResult:
        with garbage_kept():
            return engines[gamma].run(requests, ClosedLoad(1), seed)

    seed = repeat_seed(point.seed, _CALIBRATION_REPEAT)
    costs = profile_costs(serve, prompts, gammas, seed)
    return CostProfile(
        costs.step_s,
        costs.verify_s,
        costs.draft_s,
        costs.overhead_s,
        costs.prefill_s,
        costs.draft_prefill_s,
    )


def predict(
    point: PointConfig, objects: PointObjects, cache: PredictionCache, drafter_key: str
) -> Prediction:
    """Profile the costs, then run the calibration prompts untimed.

    Allocates the drafter's cache anew: build the timed engines afterwards. Larger batches than 1
    have other costs, so there is no prediction for them.
    """
    if objects.drafter is None or not objects.prompts.calibration:
        return Prediction()
    if objects.load.max_concurrency > 1:
        return Prediction()
    profile = cache.profile(point, objects, drafter_key)
    result = run_untimed(
        point,
        objects,
        objects.prompts.calibration,
        point.measure.calibration_concurrency,
        is_speculative=True,
    )
    lengths = [len(record.output_tokens) for record in result.requests]
    return Prediction(profile, _survival(result, point.gamma), sum(lengths) / len(lengths))


def run_untimed(
    point: PointConfig,
    objects: PointObjects,
    requests: Sequence[Request],
    concurrency: int,
    is_speculative: bool,
) -> RunResult:
    """One run at a batch size of its own, everything verified; its times mean nothing."""
    room = EngineConfig(concurrency, row_length(point, requests))
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
        objects.drafter if is_speculative else None,
        FixedScheduler(),
        objects.acceptance,
        point.sampling,
        gamma,
        room,
        objects.clock,
    )


def row_length(point: PointConfig, requests: Sequence[Request]) -> int:
    """Cache positions that the longest request can need, drafts included."""
    longest = max(len(request.prompt_tokens) for request in requests)
    return longest + point.max_new_tokens + point.gamma + 1


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
    """#(a >= k)/#(l >= k) for k in 1..gamma; None if some position was never verified."""
    cycles = [record for record in result.cycles if not record.is_prefill]
    survival = []
    for k in range(1, gamma + 1):
        num_verified = sum(record.verify_len >= k for record in cycles)
        if num_verified == 0:
            return None
        survival.append(sum(record.num_accepted >= k for record in cycles) / num_verified)
    return tuple(survival)
