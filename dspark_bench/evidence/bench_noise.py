"""What timing differs by when nothing differs: `make bench-noise`.

    python -m dspark_bench.evidence.bench_noise [--repeats 12] [--requests 16]

Two A/A pairs per load. One is the noise floor of every point: its baseline turns against
themselves. The other is `drafter=none` measured like a drafter: two engines that do the same, in
turns as for S, whose ratio should be 1. A drafter's S stands below them, to be read against them.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import torch
import typer
from rich.console import Console

from dspark_bench.commands.sweep import run_sweep
from dspark_bench.commands.sweep_plan import SweepRequest
from dspark_bench.config.point_config import NO_DRAFTER
from dspark_bench.evidence.entry import run_bench
from dspark_bench.evidence.robustness_file import ROBUSTNESS, replace_section, revision
from dspark_bench.machine.environment import Environment, read_environment
from dspark_bench.machine.processors import usable_cores
from dspark_bench.metrics.intervals import Interval
from dspark_bench.metrics.noise_floor import within_floor
from dspark_bench.reading.rows import Row

HEADING: Final = "## Timing noise"
_HEAD: Final = (
    "| at once | S of | S | 95 % | noise floor | A/A ratio | 95 % | pairs | other cores busy "
    "| verdict |",
    "|---|---|---|---|---|---|---|---|---|---|",
)


def main(
    repeats: Annotated[int, typer.Option(help="measure.repeats; 6 or more.")] = 12,
    requests: Annotated[int, typer.Option(help="Prompts; 16 or more.")] = 16,
    tokens: Annotated[int, typer.Option(help="New tokens per prompt.")] = 48,
    concurrency: Annotated[str, typer.Option(help="Requests at once, comma list.")] = "1,8",
    out: Annotated[Path, typer.Option(help="File whose section is replaced.")] = ROBUSTNESS,
) -> None:
    """Measure, print, and write the section. Exits 0 whatever the machine shows."""
    console, measured = Console(width=160), revision()
    with tempfile.TemporaryDirectory() as folder:
        overrides = (
            *(f"drafter={NO_DRAFTER},semi_ar", "gamma=4", f"load.concurrency={concurrency}"),
            *(f"num_requests={requests}", f"max_new_tokens={tokens}", f"results_dir={folder}"),
            *(
                "measure.precision=null",
                f"measure.repeats={repeats}",
                "measure.agreement_requests=0",
                "name=noise",
            ),
            "measure.calibration_requests=0",
        )
        rows = run_sweep(SweepRequest(overrides), console)
    size = f"{requests} prompts of {tokens} tokens, {repeats} repeats"
    text = section(rows, read_environment(), measured, size)
    replace_section(out, text)
    console.print(text, markup=False, soft_wrap=True)


def section(rows: Sequence[Row], environment: Environment, measured: str, size: str) -> str:
    """The text that is kept. rows: of summary.csv; measured: the commit; size: of the runs."""
    used = f"{usable_cores()} of {environment.num_cores} cores, threads: {torch.get_num_threads()}"
    about = (
        f"`make bench-noise` (commit {measured}; {environment.cpu_model}, {used}): zoo, gamma 4, "
        f"{size}, baseline and arm in turns. Noise floor: the largest difference from 1 in the "
        "interval of the baseline's turns against themselves. S of `none` is an A/A pair too, of "
        "two engines: its interval should hold 1, and lie within about the floor."
    )
    ordered = sorted(rows, key=lambda row: (row["concurrency"], row["drafter"] != NO_DRAFTER))
    return "\n".join([HEADING, "", about, "", *_HEAD, *map(_row, ordered), ""])


def _row(row: Row) -> str:
    speedup = Interval(row.get("speedup"), row.get("speedup_ci_low"), row.get("speedup_ci_high"), 0)
    ratio = Interval(
        row.get("aa_ratio"), row.get("aa_ratio_ci_low"), row.get("aa_ratio_ci_high"), 0
    )
    floor = row.get("noise_floor")
    cells = (
        *(row["concurrency"], f"`{row['drafter']}`", *_interval(speedup)),
        *("-" if floor is None else f"{floor:.1%}", *_interval(ratio)),
        *(row.get("noise_floor_basis"), f"{row['other_cores']:.1f}", _verdict(speedup, floor)),
    )
    return f"| {' | '.join(map(str, cells))} |"


def _interval(found: Interval) -> tuple[str, str]:
    value = "-" if found.value is None else f"{found.value:.3f}"
    if found.low is None or found.high is None:
        return value, "-"
    return value, f"{found.low:.3f}-{found.high:.3f}"


def _verdict(speedup: Interval, floor: float | None) -> str:
    if floor is None or speedup.low is None or speedup.high is None:
        return "not known"
    if within_floor(speedup, floor):
        return "within the floor"
    return "holds 1" if speedup.low <= 1 <= speedup.high else "a difference"


if __name__ == "__main__":
    run_bench(main, "bench-noise")
