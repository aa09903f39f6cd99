"""`make soak`: 5,000 requests in one process, mixed loads, nothing lost, memory flat.

    python -m dspark_bench.evidence.soak [--requests 5000]

Exits 1 if anything is off.
"""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from dspark_bench.core.errors import RegressionError
from dspark_bench.evidence.entry import run_bench
from dspark_bench.evidence.robustness_file import ROBUSTNESS, replace_section, revision
from dspark_bench.evidence.soak.rounds import ZOO_ARMS
from dspark_bench.evidence.soak.soak import SoakPlan, run_soak, section


def main(
    requests: Annotated[int, typer.Option(help="Requests in all.")] = 5000,
    per_round: Annotated[int, typer.Option(help="Requests per round.")] = 50,
    rate: Annotated[float, typer.Option(help="Requests per second of open loads.")] = 12.0,
    threads: Annotated[int, typer.Option(help="CPU threads; 0: all cores but one.")] = 0,
    out: Annotated[Path, typer.Option(help="File whose section is replaced.")] = ROBUSTNESS,
) -> None:
    """Run, print, and write the section."""
    console, measured = Console(width=160), revision()
    common = ("workload=mixed", "num_requests=288", f"engine.threads={threads or 'null'}")
    plan = SoakPlan(ZOO_ARMS, common, requests, per_round, rate)
    done = run_soak(plan, lambda line: console.print(line, markup=False, soft_wrap=True))
    text = section(plan, done, measured)
    console.print(text, markup=False, soft_wrap=True)
    replace_section(out, text)
    if done.problems:
        raise typer.Exit(RegressionError.exit_code)


if __name__ == "__main__":
    run_bench(main, "soak")
