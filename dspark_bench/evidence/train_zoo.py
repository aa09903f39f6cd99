"""Rebuilds the whole zoo from nothing: corpus, tokenizer, target, responses, drafters, prompts.

    python -m dspark_bench.evidence.train_zoo --work DIR --out DIR [--only semi_ar --seed 1]

One resumable command: each part that is finished is skipped, each that was interrupted goes on from
its last checkpoint. Prints how long every part took.
"""

import json
import time
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console

from dspark_bench.evidence.entry import run_bench
from dspark_bench.machine.processors import usable_cores
from dspark_bench.training.prepared import PreparedData
from dspark_bench.training.process import prepare_process
from dspark_bench.training.prompts import write_prompts
from dspark_bench.training.target_stages import StagedJob, train_in_stages
from dspark_bench.training_runs.architectures import ARCHITECTURES
from dspark_bench.training_runs.train_drafters import (
    DraftersJob,
    recipe_for,
    train,
)

DRAFTERS = tuple(ARCHITECTURES)


def main(
    work: Annotated[Path, typer.Option(help="Folder for data and checkpoints.")],
    out: Annotated[Path, typer.Option(help="Folder that receives the finished zoo.")],
    target_minutes: Annotated[float, typer.Option(help="Training time of the target.")] = 90.0,
    drafter_steps: Annotated[int, typer.Option(help="Steps of the drafters.")] = 2200,
    seed: Annotated[int, typer.Option(help="Seed of the drafters' run.")] = 0,
    only: Annotated[list[str] | None, typer.Option(help="Train these drafters alone.")] = None,
    layers: Annotated[int, typer.Option(help="Layers of drafters of the default depth.")] = 3,
    threads: Annotated[int, typer.Option(help="CPU threads; 0: all cores but one.")] = 0,
) -> None:
    """Train what is missing and write the zoo into `out`."""
    names = _checked(only) if only else DRAFTERS
    console = Console()
    prepare_process(threads or max(1, usable_cores() - 1))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    console.print(f"device {device}, {torch.get_num_threads()} threads")
    seconds: dict[str, float] = {}

    began = time.monotonic()
    target_dir = out / "target"
    if not (target_dir / "manifest.json").exists():
        train_in_stages(StagedJob(work / "target", target_dir, target_minutes), console)
    seconds["target"] = time.monotonic() - began

    began = time.monotonic()
    data = PreparedData(work / "target" / "data")
    if not all((out / "drafters" / name / "manifest.json").exists() for name in names):
        job = DraftersJob(
            names=names,
            target_dir=target_dir,
            data=data,
            work=work / "drafters",
            out=out / "drafters",
            recipe=recipe_for(drafter_steps, seed),
            num_layers=layers,
        )
        train(job, device, console)
    seconds["drafters"] = time.monotonic() - began

    began = time.monotonic()
    write_prompts(data, out / "prompts")
    seconds["prompts"] = time.monotonic() - began
    console.print_json(json.dumps({part: round(value) for part, value in seconds.items()}))


def _checked(names: list[str]) -> tuple[str, ...]:
    unknown = [name for name in names if name not in DRAFTERS]
    if unknown:
        raise typer.BadParameter(f"--only is {unknown[0]!r}; valid: {', '.join(DRAFTERS)}")
    return tuple(names)


if __name__ == "__main__":
    run_bench(main, "train-zoo")
