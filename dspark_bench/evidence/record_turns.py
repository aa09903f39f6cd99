"""Records the pace of a block of arms turn by turn: `make record-turns`, for `bench_precision`.

    python -m dspark_bench.evidence.record_turns [--prompts 96] [--rounds 2] [--tokens 128]

Baseline and arms serve each prompt once, in the orders of a Williams square, one request at a time;
then rounds of 24 prompts, eight at once. Kept of a turn are its decode cycles and the seconds that
they took, in the order of time, so that what cycles cost and the machine's drift are both in it.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import pandas as pd
import torch
import typer
from rich.console import Console

from dspark_bench.config.compose import compose_point, hydra_session
from dspark_bench.config.point_config import to_point_config
from dspark_bench.core.records import RunResult
from dspark_bench.core.types import Request
from dspark_bench.engine.engine import Engine, EngineConfig
from dspark_bench.evidence.entry import run_bench
from dspark_bench.loads.closed import ClosedLoad
from dspark_bench.measure.build import ModelCache, build_drafter, build_point, choose_threads
from dspark_bench.measure.timing_lock import timing_lock
from dspark_bench.measure.turns import garbage_kept
from dspark_bench.measure.williams import orders
from dspark_bench.schedulers.fixed import FixedScheduler

TURNS: Final = Path("results/reference/turns.csv")
BASELINE: Final = "none"
ARMS: Final = {
    BASELINE: ("drafter=none",),
    "semi_ar 4": ("drafter=semi_ar", "gamma=4"),
    "semi_ar 8": ("drafter=semi_ar", "gamma=8"),
    "semi_ar 7": ("drafter=semi_ar", "gamma=7"),
    "parallel 7": ("drafter=parallel", "gamma=7"),
    "ar 7": ("drafter=ar", "gamma=7"),
}
"""Those whose counts are among the committed results, by prompt (`recorded_block`)."""
AT_ONCE: Final = 8
ROUND_PROMPTS: Final = 24
_NUM_PROMPTS: Final = 192
_SPARE: Final = 16


@dataclass(frozen=True, slots=True)
class _Bench:
    """Requests in the order of `workload=mixed`, and an engine per arm."""

    requests: tuple[Request, ...]
    engines: Mapping[str, Engine]


def main(
    prompts: Annotated[int, typer.Option(help="One at a time; 1 to 192.")] = 96,
    rounds: Annotated[int, typer.Option(help="Of 24 prompts, eight at once; 0 to 8.")] = 2,
    tokens: Annotated[int, typer.Option(help="New tokens per prompt; 2 or more.")] = 128,
    out: Annotated[Path, typer.Option(help="The file that is written.")] = TURNS,
) -> None:
    """Measure and write."""
    rows: list[dict[str, object]] = []
    with timing_lock():
        bench = _open(1, tokens)
        served = [(request,) for request in bench.requests[:prompts]]
        rows += _turns(bench, served, 1)
        if rounds:
            bench = _open(AT_ONCE, tokens)
            starts = range(0, rounds * ROUND_PROMPTS, ROUND_PROMPTS)
            served_sets = [bench.requests[start : start + ROUND_PROMPTS] for start in starts]
            rows += _turns(bench, served_sets, AT_ONCE)
    out.parent.mkdir(parents=True, exist_ok=True)
    frame = pd.DataFrame(rows)
    frame["started_s"] -= frame["started_s"].min()
    frame.to_csv(out, index=False, float_format="%.6g")
    Console().print(f"{len(rows)} turns: {out}")


def _open(at_once: int, tokens: int) -> _Bench:
    shared = (
        f"load.concurrency={at_once}",
        f"num_requests={_NUM_PROMPTS}",
        f"max_new_tokens={tokens}",
    )
    with hydra_session():
        points = {
            name: to_point_config(compose_point([*own, *shared]), "record_turns")
            for name, own in ARMS.items()
        }
    first = points[BASELINE]
    torch.set_num_threads(choose_threads(first))
    objects = build_point(first, ModelCache())
    requests = objects.prompts.requests
    longest = max(len(r.prompt_tokens) + r.max_new_tokens for r in requests)
    engines = {
        name: Engine(
            objects.target,
            build_drafter(point, objects.target),
            FixedScheduler(),
            objects.acceptance,
            point.sampling,
            point.gamma,
            EngineConfig(at_once, longest + _SPARE),
            objects.clock,
        )
        for name, point in points.items()
    }
    return _Bench(tuple(requests), engines)


def _turns(
    bench: _Bench, served: Sequence[Sequence[Request]], at_once: int
) -> Iterator[dict[str, object]]:
    """A row per turn; each arm serves the first set once before anything is kept."""
    names = tuple(bench.engines)
    for name in names:
        bench.engines[name].run(served[0][:at_once], ClosedLoad(at_once), 0)
    rows = orders(len(names))
    for number, requests in enumerate(served):
        for place in rows[number % len(rows)]:
            started_s = time.monotonic()
            with garbage_kept():
                result = bench.engines[names[place]].run(requests, ClosedLoad(at_once), number)
            yield {
                "at_once": at_once,
                "set": number,
                "arm": names[place],
                "started_s": started_s,
                **_sums(result, at_once),
            }


def _sums(result: RunResult, at_once: int) -> dict[str, object]:
    """Batch cycles that are full and read no prompt, and their seconds."""
    durations = {
        record.cycle: record.duration_s
        for record in result.cycles
        if record.batch_size == at_once and not record.has_prefill
    }
    return {"cycles": len(durations), "seconds": sum(durations.values())}


if __name__ == "__main__":
    run_bench(main, "record-turns")
