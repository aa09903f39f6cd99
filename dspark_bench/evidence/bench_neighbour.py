"""Does `cost=online` follow a machine whose cores somebody else takes in mid-run?

    python -m dspark_bench.evidence.bench_neighbour [--concurrency 16] [--neighbours 2]

Stretch after stretch, with other processes spinning on some cores and without: the online cost,
which started from the quiet machine's profile and was last used in the other state, against a table
that was profiled in the very state at hand. Within a stretch the arms take turns every second or
so. Its first cycles, in which the online cost may adapt, are left out; throughput is of the full
batches after them.
"""

import json
import multiprocessing
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table

from dspark_bench.commands.sweep_plan import SweepRequest, single_point
from dspark_bench.core.records import RunResult
from dspark_bench.engine.engine import Engine
from dspark_bench.evidence.entry import run_bench
from dspark_bench.evidence.stretches import (
    GAMMA,
    NEW_TOKENS,
    Served,
    build_engine,
    ratio,
    served,
    throughput,
)
from dspark_bench.loads.closed import ClosedLoad
from dspark_bench.measure.build import ModelCache, build_point, choose_threads
from dspark_bench.measure.build_scheduler import SchedulerParts, build_scheduler
from dspark_bench.measure.calibration_file import find_calibration
from dspark_bench.measure.cost_profiles import measure_surface_now
from dspark_bench.measure.interleave import interleave, turn_tokens
from dspark_bench.measure.turns import garbage_kept, repeat_seed

STATES = ("quiet", "busy")
ARMS = ("online", "table of this state", "table of the quiet machine")


def main(
    concurrency: Annotated[int, typer.Option(help="Requests at once.")] = 16,
    neighbours: Annotated[int, typer.Option(help="Processes that spin.")] = 2,
    rounds: Annotated[int, typer.Option(help="Stretches in each state.")] = 8,
    adapting: Annotated[int, typer.Option(help="First cycles of a stretch left out.")] = 50,
    out: Annotated[Path | None, typer.Option(help="JSON of every stretch.")] = None,
) -> None:
    """Measure and print both states."""
    console = Console()
    found = measure(concurrency, neighbours, rounds, adapting, console)
    console.print(table(found, neighbours, adapting))
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        kept = {
            state: {arm: [asdict(turn) for turn in turns] for arm, turns in arms.items()}
            for state, arms in found.items()
        }
        out.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def measure(
    concurrency: int, neighbours: int, rounds: int, adapting: int, console: Console
) -> dict[str, dict[str, list[Served]]]:
    """State -> arm -> stretches."""
    overrides = (
        *("scheduler=hardware_aware", f"load.concurrency={concurrency}", f"gamma={GAMMA}"),
        *(f"num_requests={6 * concurrency}", f"max_new_tokens={NEW_TOKENS}", "seed=11"),
    )
    planned = {
        cost: single_point(SweepRequest((*overrides, f"cost={cost}")), "bench")
        for cost in ("online", "profiled")
    }
    points = {cost: item.config for cost, item in planned.items()}
    point, identity = points["profiled"], planned["profiled"].identity
    stored = find_calibration(point, identity.target_hash, identity.drafter_hash).stored
    torch.set_num_threads(choose_threads(point))
    objects = build_point(point, ModelCache())
    surfaces = {}
    for state in STATES:
        with spinning(neighbours if state == "busy" else 0):
            surfaces[state] = SchedulerParts(measure_surface_now(point, objects), stored)

    def engine(cost: str, state: str) -> Engine:
        return build_engine(point, objects, build_scheduler(points[cost], surfaces[state]), GAMMA)

    def steps(engine: Engine, number: int) -> Iterator[RunResult]:
        requests, seed = objects.prompts.requests, repeat_seed(point.seed, number)
        return engine.steps(requests, ClosedLoad(concurrency), seed)

    learner, unmoved = engine("online", "quiet"), engine("profiled", "quiet")
    tables = {state: engine("profiled", state) for state in STATES}
    found: dict[str, dict[str, list[Served]]] = {s: {arm: [] for arm in ARMS} for s in STATES}
    for number in range(-1, rounds):
        for state in STATES:
            arms = dict(zip(ARMS, (learner, tables[state], unmoved), strict=True))
            runs = {arm: steps(engine, number) for arm, engine in arms.items()}
            with spinning(neighbours if state == "busy" else 0), garbage_kept():
                results, errors = interleave(runs, turn_tokens(concurrency))
            for error in errors.values():
                raise error
            if number >= 0:
                for arm, result in results.items():
                    found[state][arm].append(served(after(result, adapting), concurrency))
        console.print(f"round {number + 2}/{rounds + 1}")
    return found


def after(result: RunResult, num_cycles: int) -> RunResult:
    """Without the cycles before number `num_cycles`."""
    kept = [record for record in result.cycles if record.cycle >= num_cycles]
    return RunResult(result.requests, kept, result.wall_s)


@contextmanager
def spinning(num_processes: int) -> Iterator[None]:
    """Other processes that keep a core busy each."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_spin, daemon=True) for _ in range(num_processes)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
            process.join()


def _spin() -> None:
    while True:
        pass


def table(found: dict[str, dict[str, list[Served]]], neighbours: int, adapting: int) -> Table:
    """One row per state and arm."""
    shown = Table(
        title=f"{neighbours} spinning processes; first {adapting} cycles of a stretch left out",
        box=None,
        pad_edge=False,
        title_justify="left",
    )
    for name in ("state", "arm", "tok/s", "verify budget", "drafted", "online over it"):
        shown.add_column(name, justify="left" if name in ("state", "arm") else "right")
    for state, arms in found.items():
        for arm, turns in arms.items():
            found_ratio = ratio(arms["online"], turns)
            shown.add_row(
                state,
                arm,
                f"{throughput(turns):.0f}",
                f"{_per_cycle(turns, 'verified'):.2f}",
                f"{_per_cycle(turns, 'drafted'):.2f}",
                "" if arm == "online" else found_ratio.text(3),
            )
    return shown


def _per_cycle(turns: Sequence[Served], field: str) -> float:
    return float(sum(getattr(t, field) for t in turns) / sum(t.cycles for t in turns))


if __name__ == "__main__":
    run_bench(main, "bench-neighbour")
