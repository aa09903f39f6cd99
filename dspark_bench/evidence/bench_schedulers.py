"""Schedulers against every fixed draft length and no speculation, in turn in one process.

    python -m dspark_bench.evidence.bench_schedulers [--concurrency 1,16,64] [--rounds 24]

In each round every arm serves the same requests with the same noise, and the arms take turns every
few cycles, after equally many tokens: whatever the machine does, it does to all. Throughput is of
the steady part (full batches, prefills included). Ratios are of sums over rounds, with 95 %
intervals from a bootstrap over rounds. At the end, the frontier: each scheduler's throughput at the
per-user speed of every fixed length, over that length's own.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table

from dspark_bench.commands.sweep import SweepRequest, single_point
from dspark_bench.config.point_config import PointConfig
from dspark_bench.core.protocols import Scheduler
from dspark_bench.core.types import RunResult
from dspark_bench.engine.engine import Engine, EngineConfig
from dspark_bench.loads.closed import ClosedLoad
from dspark_bench.machine.environment import read_environment
from dspark_bench.measure.build import (
    ModelCache,
    PointObjects,
    build_drafter,
    build_point,
    choose_threads,
)
from dspark_bench.measure.build_scheduler import SchedulerParts, build_scheduler
from dspark_bench.measure.calibration_file import find_calibration
from dspark_bench.measure.cost_profiles import measure_and_keep
from dspark_bench.measure.interleave import interleave, turn_tokens
from dspark_bench.measure.timing_lock import timing_lock
from dspark_bench.measure.turns import garbage_kept, repeat_seed
from dspark_bench.metrics.frontier import throughput_at
from dspark_bench.schedulers.fixed import FixedScheduler

BASELINE = "none"
FIXED_GAMMAS = (1, 2, 4, 7)
GAMMA = 7
SCHEDULERS = ("hardware_aware",)
NUM_RESAMPLES = 2000
NEW_TOKENS = 96
LEAST_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Served:
    """Steady part of one turn: tokens and seconds; counts over all decode cycles; per-user speed.

    schedule_s and cycle_s: of all cycles, for the price of choosing.
    """

    tokens: int
    time_s: float
    drafted: int
    verified: int
    cycles: int
    schedule_s: float
    cycle_s: float
    user_tok_s: float


def main(
    concurrency: Annotated[str, typer.Option(help="Comma list.")] = "1,2,4,8,16,32,64",
    rounds: Annotated[int, typer.Option(help="Turns of each arm at one request.")] = 24,
    schedulers: Annotated[str, typer.Option(help="Comma list.")] = ",".join(SCHEDULERS),
    cost: Annotated[str, typer.Option(help="profiled or online.")] = "profiled",
    drafter: Annotated[str, typer.Option(help="Of the zoo.")] = "semi_ar",
    out: Annotated[Path | None, typer.Option(help="JSON of every turn.")] = None,
    results: Annotated[Path, typer.Option(help="Where step costs are kept.")] = Path("results"),
) -> None:
    """Measure and print one table per concurrency."""
    console = Console()
    names = tuple(schedulers.split(","))
    found: dict[int, Mapping[str, Sequence[Served]]] = {}
    for size in map(int, concurrency.split(",")):
        overrides = (
            *(f"load.concurrency={size}", f"drafter={drafter}", f"gamma={GAMMA}", f"cost={cost}"),
            *(f"num_requests={max(12, 3 * size)}", f"max_new_tokens={NEW_TOKENS}"),
            *("seed=7", f"results_dir={results}"),
        )
        found[size] = measure(overrides, names, num_rounds(size, rounds))
        console.print(table(size, found[size]))
        if out is not None:
            keep(found, out)
    if len(found) > 1:
        for name in names:
            console.print(frontier_table(name, found))


def num_rounds(size: int, at_one: int) -> int:
    """Turns of each arm with `size` requests at once: each holds more tokens, so there are fewer.

    They fall with the square root of the size.
    """
    return max(LEAST_ROUNDS, round(at_one / math.sqrt(size)))


def measure(
    overrides: Sequence[str], schedulers: Sequence[str], rounds: int
) -> Mapping[str, list[Served]]:
    """Every arm's turns. The surface is profiled first; nothing else runs in between."""
    planned = single_point(SweepRequest(tuple(overrides)), "bench")
    point = planned.config
    torch.set_num_threads(choose_threads(point))
    objects = build_point(point, ModelCache())
    size = objects.load.max_concurrency
    with timing_lock():
        environment = read_environment()
        surface = measure_and_keep(point, objects, planned.identity, environment).surface
        identity = planned.identity
        stored = find_calibration(point, identity.target_hash, identity.drafter_hash).stored
        arms = build_arms(overrides, schedulers, point, objects, SchedulerParts(surface, stored))
        found: dict[str, list[Served]] = {arm: [] for arm in arms}
        requests = objects.prompts.requests
        for number in range(-1, rounds):
            runs = {
                arm: engine.steps(requests, ClosedLoad(size), repeat_seed(7, number))
                for arm, engine in arms.items()
            }
            with garbage_kept():
                results, errors = interleave(runs, turn_tokens(size))
            for error in errors.values():
                raise error
            if number >= 0:
                for arm, result in results.items():
                    found[arm].append(served(result, size))
    return found


def build_arms(
    overrides: Sequence[str],
    schedulers: Sequence[str],
    point: PointConfig,
    objects: PointObjects,
    parts: SchedulerParts,
) -> dict[str, Engine]:
    """One engine per arm; all share the target."""
    arms = {BASELINE: build_engine(point, objects, None, 0)}
    for gamma in FIXED_GAMMAS:
        arms[f"fixed {gamma}"] = build_engine(point, objects, FixedScheduler(), gamma)
    for name in schedulers:
        own = single_point(SweepRequest((*overrides, f"scheduler={name}")), "bench").config
        scheduler = build_scheduler(own, parts)
        arms[name] = build_engine(point, objects, scheduler, GAMMA)
    return arms


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
    """Sums of one turn."""
    tokens, time_s, schedule_s, cycle_s = 0, 0.0, 0.0, 0.0
    for _, group in groupby(result.cycles, key=lambda record: record.cycle):
        records = list(group)
        first = records[0]
        schedule_s += first.t_schedule_s
        cycle_s += first.duration_s
        if first.batch_size == size:
            tokens += sum(record.num_emitted for record in records)
            time_s += first.duration_s
    decode = [record for record in result.cycles if not record.is_prefill]
    speeds = [
        (len(r.output_tokens) - 1) / (r.finished_s - r.first_token_s)
        for r in result.requests
        if r.finished_s > r.first_token_s
    ]
    return Served(
        tokens,
        time_s,
        sum(record.num_drafted for record in decode),
        sum(1 + record.verify_len for record in decode),
        len(decode),
        schedule_s,
        cycle_s,
        float(np.mean(speeds)),
    )


def keep(found: Mapping[int, Mapping[str, Sequence[Served]]], out: Path) -> None:
    """Write every turn as JSON: concurrency, arm, turns."""
    kept = {
        str(size): {arm: [asdict(turn) for turn in served] for arm, served in turns.items()}
        for size, turns in found.items()
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def frontier_table(name: str, found: Mapping[int, Mapping[str, Sequence[Served]]]) -> Table:
    """The scheduler's throughput over each arm's, at that arm's per-user speed."""
    shown = Table(
        title=f"{name}: throughput over each arm's at the arm's own tok/s/user",
        box=None,
        pad_edge=False,
        title_justify="left",
    )
    shown.add_column("arm")
    for size in found:
        shown.add_column(str(size), justify="right")
    speeds = [user_speed(turns[name]) for turns in found.values()]
    throughputs = [throughput(turns[name]) for turns in found.values()]
    for arm in next(iter(found.values())):
        if arm != name:
            ratios = []
            for turns in found.values():
                ours = throughput_at(speeds, throughputs, user_speed(turns[arm]))
                ratios.append("-" if ours is None else f"{ours / throughput(turns[arm]):.3f}")
            shown.add_row(arm, *ratios)
    return shown


def user_speed(turns: Sequence[Served]) -> float:
    """Tokens per second that a user sees, mean over turns."""
    return float(np.mean([turn.user_tok_s for turn in turns]))


def table(size: int, turns: Mapping[str, Sequence[Served]]) -> Table:
    """One row per arm: throughput, budget, per-user speed, and the schedulers over each arm."""
    ours = [arm for arm in turns if arm != BASELINE and not arm.startswith("fixed")]
    shown = Table(title=f"concurrency {size}", box=None, pad_edge=False, title_justify="left")
    for name in ("arm", "tok/s", "tok/s/user", "verify budget", "choosing"):
        shown.add_column(name, justify="left" if name == "arm" else "right")
    for name in ours:
        shown.add_column(f"{name} over it", justify="right")
    for arm, found in turns.items():
        cells = [
            arm,
            f"{throughput(found):.0f}",
            f"{user_speed(found):.0f}",
            f"{sum(t.verified for t in found) / sum(t.cycles for t in found):.2f}",
            f"{sum(t.schedule_s for t in found) / sum(t.cycle_s for t in found):.1%}",
        ]
        for name in ours:
            value, low, high = ratio(turns[name], found)
            cells.append("" if name == arm else f"{value:.3f} [{low:.3f}-{high:.3f}]")
        shown.add_row(*cells)
    return shown


def throughput(turns: Sequence[Served]) -> float:
    """Tokens per second over the steady parts."""
    return sum(turn.tokens for turn in turns) / sum(turn.time_s for turn in turns)


def ratio(ours: Sequence[Served], theirs: Sequence[Served]) -> tuple[float, float, float]:
    """Throughput over throughput, with its 95 % interval; rounds are drawn together."""
    rng = np.random.default_rng(0)
    draws = rng.integers(0, len(ours), (NUM_RESAMPLES, len(ours)))

    def resampled(turns: Sequence[Served]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        tokens = np.array([turn.tokens for turn in turns], dtype=np.float64)
        times = np.array([turn.time_s for turn in turns])
        return np.asarray(tokens[draws].sum(1) / times[draws].sum(1))

    low, high = np.percentile(resampled(ours) / resampled(theirs), (2.5, 97.5))
    return throughput(ours) / throughput(theirs), float(low), float(high)


if __name__ == "__main__":
    typer.run(main)
