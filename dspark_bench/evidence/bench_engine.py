"""How fast is the engine itself? Ratios measured in one run, for `make bench-engine`.

Against `transformers` `generate` with the same weights, dtype and threads, at batch 1 and 16, the
two interleaved; and the share of a speculative cycle that is neither draft, verify nor accept.
"""

import gc
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import torch
from rich.console import Console
from rich.table import Table

from dspark_bench.core.clock import device_clock
from dspark_bench.core.protocols import Drafter
from dspark_bench.core.records import RunResult
from dspark_bench.core.types import Request, SamplingParams
from dspark_bench.drafters.semi_ar import SemiAutoregressiveDrafter
from dspark_bench.engine.acceptance import ExactAcceptance
from dspark_bench.engine.engine import Engine, EngineConfig
from dspark_bench.evidence.entry import run_bench
from dspark_bench.loads.closed import ClosedLoad
from dspark_bench.models.checkpoint import read_tokenizer
from dspark_bench.models.target import TargetModel
from dspark_bench.schedulers.fixed import FixedScheduler
from dspark_bench.workloads.zoo_prompts import DOMAINS, zoo_prompts

ZOO = Path(__file__).resolve().parents[1] / "zoo"
BARS = {1: 1.8, 16: 1.5}
OVERHEAD_BAR = 0.08


def main(threads: int = 4, new_tokens: int = 96, rounds: int = 5, gamma: int = 4) -> None:
    """Print both comparisons; exits 0 whatever they show."""
    torch.set_num_threads(threads)
    console = Console()
    target = TargetModel.load(ZOO / "target", torch.float32, torch.device("cpu"))
    console.print(f"zoo target, fp32, {threads} threads, {new_tokens} new tokens, {rounds} rounds")
    table = Table("batch", "generate ms/step", "ours ms/step", "ratio (low..high)", "bar")
    for batch, bar in BARS.items():
        ratios, theirs, ours = compare(target, batch, new_tokens, rounds)
        spread = f"{median(ratios):.2f} ({min(ratios):.2f}..{max(ratios):.2f})"
        table.add_row(
            str(batch), f"{median(theirs):.2f}", f"{median(ours):.2f}", spread, f"{bar:.1f}"
        )
    console.print(table)
    share, count = overhead_share(target, gamma, new_tokens)
    console.print(
        f"outside draft, verify and accept at batch 1, gamma {gamma}: {share:.1%} of the cycle "
        f"(n={count} cycles; bar {OVERHEAD_BAR:.0%})"
    )


def compare(
    target: TargetModel, batch: int, new_tokens: int, rounds: int
) -> tuple[list[float], list[float], list[float]]:
    """Per round: generate's time over ours; and each one's milliseconds per decode step."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(ZOO / "target", dtype=torch.float32).eval()
    model.generation_config.eos_token_id = None
    prompts = torch.tensor(_prompts(batch, 48))
    requests = [
        Request(i, str(i), "", tuple(row), new_tokens) for i, row in enumerate(prompts.tolist())
    ]
    engine = _engine(target, None, batch, 0, prompts.shape[1] + new_tokens + 1)

    def theirs() -> int:
        out = model.generate(
            prompts,
            attention_mask=torch.ones_like(prompts),
            max_new_tokens=new_tokens,
            min_new_tokens=new_tokens,
            do_sample=False,
        )
        return int(out.shape[1] - prompts.shape[1])

    def ours() -> int:
        result = engine.run(requests, ClosedLoad(batch), 0)
        return max(len(record.output_tokens) for record in result.requests)

    times: dict[str, list[float]] = {"theirs": [], "ours": []}
    with torch.inference_mode():
        for index in range(rounds + 1):
            order = [("theirs", theirs), ("ours", ours)]
            for name, run in order if index % 2 else reversed(order):
                step_ms = _step_ms(run)
                if index > 0:
                    times[name].append(step_ms)
    ratios = [a / b for a, b in zip(times["theirs"], times["ours"], strict=True)]
    return ratios, times["theirs"], times["ours"]


def overhead_share(target: TargetModel, gamma: int, new_tokens: int) -> tuple[float, int]:
    """Share of decode cycles' time in scheduling and the engine's own work, and n cycles."""
    drafter = SemiAutoregressiveDrafter(ZOO / "drafters" / "semi_ar", target)
    prompts = _prompts(16, 48)
    requests = [Request(i, str(i), "", tuple(row), new_tokens) for i, row in enumerate(prompts)]
    engine = _engine(target, drafter, 1, gamma, 48 + new_tokens + gamma + 1)
    engine.run(requests[:2], ClosedLoad(1), 0)
    cycles = [c for c in _quiet(engine, requests).cycles if not c.has_prefill]
    outside = sum(c.t_schedule_s + c.t_engine_s for c in cycles)
    return outside / sum(c.duration_s for c in cycles), len(cycles)


def _engine(
    target: TargetModel, drafter: Drafter | None, batch: int, gamma: int, max_len: int
) -> Engine:
    greedy = SamplingParams(0.0 if drafter is None else 1.0)
    config = EngineConfig(batch, max_len)
    clock = device_clock(target.device)
    return Engine(
        target, drafter, FixedScheduler(), ExactAcceptance(), greedy, gamma, config, clock
    )


def _quiet(engine: Engine, requests: Sequence[Request]) -> RunResult:
    gc.collect()
    gc.disable()
    try:
        return engine.run(requests, ClosedLoad(1), 1)
    finally:
        gc.enable()


def _prompts(count: int, length: int) -> list[list[int]]:
    """Held-out prompts, all cut to one length so that both sides run the same shapes."""
    tokenizer = read_tokenizer(ZOO / "target")
    found = []
    for domain in DOMAINS:
        for prompt in zoo_prompts(domain, "test"):
            ids = tokenizer.encode(prompt.text).ids
            if len(ids) >= length:
                found.append(ids[:length])
    return found[:: max(1, len(found) // count)][:count]


def _step_ms(run: Callable[[], int]) -> float:
    gc.collect()
    gc.disable()
    try:
        began = time.perf_counter()
        steps = run()
        return 1000 * (time.perf_counter() - began) / steps
    finally:
        gc.enable()


if __name__ == "__main__":
    run_bench(main, "bench-engine")
