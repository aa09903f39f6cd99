"""How fast is one pass? Compiled kernels against torch's operations, for `make bench-kernels`.

Both run in turn, in one process and on one thread. Then where a compiled pass spends its time,
beside the floor: the time in which that thread reads the same weights, keys and values. Then what
it costs that requests verify unequally many tokens, at equal sums.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from dspark_bench.evidence.entry import run_bench
from dspark_bench.evidence.kernel_parts import measure_parts, rounds_in_turn
from dspark_bench.metrics.log_ratio import ratio_interval
from dspark_bench.models.attention import Span, plan_attention
from dspark_bench.models.kernels.choice import Wanted
from dspark_bench.models.target import TargetModel

ZOO = Path(__file__).resolve().parents[1] / "zoo"
SHAPES = ((1, 1), (1, 5), (8, 1), (8, 5), (32, 1), (32, 5))
"""Requests, and tokens of each."""
CONTEXT = 100
RAGGED_REQUESTS = (8, 32, 64)
EVEN, UNEVEN = (5, 5, 5, 5), (1, 9, 3, 7)
"""Tokens of each request, repeated: of one sum."""
_CONTEXT = ("attention", "reading keys, values")


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
    table = Table("requests x tokens", "torch, ms", "compiled, ms", "ratio (10 % .. 90 %)")
    with torch.inference_mode():
        for shape in SHAPES:
            table.add_row(*_row(targets, shape, rounds))
    console.print(table)
    if ours.layers.compiled is None:
        return
    parts = Table("requests x tokens", "pass, ms", "products", "reading weights", *_CONTEXT, "rest")
    uneven = Table("requests", "even, ms", "uneven, ms", "uneven / even (95 %)")
    with torch.inference_mode():
        for shape in SHAPES:
            found = measure_parts(ours, *shape, CONTEXT)
            numbers = [found.whole, found.products, found.reading_weights]
            numbers += [found.attention, found.reading_context, found.rest]
            parts.add_row(f"{shape[0]} x {shape[1]}", *(f"{number:.2f}" for number in numbers))
        for requests in RAGGED_REQUESTS:
            uneven.add_row(*_uneven_row(ours, requests, rounds))
    console.print(parts)
    console.print(uneven)


def _row(
    targets: dict[Wanted, TargetModel], shape: tuple[int, int], rounds: int
) -> tuple[str, str, str, str]:
    order = (Wanted.TORCH, Wanted.AUTO)
    theirs, ours = rounds_in_turn([_pass(targets[wanted], *shape) for wanted in order], rounds)
    ratios = sorted(a / b for a, b in zip(theirs, ours, strict=True))
    low, high = ratios[rounds // 10], ratios[-1 - rounds // 10]
    spread = f"{median(ratios):.2f} ({low:.2f} .. {high:.2f})"
    return f"{shape[0]} x {shape[1]}", f"{median(theirs):.2f}", f"{median(ours):.2f}", spread


def _pass(target: TargetModel, requests: int, tokens: int) -> Callable[[], object]:
    """One pass, with its planning, over full rows of the cache."""
    return _ragged_pass(target, [tokens] * requests)


def _ragged_pass(target: TargetModel, lengths: Sequence[int]) -> Callable[[], object]:
    cache = target.new_cache(len(lengths), CONTEXT + max(lengths))
    cache.keys.normal_()
    cache.values.normal_()
    ids = torch.arange(sum(lengths)) % 1000
    spans = [Span(row, CONTEXT, length) for row, length in enumerate(lengths)]
    return lambda: target.forward(ids, plan_attention(spans, cache), cache)


def _uneven_row(target: TargetModel, requests: int, rounds: int) -> tuple[str, str, str, str]:
    """Both in turn; the interval is Student's t of the rounds' log ratios."""
    runs = [_ragged_pass(target, lengths * (requests // 4)) for lengths in (EVEN, UNEVEN)]
    even, uneven = rounds_in_turn(runs, rounds)
    found = ratio_interval(np.array([uneven, even]).T, (1.0, -1.0))
    spread = f"{found.value:.3f} ({found.low:.3f} .. {found.high:.3f})"
    return str(requests), f"{median(even):.2f}", f"{median(uneven):.2f}", spread


if __name__ == "__main__":
    run_bench(main, "bench-kernels")
