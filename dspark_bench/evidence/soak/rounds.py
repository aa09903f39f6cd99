"""What a soak runs: every arm under every load in turn, engines kept from first to last."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import torch

from dspark_bench.config.compose import compose_point, hydra_session
from dspark_bench.config.point_config import to_point_config
from dspark_bench.core.protocols import Load, Scheduler
from dspark_bench.core.records import RunLimits
from dspark_bench.core.types import Request
from dspark_bench.engine.engine import Engine, EngineConfig
from dspark_bench.loads.closed import ClosedLoad
from dspark_bench.loads.gamma import GammaLoad
from dspark_bench.loads.poisson import PoissonLoad
from dspark_bench.loads.ramp import RampLoad
from dspark_bench.loads.ramp_users import RampUsersLoad
from dspark_bench.measure.build import ModelCache, build_point, choose_threads
from dspark_bench.measure.build_scheduler import SchedulerParts, build_scheduler, wants_surface
from dspark_bench.measure.cost_profiles import measure_surface_now
from dspark_bench.schedulers.fixed import FixedScheduler

NUM_ROWS: Final = 16
MAX_WAITING: Final = 24
LENGTHS: Final = (4, 12, 24, 8, 6)
_BURSTINESS: Final = 2.0
ZOO_ARMS: Final = (
    ("drafter=none",),
    ("drafter=semi_ar", "scheduler=fixed"),
    ("drafter=semi_ar", "scheduler=hardware_aware", "cost=online"),
    ("drafter=parallel", "scheduler=fixed"),
    ("drafter=semi_ar_rnn", "scheduler=hardware_aware_async", "calibrator=online"),
    ("drafter=ar", "scheduler=goodput"),
    ("drafter=semi_ar_gated", "scheduler=threshold"),
)
LoadMaker = Callable[[int], Load]
"""From a seed."""


@dataclass(frozen=True, slots=True)
class Arm:
    """An engine that lives as long as the soak."""

    name: str
    engine: Engine
    eos_token_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Round:
    """One run of one arm under one load. requests: with ids that no other round has."""

    number: int
    arm: Arm
    load_name: str
    load: Load
    requests: tuple[Request, ...]


def loads(rate: float) -> dict[str, LoadMaker]:
    """Loads by name. rate: requests per second of the open ones; the ramp goes to twice that."""
    return {
        "closed 1": lambda seed: ClosedLoad(1),
        "poisson": lambda seed: PoissonLoad(rate, NUM_ROWS, seed),
        "closed 16": lambda seed: ClosedLoad(NUM_ROWS),
        "gamma": lambda seed: GammaLoad(rate, _BURSTINESS, NUM_ROWS, seed),
        "closed 4": lambda seed: ClosedLoad(4),
        "ramp": lambda seed: RampLoad(rate / 4, 2 * rate, 8.0, NUM_ROWS, seed),
        "ramp_users": lambda seed: RampUsersLoad(1, NUM_ROWS, 4.0),
        "poisson, 4 rows": lambda seed: PoissonLoad(2 * rate, 4, seed),
    }


def build_arms(
    arms: Sequence[tuple[str, ...]], common: Sequence[str]
) -> tuple[list[Arm], tuple[Request, ...]]:
    """An engine per arm over one target, and the prompts. Step costs are measured where read."""
    models, built, prompts = ModelCache(), [], tuple[Request, ...]()
    with hydra_session():
        composed = [compose_point([*common, *overrides]) for overrides in arms]
    for overrides, values in zip(arms, composed, strict=True):
        point = to_point_config(values, "soak")
        torch.set_num_threads(choose_threads(point))
        objects = build_point(point, models)
        prompts = objects.prompts.requests
        scheduler: Scheduler = FixedScheduler()
        if objects.drafter is not None:
            surface = measure_surface_now(point, objects) if wants_surface(point) else None
            scheduler = build_scheduler(point, SchedulerParts(surface))
        longest = max(len(request.prompt_tokens) for request in prompts)
        engine = Engine(
            objects.target,
            objects.drafter,
            scheduler,
            objects.acceptance,
            point.sampling,
            point.gamma,
            EngineConfig(
                NUM_ROWS, longest + max(LENGTHS) + point.gamma + 1, RunLimits(None, MAX_WAITING)
            ),
            objects.clock,
        )
        name = " ".join(override.partition("=")[2] for override in overrides)
        built.append(Arm(name, engine, objects.target.config.eos_token_ids))
    return built, prompts


def fill_rounds(arms: Sequence[Arm], prompts: Sequence[Request], first_id: int) -> Iterator[Round]:
    """The longest prompt into every cache row of every arm.

    The system hands out a cache's memory when it is first written to: a longer prompt in a row than
    any before would look like a leak. Batches of new shapes cost memory too, for many more rounds.
    """
    longest = max(prompts, key=lambda request: len(request.prompt_tokens))
    for number, arm in enumerate(arms):
        ids = range(first_id + number * NUM_ROWS, first_id + (number + 1) * NUM_ROWS)
        requests = tuple(replace(longest, request_id=i, max_new_tokens=max(LENGTHS)) for i in ids)
        yield Round(number - len(arms), arm, "filling", ClosedLoad(NUM_ROWS), requests)


def plan_rounds(
    arms: Sequence[Arm],
    makers: dict[str, LoadMaker],
    prompts: Sequence[Request],
    num_requests: int,
    per_round: int,
) -> Iterator[Round]:
    """Rounds until `num_requests` have been sent. Prompts start over; ids and lengths go on."""
    names = list(makers)
    for number, first in enumerate(range(0, num_requests, per_round)):
        ids = range(first, min(first + per_round, num_requests))
        requests = tuple(
            replace(
                prompts[i % len(prompts)],
                request_id=i,
                max_new_tokens=LENGTHS[i % len(LENGTHS)],
            )
            for i in ids
        )
        name = names[number % len(names)]
        yield Round(number, arms[number % len(arms)], name, makers[name](number), requests)
