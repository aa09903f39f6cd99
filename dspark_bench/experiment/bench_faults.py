"""What sweeps survive: `make bench-faults`.

    python -m dspark_bench.experiment.bench_faults [--kills 50] [--interrupts 20]

Real sweeps of the zoo, made small, as processes of their own; every fault is inflicted for real,
and what it leaves is read back file by file and compared with an uninterrupted run. Exits 1 if
anything is not as it should be.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console

from dspark_bench.core.errors import RegressionError
from dspark_bench.experiment.bench_gate_text import replace_section
from dspark_bench.experiment.faults.contention import killed_worker, two_at_once
from dspark_bench.experiment.faults.limits import out_of_memory, over_time
from dspark_bench.experiment.faults.reference import Reference
from dspark_bench.experiment.faults.report import Tally, section
from dspark_bench.experiment.faults.signals import interrupts, kills
from dspark_bench.experiment.faults.storage import full_disk, read_only
from dspark_bench.experiment.faults.sweeps import Bench


def main(
    num_kills: Annotated[int, typer.Option("--kills", help="kill -9, times.")] = 50,
    num_interrupts: Annotated[int, typer.Option("--interrupts", help="Ctrl-C, times.")] = 20,
    num_pairs: Annotated[int, typer.Option("--pairs", help="Two sweeps at once, times.")] = 5,
    num_workers: Annotated[int, typer.Option("--workers", help="Workers killed.")] = 2,
    seed: Annotated[int, typer.Option(help="Of the moments.")] = 0,
    only: Annotated[str, typer.Option(help="Comma list of faults; empty: all.")] = "",
    work: Annotated[Path | None, typer.Option(help="Folder; by default a temporary one.")] = None,
    out: Annotated[Path, typer.Option(help="File whose section is replaced.")] = Path(
        "results/reference/robustness.md"
    ),
) -> None:
    """Inflict, inspect, print, and write the section."""
    console = Console(width=160)
    with tempfile.TemporaryDirectory(dir=work) as folder:
        bench = Bench(Path(folder), tell=console.print)
        reference = Reference.measure(bench)
        console.print(
            f"uninterrupted: {len(reference.counts)} points, {reference.duration_s:.1f} s"
        )
        rng = np.random.default_rng(seed)
        faults: dict[str, Callable[[], Tally]] = {
            "kill": lambda: kills(bench, reference, num_kills, rng),
            "interrupt": lambda: interrupts(bench, reference, num_interrupts, rng),
            "disk": lambda: full_disk(bench, reference),
            "read_only": lambda: read_only(bench, reference),
            "two": lambda: two_at_once(bench, reference, num_pairs, rng),
            "worker": lambda: killed_worker(bench, reference, num_workers),
            "memory": lambda: out_of_memory(bench),
            "time": lambda: over_time(bench),
        }
        chosen = only.split(",") if only else list(faults)
        unknown = [name for name in chosen if name not in faults]
        if unknown:
            raise typer.BadParameter(f"--only {unknown[0]}; valid: {', '.join(faults)}")
        tallies = []
        for name in chosen:
            tallies.append(faults[name]())
            console.print(
                tallies[-1].row(), *tallies[-1].problems, sep="\n", markup=False, soft_wrap=True
            )
    about = (
        f"`make bench-faults` (seed {seed}): sweeps of {len(reference.counts)} points of the zoo, "
        f"{reference.duration_s:.0f} s each when left alone. After every fault all visible point "
        "folders are parsed file by file, and the same command is run again: its points and the "
        "counts of every cycle must be those of the uninterrupted sweep, with nothing measured "
        "twice."
    )
    text = section(tallies, about)
    if not only:
        replace_section(out, text)
    console.print(text, markup=False, soft_wrap=True)
    if any(tally.problems for tally in tallies):
        raise typer.Exit(RegressionError.exit_code)


if __name__ == "__main__":
    typer.run(main)
