"""Drafters of one target at each draft length, on prompt files: `make smollm2-lengths`.

    python -m dspark_bench.evidence.bench_lengths --file math=FILE --file code=FILE [--only math-0]

A part is one file at one temperature: every drafter at every length, and one baseline for all, take
turns prompt by prompt in one block. Parts resume one by one; the table is made again from whatever
parts are there.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from dspark_bench.commands.sweep_list import run_sweep_list
from dspark_bench.commands.sweep_plan import SweepRequest
from dspark_bench.config.sweep_lists import Exhibit, SweepList
from dspark_bench.core.errors import UsageError
from dspark_bench.evidence.entry import run_bench
from dspark_bench.evidence.lengths_table import keep_lengths

WORK: Final = "lengths"
_SHARED: Final = (
    *("workload=jsonl", "measure.precision=null", "measure.repeats=1", "measure.max_arms=64"),
    *("measure.calibration_requests=0", "measure.agreement_requests=0"),
)


@dataclass(frozen=True, slots=True)
class Job:
    """folder: where sweeps are kept; files: prompts by name; prompts: of each part; extra:
    overrides of every sweep.
    """

    folder: Path
    files: dict[str, Path]
    temperatures: tuple[str, ...]
    drafters: str
    gammas: str
    prompts: int
    extra: tuple[str, ...]

    @property
    def parts(self) -> tuple[str, ...]:
        """Such as `math-0`: name and temperature."""
        return tuple(f"{name}-{t}" for t in self.temperatures for name in self.files)

    def overrides(self, part: str) -> tuple[str, ...]:
        """Of one part's sweep."""
        name, _, temperature = part.rpartition("-")
        return (
            *(f"drafter={self.drafters}", f"gamma={self.gammas}", f"temperature={temperature}"),
            *_SHARED,
            f"workload.path={self.files[name]}",
            *(f"num_requests={self.prompts}", f"results_dir={self.folder}"),
            *self.extra,
        )


def main(
    file: Annotated[list[str], typer.Option(help="NAME=FILE of prompts; may be repeated.")],
    out: Annotated[Path, typer.Option(help="The table.")] = Path("results/reference/smollm2.md"),
    results: Annotated[Path, typer.Option(help="Where points are kept.")] = Path("results"),
    only: Annotated[str, typer.Option(help="Parts, such as math-0; empty: all.")] = "",
    drafters: Annotated[str, typer.Option(help="By commas.")] = "semi_ar,parallel,ar,ngram",
    gammas: Annotated[str, typer.Option(help="Draft lengths.")] = "2,4,8",
    temperatures: Annotated[str, typer.Option(help="By commas.")] = "0,1",
    prompts: Annotated[int, typer.Option(help="Prompts of each part.")] = 60,
    extra: Annotated[
        str, typer.Option(help="More overrides, by spaces.")
    ] = "target=smollm2 max_new_tokens=96",
) -> None:
    """Measure what is missing and write the table."""
    job = Job(
        results / WORK, named_files(file), tuple(temperatures.split(",")), drafters, gammas,
        prompts, tuple(extra.split()),
    )  # fmt: skip
    console = Console()
    wanted = tuple(only.split(",")) if only else job.parts
    for part in wanted:
        if part not in job.parts:
            raise UsageError(f"--only names {part!r}; valid: {', '.join(job.parts)}")
    text = measure(job, wanted, console, out)
    console.print(text, markup=False, soft_wrap=True)


def measure(job: Job, parts: tuple[str, ...], console: Console, out: Path) -> str:
    """Measure each part; then write the table of all that are there, and return it."""
    for part in parts:
        found = SweepList(part, (Exhibit(part, (job.overrides(part),)),), False, False)
        run_sweep_list(found, SweepRequest(()), console)
    return keep_lengths(job.folder, job.parts, out)


def named_files(typed: list[str]) -> dict[str, Path]:
    """Files by name. Raises UsageError for what is no NAME=FILE, or no file."""
    found: dict[str, Path] = {}
    for text in typed:
        name, is_named, path = text.partition("=")
        if not (name and is_named and Path(path).is_file()):
            raise UsageError(f"--file is {text!r}; valid: NAME=FILE, a file of prompts")
        found[name] = Path(path)
    return found


if __name__ == "__main__":
    run_bench(main, "lengths")
