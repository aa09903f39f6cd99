"""How often the gate is wrong: `make bench-gate`.

    python -m dspark_bench.evidence.bench_gate [--repetitions 2000] [--real 20] [--only simulated]

Simulated: every cycle that a replay of the zoo could meet is scored once by the real models; then
prompts are resampled, and both sides walk through the scores with draws of their own, the same
drafter on both (A/A) or one with noise on its weights. Real: engine runs with other seeds against
one, compared as they are, and counted against the walks. Nothing is timed.
"""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import torch
import typer
from rich.console import Console

from dspark_bench.core.protocols import Drafter
from dspark_bench.evidence.bench_gate_text import HEADING, Tally, section, tally
from dspark_bench.evidence.entry import run_bench
from dspark_bench.evidence.gate_runs import ReplayBench, loss, noise_for
from dspark_bench.evidence.gate_tables import ReplayTables, score_replay, walk
from dspark_bench.evidence.robustness_file import (
    ROBUSTNESS,
    choose,
    read_section,
    replace_section,
    revision,
)
from dspark_bench.gate.compare import Pair, figures_of
from dspark_bench.gate.counts import Counts
from dspark_bench.gate.figures import PointComparison, Verdict, adjust
from dspark_bench.gate.report import DEFAULT_MARGIN
from dspark_bench.measure.build import choose_threads

_PROBES: Final = (0.08, 0.16, 0.3, 0.5, 0.7)


PARTS: Final = ("simulated", "real", "power")


def main(
    repetitions: Annotated[int, typer.Option(help="Simulated A/A repetitions.")] = 2000,
    power_repetitions: Annotated[int, typer.Option(help="Simulated, per degradation.")] = 400,
    real: Annotated[int, typer.Option(help="Real A/A repetitions.")] = 20,
    real_requests: Annotated[int, typer.Option(help="Prompts of the real repetitions.")] = 192,
    real_tokens: Annotated[int, typer.Option(help="New tokens of the real repetitions.")] = 128,
    gammas: Annotated[str, typer.Option(help="Points: draft tokens per cycle.")] = "4,8",
    losses: Annotated[str, typer.Option(help="Degradations aimed at, percent.")] = "1,2,3,4,5,7,10",
    only: Annotated[str, typer.Option(help=f"Comma list of {', '.join(PARTS)}.")] = "",
    threads: Annotated[int, typer.Option(help="CPU threads; 0: all cores but one.")] = 0,
    recordings: Annotated[Path, typer.Option(help="Folder of recorded outputs.")] = Path(
        "results/baseline/continuations"
    ),
    out: Annotated[Path, typer.Option(help="File whose section is replaced.")] = ROBUSTNESS,
) -> None:
    """Score, simulate, run, print, and write the section; with --only, its rows of these parts."""
    parts = choose(only, PARTS)
    console, measured = Console(width=140), revision()
    fixed = [
        "experiment=gate",
        f"acceptance.path={recordings}",
        f"engine.threads={threads or 'null'}",
    ]
    benches = [ReplayBench.open([*fixed, f"gamma={gamma}"]) for gamma in gammas.split(",")]
    torch.set_num_threads(choose_threads(benches[0].point))
    tables = [_score(bench, bench.drafter) for bench in benches] if parts != ("real",) else []
    rng = np.random.default_rng(0)
    rows: list[str] = []

    def add(row: str) -> None:
        rows.append(row)
        console.print(row, markup=False, soft_wrap=True)

    if "simulated" in parts:
        done = _simulate("simulated A/A, other seeds", tables, tables, repetitions, rng)
        add(done.row(measured))
    if "real" in parts:
        for done in _real(benches[0], real, real_requests, real_tokens):
            add(done.row(measured))
    if "power" in parts:
        aims = [float(text) / 100 for text in losses.split(",")]
        for row in _power(benches, tables, aims, power_repetitions, rng):
            add(f"{row} {measured} |")
    text = section(benches, rows, read_section(out, HEADING) if only else "")
    replace_section(out, text)
    console.print(text, markup=False, soft_wrap=True)


def judge(pairs: Sequence[Pair]) -> Verdict:
    """The gate's verdict on all points together."""
    compared = []
    for pair in pairs:
        figures, left_out = figures_of(pair, DEFAULT_MARGIN)
        size = len(pair.ours.cycles)
        compared.append(PointComparison("", figures, size, size, left_out))
    verdicts = {point.verdict for point in adjust(compared)}
    return "fail" if "fail" in verdicts else "open" if "open" in verdicts else "pass"


def repetition(
    ours: Sequence[ReplayTables],
    theirs: Sequence[ReplayTables],
    seeds: tuple[int, int],
    rng: np.random.Generator,
) -> list[Pair]:
    """One simulated check: prompts drawn with replacement, each side and copy with own draws."""
    size = len(theirs[0].request_ids)
    chosen = rng.integers(size, size=size)
    return [
        Pair(
            walk(mine.resampled(chosen), 0, seeds[0]),
            walk(known.resampled(chosen), 0, seeds[1]),
            is_replay=True,
        )
        for mine, known in zip(ours, theirs, strict=True)
    ]


def _score(bench: ReplayBench, drafter: Drafter) -> ReplayTables:
    objects, point = bench.objects, bench.point
    return score_replay(
        objects.target, drafter, objects.prompts.requests, point.gamma, point.sampling
    )


def _simulate(
    name: str,
    ours: Sequence[ReplayTables],
    theirs: Sequence[ReplayTables],
    repetitions: int,
    rng: np.random.Generator,
) -> Tally:
    seeds = [(2 * i + 1, 2 * i + 2) for i in range(repetitions)]
    return tally(name, [judge(repetition(ours, theirs, pair, rng)) for pair in seeds])


def _real(bench: ReplayBench, num_runs: int, num_requests: int, num_tokens: int) -> list[Tally]:
    """Engine runs with other seeds against the first, and the first once more.

    Raises RuntimeError unless the same seed gives the same counts.
    """
    small = bench.shortened(num_requests, num_tokens)
    first, again, *others = (
        small.run(small.drafter, seed) for seed in (0, 0, *range(1, num_runs + 1))
    )
    if not all(np.array_equal(getattr(again, name), getattr(first, name)) for name in _EXACT):
        raise RuntimeError("the same code with the same seed gave other counts")
    size = f"{num_requests} prompts, {num_tokens} tokens, gamma {bench.point.gamma}"
    verdicts = [judge([Pair(run, first, is_replay=True)]) for run in others]
    same = [judge([Pair(again, first, is_replay=True)])]
    return [
        tally(f"real A/A, other seeds ({size})", verdicts),
        tally(f"real A/A, same seed: equal counts ({size})", same),
    ]


_EXACT: Final = ("cycles", "verified", "accepted", "rejected")


def _power(
    benches: Sequence[ReplayBench],
    tables: Sequence[ReplayTables],
    aims: Sequence[float],
    repetitions: int,
    rng: np.random.Generator,
) -> Iterator[str]:
    """A row per degradation."""
    with tempfile.TemporaryDirectory() as folder:
        probed = _probe(benches[0], max(aims), Path(folder))
        for aim in aims:
            noise = noise_for(probed, aim)
            worse = [
                _score(bench, bench.worse_drafter(noise, Path(folder) / f"{noise:.6f}"))
                for bench in benches
            ]
            yield _power_row(aim, noise, worse, tables, repetitions, rng)


def _power_row(
    aim: float,
    noise: float,
    worse: Sequence[ReplayTables],
    tables: Sequence[ReplayTables],
    repetitions: int,
    rng: np.random.Generator,
) -> str:
    done = _simulate("", worse, tables, repetitions, rng)
    lost = [_loss(mine, known) for mine, known in zip(worse, tables, strict=True)]
    passed = done.n - done.num_failed - done.num_open
    cells = [f"{aim:.0%}", f"{noise:.3f}", ", ".join(f"{value:.1%}" for value in lost)]
    cells += [f"{number / done.n:.1%}" for number in (done.num_failed, done.num_open, passed)]
    return "| " + " | ".join([*cells, str(done.n)]) + " |"


def _loss(worse: ReplayTables, tables: ReplayTables) -> float:
    """Mean over a few draws."""
    return float(np.mean([loss(_sum(worse, seed), _sum(tables, seed)) for seed in range(8)]))


def _sum(tables: ReplayTables, seed: int) -> Counts:
    return walk(tables, 0, seed).total()


def _probe(bench: ReplayBench, largest: float, folder: Path) -> list[tuple[float, float]]:
    """Loss at rising noise until it exceeds `largest`, on a quarter of the prompts."""
    size = len(bench.objects.prompts.requests)
    small = bench.shortened(max(1, size // 4), bench.point.max_new_tokens)
    clean = _score(small, small.drafter)
    found: list[tuple[float, float]] = []
    for noise in _PROBES:
        drafter = bench.worse_drafter(noise, folder / f"{noise:.6f}")
        found.append((noise, max(_loss(_score(small, drafter), clean), 0.0)))
        if found[-1][1] > largest:
            break
    return found


if __name__ == "__main__":
    run_bench(main, "bench-gate")
