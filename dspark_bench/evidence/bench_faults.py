"""What sweeps survive: `make bench-faults`.

    python -m dspark_bench.evidence.bench_faults [--kills 50] [--only worker,disk]

Real sweeps of the zoo, made small, as processes of their own; every fault is inflicted for real,
and what it leaves is read back file by file and compared with an uninterrupted run. Exits 1 if
anything is not as it should be.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import typer
from rich.console import Console

from dspark_bench.core.errors import RegressionError
from dspark_bench.evidence.entry import run_bench
from dspark_bench.evidence.faults.contention import killed_worker, two_at_once
from dspark_bench.evidence.faults.limits import out_of_memory, over_time
from dspark_bench.evidence.faults.reference import Reference
from dspark_bench.evidence.faults.report import HEADING, Tally, section
from dspark_bench.evidence.faults.signals import interrupts, kills
from dspark_bench.evidence.faults.storage import full_disk, read_only
from dspark_bench.evidence.faults.sweeps import Bench
from dspark_bench.evidence.robustness_file import (
    ROBUSTNESS,
    choose,
    read_section,
    replace_section,
    revision,
)

FAULTS: Final = ("kill", "interrupt", "disk", "read_only", "two", "worker", "memory", "time")


def main(
    num_kills: Annotated[int, typer.Option("--kills", help="kill -9, times.")] = 50,
    num_interrupts: Annotated[int, typer.Option("--interrupts", help="Ctrl-C, times.")] = 20,
    num_pairs: Annotated[int, typer.Option("--pairs", help="Two sweeps at once, times.")] = 5,
    num_workers: Annotated[int, typer.Option("--workers", help="Workers killed.")] = 2,
    seed: Annotated[int, typer.Option(help="Of the moments.")] = 0,
    only: Annotated[str, typer.Option(help=f"Comma list of {', '.join(FAULTS)}.")] = "",
    work: Annotated[Path | None, typer.Option(help="Folder; by default a temporary one.")] = None,
    out: Annotated[Path, typer.Option(help="File whose section is replaced.")] = ROBUSTNESS,
) -> None:
    """Inflict, inspect, print, and write the section; with --only, its rows of these faults."""
    console, measured, chosen = Console(width=160), revision(), choose(only, FAULTS)
    with tempfile.TemporaryDirectory(dir=work) as folder:
        bench = Bench(Path(folder), tell=console.print)
        reference = Reference.measure(bench)
        console.print(about(reference, seed), soft_wrap=True)
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
        tallies = []
        for name in chosen:
            tallies.append(done := faults[name]())
            lines = [done.row(measured), *done.problems]
            console.print(*lines, sep="\n", markup=False, soft_wrap=True)
    kept = read_section(out, HEADING) if only else ""
    text = section(tallies, about(reference, seed), measured, kept)
    replace_section(out, text)
    console.print(text, markup=False, soft_wrap=True)
    if any(tally.problems for tally in tallies):
        raise typer.Exit(RegressionError.exit_code)


def about(reference: Reference, seed: int) -> str:
    """What stands above the table."""
    return (
        f"`make bench-faults` (seed {seed}): sweeps of {len(reference.counts)} points of the zoo, "
        f"{reference.duration_s:.0f} s each when left alone. After every fault all visible point "
        "folders are parsed file by file, and the same command is run again: its points and the "
        "counts of every cycle must be those of the uninterrupted sweep, with nothing measured "
        "twice."
    )


if __name__ == "__main__":
    run_bench(main, "bench-faults")
