"""The zoo's own baseline for `check`: `make baseline`, and the run that is checked: `make gate`.

    python -m dspark_bench.evidence.baseline [--out results/baseline] [--threads 1]

The recorded outputs are kept beside the baseline, so that every machine walks along the same ones;
the results that it was made from are kept without times. Two repeats: `check --plan` reads from
their difference what other seeds do, and a run with one repeat meets the first.
"""

import shutil
from pathlib import Path
from typing import Annotated, Final

import pandas as pd
import typer
from rich.console import Console

from dspark_bench.commands.sweep import run_sweep
from dspark_bench.commands.sweep_plan import SweepRequest
from dspark_bench.evidence.entry import run_bench
from dspark_bench.evidence.reference import KEPT_COLUMNS
from dspark_bench.gate.check import CheckRequest, run_update

SWEEP: Final = ("experiment=gate", "drafter=semi_ar", "gamma=4,8")
"""What `make gate` runs, beside where its recorded outputs lie."""
_CYCLES: Final = (*KEPT_COLUMNS, "expected_acceptance")
_REQUESTS: Final = (
    *("arm", "repeat", "block", "is_warmup", "request_id", "prompt_id", "prompt_hash"),
    *("domain", "finish_reason"),
)


def main(
    out: Annotated[Path, typer.Option(help="Folder of the baseline.")] = Path("results/baseline"),
    threads: Annotated[int, typer.Option(help="CPU threads; 0: all cores but one.")] = 0,
) -> None:
    """Measure, thin, and write OUT/zoo.json."""
    console = Console(width=140)
    overrides = (
        *SWEEP,
        "measure.repeats=2",
        f"engine.threads={threads or 'null'}",
        f"acceptance.path={out / 'continuations'}",
        f"results_dir={out}",
        "name=zoo",
    )
    run_sweep(SweepRequest(overrides, is_fresh=True), console)
    run_update(CheckRequest(out / "zoo", out / "zoo.json"), console)
    thin(out / "zoo")


def thin(folder: Path) -> None:
    """Keep what counts acceptance, of the speculative arm: a file of a tenth of the size."""
    shutil.rmtree(folder / ".hydra", ignore_errors=True)
    for point in sorted((folder / "points").glob("[!.]*")):
        for name, kept in (("cycles", _CYCLES), ("requests", _REQUESTS)):
            path = point / f"{name}.parquet"
            frame = pd.read_parquet(path)
            frame = frame[frame["arm"] == "speculative"]
            frame = frame[[column for column in kept if column in frame.columns]]
            if "expected_acceptance" in frame.columns:
                rounded = frame["expected_acceptance"].map(lambda row: [round(v, 4) for v in row])
                frame = frame.assign(expected_acceptance=rounded)
            frame.to_parquet(path, index=False, compression="zstd")


if __name__ == "__main__":
    run_bench(main, "baseline")
