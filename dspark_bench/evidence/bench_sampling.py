"""How fast is top-p? Growing selections against sorting every row, for `make bench-sampling`.

Both run in turn, in one process and on one thread, over the same logits: of a target that is sure
at most places, and of one that hardly ever is. Their results are compared bit by bit as well.
"""

import time
from collections.abc import Callable
from itertools import product
from statistics import median

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from dspark_bench.core.sampling import token_probs
from dspark_bench.core.types import SamplingParams
from dspark_bench.evidence.entry import run_bench

SHAPES = ((2_048, 64), (151_936, 1), (151_936, 8))
"""Vocabulary, and rows."""
SPREADS = (5.0, 2.0)
"""Standard deviation of the logits: of a sure target, and of one with long tails."""


def main(rounds: int = 20) -> None:
    """Print milliseconds per call, and their ratio; exits 0 whatever they show."""
    torch.set_num_threads(1)
    console = Console()
    console.print(f"token_probs, fp32, temperature 1, 1 thread, {rounds} rounds")
    columns = ("size", "spread", "top_k", "top_p", "kept", "sort, ms", "now, ms", "ratio, 10-90 %")
    table = Table(*columns, box=None)
    with torch.inference_mode():
        for shape, spread, top_k, top_p in product(SHAPES, SPREADS, (0, 50), (0.9, 0.95)):
            table.add_row(*_row(shape, spread, SamplingParams(1.0, top_k, top_p), rounds))
    console.print(table)


def sorted_probs(logits: Tensor, params: SamplingParams) -> Tensor:
    """What `token_probs` is by definition, each row sorted whole: probabilities [..., V]."""
    probs = token_probs(logits, SamplingParams(params.temperature, params.top_k))
    ordered, index = probs.sort(dim=-1, descending=True, stable=True)
    before = ordered.cumsum(dim=-1) - ordered
    kept = torch.where(before < params.top_p, ordered, torch.zeros_like(ordered))
    filtered = torch.zeros_like(probs).scatter(-1, index, kept)
    return filtered / filtered.sum(dim=-1, keepdim=True)


def _row(
    shape: tuple[int, int], spread: float, params: SamplingParams, rounds: int
) -> tuple[str, ...]:
    num_tokens, num_rows = shape
    generator = torch.Generator().manual_seed(0)
    logits = spread * torch.randn(num_rows, num_tokens, generator=generator)
    ways = (sorted_probs, token_probs)
    by_sort, by_selection = (way(logits, params) for way in ways)
    if not torch.equal(by_sort, by_selection):
        raise AssertionError(f"selection and sort differ at {shape}, spread {spread}, {params}")
    taken: tuple[list[float], list[float]] = ([], [])
    for index in range(rounds):
        for place in (0, 1) if index % 2 else (1, 0):
            taken[place].append(_milliseconds(ways[place], logits, params))
    ratios = sorted(a / b for a, b in zip(*taken, strict=True))
    low, high = ratios[rounds // 10], ratios[-1 - rounds // 10]
    kept = (by_sort > 0).sum(-1).double().mean()
    return (
        f"{num_tokens} x {num_rows}",
        f"{spread:g}",
        str(params.top_k or "-"),
        f"{params.top_p:g}",
        f"{kept:.0f}",
        f"{median(taken[0]):.2f}",
        f"{median(taken[1]):.2f}",
        f"{median(ratios):.1f} ({low:.1f}-{high:.1f})",
    )


def _milliseconds(
    way: Callable[[Tensor, SamplingParams], Tensor], logits: Tensor, params: SamplingParams
) -> float:
    started_s = time.perf_counter()
    way(logits, params)
    return 1e3 * (time.perf_counter() - started_s)


if __name__ == "__main__":
    run_bench(main, "bench-sampling")
