"""What does a long prompt cost the others, and the memory? Chunks against whole, for `make
bench-prompts`.

A tiny model of a long context is made on the spot. Two requests decode; after 20 cycles a third one
comes with a long prompt. Every run is a process of its own, which says at its end how much memory
it held at most; the row with a short prompt says how much of that is the programme itself.
"""

import resource
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TypeVar

import torch
from rich.console import Console
from rich.table import Table

from dspark_bench.core.clock import device_clock
from dspark_bench.core.records import RunResult
from dspark_bench.core.types import Request, SamplingParams
from dspark_bench.engine.acceptance import ExactAcceptance
from dspark_bench.engine.engine import Engine, EngineConfig
from dspark_bench.evidence.entry import run_bench
from dspark_bench.models.kernels.choice import Wanted
from dspark_bench.models.target import TargetModel
from dspark_bench.schedulers.fixed import FixedScheduler

T = TypeVar("T")
CPU = torch.device("cpu")
VOCAB, CONTEXT = 512, 32_768
CHUNKS = (None, 2_048, 512, 128)
NUM_OTHERS, BEFORE = 2, 20
LONG = NUM_OTHERS
"""Request id of the long prompt: the others have those below."""


@dataclass(frozen=True, slots=True)
class Case:
    """One run: length of the long prompt, what it is run on, prompt tokens a pass (None: all)."""

    num_tokens: int
    wanted: Wanted
    most: int | None


@dataclass(frozen=True, slots=True)
class Seen:
    """peak_bytes: most memory of the process; gaps_s: between tokens of the others, in cycles that
    read none of the long prompt (median) and at worst; ttft_s: its own time to first token.
    """

    peak_bytes: int
    usual_gap_s: float
    worst_gap_s: float
    ttft_s: float


class LateLoad:
    """All but the last request are due at once; that one after `BEFORE` looks."""

    max_concurrency = NUM_OTHERS + 1

    def __init__(self) -> None:
        self._num_looks = 0
        self._came_s = 0.0

    def start(self, num_requests: int) -> None:
        """Count anew."""
        self._num_looks = 0

    def due(self, now_s: float, num_finished: int) -> int:
        """One look per cycle."""
        self._num_looks += 1
        if self._num_looks == BEFORE:
            self._came_s = now_s
        return NUM_OTHERS + (self._num_looks >= BEFORE)

    def scheduled_s(self, index: int, now_s: float) -> float:
        """When it was found due."""
        return self._came_s if index == LONG else 0.0

    def next_event_s(self, now_s: float, num_started: int) -> float | None:
        """Nothing comes while nothing runs."""
        return None


def main(rounds: int = 3, num_tokens: int = 16_384, threads: int = 1) -> None:
    """Print memory and gaps; exits 0 whatever they show."""
    console = Console()
    console.print(f"tiny model, fp32, {threads} thread, {rounds} rounds, {NUM_OTHERS} others")
    columns = ("prompt", "kernels", "a pass", "peak, MiB", "gap, ms", "worst, ms", "first, s")
    table = Table(*columns, box=None)
    cases = [
        Case(length, wanted, most)
        for wanted in Wanted
        for length, chunks in ((64, (None,)), (num_tokens // 4, CHUNKS), (num_tokens, CHUNKS))
        for most in chunks
    ]
    with TemporaryDirectory() as folder:
        _apart(make_model, Path(folder))
        found: dict[Case, list[Seen]] = {case: [] for case in cases}
        for index in range(rounds):
            for case in cases if index % 2 == 0 else reversed(cases):
                found[case].append(_apart(serve, Path(folder), case, threads))
    for case, seen in found.items():
        table.add_row(*_row(case, seen))
    console.print(table)


def make_model(folder: Path) -> None:
    """Write a random Qwen3 of 0.7 M weights, with a context of 32,768."""
    from transformers import Qwen3Config, Qwen3ForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=VOCAB,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=CONTEXT,
        eos_token_id=0,
    )
    Qwen3ForCausalLM(config).eval().save_pretrained(folder)


def serve(folder: Path, case: Case, threads: int) -> Seen:
    """One run, in a process of its own."""
    torch.set_num_threads(threads)
    target = TargetModel.load(folder, torch.float32, CPU, case.wanted)
    reading = case.num_tokens // (case.most or case.num_tokens)
    spans = [(5, 2 * BEFORE + reading)] * NUM_OTHERS + [(case.num_tokens, 4)]
    requests = [
        Request(i, f"p{i}", "", tuple(1 + (i + 7 * j) % (VOCAB - 1) for j in range(size)), most)
        for i, (size, most) in enumerate(spans)
    ]
    longest = max(size + most for size, most in spans)
    room = EngineConfig(len(requests), longest + 1, prefill_tokens=case.most)
    engine = Engine(
        target,
        None,
        FixedScheduler(),
        ExactAcceptance(),
        SamplingParams(),
        0,
        room,
        device_clock(CPU),
    )
    result = engine.run(requests, LateLoad(), seed=0)
    usual, worst = _gaps(result)
    record = next(r for r in result.requests if r.request_id == LONG)
    in_bytes = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * in_bytes
    return Seen(peak, usual, worst, record.first_token_s - record.scheduled_s)


def _gaps(result: RunResult) -> tuple[float, float]:
    """Median and longest time between two tokens of a request that was there before."""
    ends: dict[int, list[float]] = {}
    for cycle in result.cycles:
        if cycle.request_id != LONG and cycle.num_emitted > 0:
            ends.setdefault(cycle.request_id, []).append(cycle.started_s + cycle.duration_s)
    gaps = [b - a for times in ends.values() for a, b in pairwise(times)]
    still = {c.cycle: c.duration_s for c in result.cycles if not c.has_prefill}
    return median(still.values()), max(gaps)


def _apart(function: Callable[..., T], *arguments: object) -> T:
    """Call in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def _row(case: Case, seen: Sequence[Seen]) -> tuple[str, ...]:
    worst = [1e3 * s.worst_gap_s for s in seen]
    return (
        f"{case.num_tokens:,}",
        "torch" if case.wanted is Wanted.TORCH else "compiled",
        "whole" if case.most is None else f"{case.most:,}",
        f"{max(s.peak_bytes for s in seen) / 2**20:.0f}",
        f"{1e3 * median(s.usual_gap_s for s in seen):.1f}",
        f"{median(worst):.0f} ({min(worst):.0f}-{max(worst):.0f})",
        f"{median(s.ttft_s for s in seen):.1f}",
    )


if __name__ == "__main__":
    run_bench(main, "bench-prompts")
