"""Engines at work outside a block, and what a stretch of their work counts.

For benches whose arms are no points: `bench_neighbour`, where the machine changes in mid-run, and
`predictability`, where nothing is timed. What compares points measures them in a block.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import numpy as np

from dspark_bench.config.point_config import PointConfig
from dspark_bench.core.protocols import Scheduler
from dspark_bench.core.records import RunResult
from dspark_bench.engine.engine import Engine, EngineConfig
from dspark_bench.measure.build import PointObjects, build_drafter
from dspark_bench.metrics.intervals import Interval
from dspark_bench.metrics.log_ratio import log_ratio_interval
from dspark_bench.schedulers.fixed import FixedScheduler

GAMMA: Final = 7
NEW_TOKENS: Final = 96


@dataclass(frozen=True, slots=True)
class Served:
    """tokens, time_s: of the full batches of a stretch; drafted, verified, cycles: of all its
    decode cycles.
    """

    tokens: int
    time_s: float
    drafted: int
    verified: int
    cycles: int


def build_engine(
    point: PointConfig, objects: PointObjects, scheduler: Scheduler | None, gamma: int
) -> Engine:
    """An engine with room for every request of the point; no scheduler: no drafter either.

    Its drafter is its own: drafters hold the context of the requests that they serve.
    """
    longest = max(len(request.prompt_tokens) for request in objects.prompts.requests)
    return Engine(
        objects.target,
        None if scheduler is None else build_drafter(point, objects.target),
        scheduler or FixedScheduler(),
        objects.acceptance,
        point.sampling,
        gamma,
        EngineConfig(objects.load.max_concurrency, longest + NEW_TOKENS + GAMMA + 1),
        objects.clock,
    )


def served(result: RunResult, size: int) -> Served:
    """Sums of one stretch with `size` requests at once."""
    tokens, time_s = 0, 0.0
    for _, group in groupby(result.cycles, key=lambda record: record.cycle):
        records = list(group)
        if records[0].batch_size == size:
            tokens += sum(record.num_emitted for record in records)
            time_s += records[0].duration_s
    decode = [record for record in result.cycles if not record.is_prefill]
    return Served(
        tokens,
        time_s,
        sum(record.num_drafted for record in decode),
        sum(1 + record.verify_len for record in decode),
        len(decode),
    )


def throughput(stretches: Sequence[Served]) -> float:
    """Tokens per second over the full batches."""
    return sum(one.tokens for one in stretches) / sum(one.time_s for one in stretches)


def ratio(ours: Sequence[Served], theirs: Sequence[Served]) -> Interval:
    """Throughput over throughput, stretch by stretch, with its 95 % interval."""
    pairs = [(a.tokens, a.time_s, b.tokens, b.time_s) for a, b in zip(ours, theirs, strict=True)]
    return log_ratio_interval(np.array(pairs, dtype=np.float64))
