"""How fast is one pass? Compiled kernels against torch's operations, for `make bench-kernels`.

Both run in turn, in one process and on one thread. The floor is the time in which that thread reads
the weights once; keys and values, which the larger batches read as well, are not in it.
"""

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
import typer
from rich.console import Console
from rich.table import Table

from dspark_bench.models.attention import Span, plan_attention
from dspark_bench.models.kernels.choice import Wanted
from dspark_bench.models.target import TargetModel

ZOO = Path(__file__).resolve().parents[1] / "zoo"
SHAPES = ((1, 1), (1, 5), (8, 1), (8, 5), (32, 1), (32, 5))
"""Requests, and tokens of each."""
CONTEXT = 100


def main(rounds: int = 40) -> None:
    """Print milliseconds per pass, and their ratio; exits 0 whatever they show."""
    torch.set_num_threads(1)
    console, cpu = Console(), torch.device("cpu")
    targets = {
        wanted: TargetModel.load(ZOO / "target", torch.float32, cpu, wanted) for wanted in Wanted
    }
    ours = targets[Wanted.AUTO]
    console.print(f"zoo target, fp32, 1 thread, context {CONTEXT}, {rounds} rounds")
    console.print(f"kernels {ours.kernel_choice}", soft_wrap=True)
    console.print(f"reading the weights once: {_floor_ms(ours.num_weight_bytes):.2f} ms")
    table = Table("requests x tokens", "torch, ms", "compiled, ms", "ratio (10 % .. 90 %)")
    with torch.inference_mode():
        for shape in SHAPES:
            table.add_row(*_row(targets, shape, rounds))
    console.print(table)


def _row(
    targets: dict[Wanted, TargetModel], shape: tuple[int, int], rounds: int
) -> tuple[str, str, str, str]:
    passes = {wanted: _pass(target, *shape) for wanted, target in targets.items()}
    taken: dict[Wanted, list[float]] = {wanted: [] for wanted in passes}
    for index in range(rounds + 1):
        for wanted in list(passes) if index % 2 else reversed(list(passes)):
            started_s = time.perf_counter()
            passes[wanted]()
            if index > 0:
                taken[wanted].append(1e3 * (time.perf_counter() - started_s))
    theirs, ours = taken[Wanted.TORCH], taken[Wanted.AUTO]
    ratios = sorted(a / b for a, b in zip(theirs, ours, strict=True))
    low, high = ratios[rounds // 10], ratios[-1 - rounds // 10]
    spread = f"{median(ratios):.2f} ({low:.2f} .. {high:.2f})"
    return f"{shape[0]} x {shape[1]}", f"{median(theirs):.2f}", f"{median(ours):.2f}", spread


def _pass(target: TargetModel, requests: int, tokens: int) -> Callable[[], object]:
    """One pass, with its planning, over full rows of the cache."""
    cache = target.new_cache(requests, CONTEXT + tokens)
    cache.keys.normal_()
    cache.values.normal_()
    ids = torch.arange(requests * tokens) % 1000
    spans = [Span(row, CONTEXT, tokens) for row in range(requests)]
    return lambda: target.forward(ids, plan_attention(spans, cache), cache)


def _floor_ms(num_bytes: int) -> float:
    """The least time in which one thread sums an array of that size."""
    weights = torch.ones(num_bytes // 4)
    taken = []
    for _ in range(20):
        started_s = time.perf_counter()
        weights.sum()
        taken.append(time.perf_counter() - started_s)
    return 1e3 * min(taken)


if __name__ == "__main__":
    typer.run(main)
