"""Command lines of small sweeps over the tiny checkpoints."""

import csv
from pathlib import Path

from tests.tiny_models import TinyZoo, write_prompts


def tiny_overrides(zoo: TinyZoo, folder: Path, *more: str) -> list[str]:
    """Overrides of a sweep that takes a second or two; results go to `folder`/results."""
    prompts = folder / "prompts.jsonl"
    if not prompts.exists():
        write_prompts(prompts, [f"Question: {n} words, {n * n} lines" for n in range(15)])
    return [
        f"target.path={zoo.target}",
        "drafter=semi_ar",
        f"drafter.path={zoo.semi_ar}",
        "workload=jsonl",
        f"workload.path={prompts}",
        f"results_dir={folder / 'results'}",
        "name=tiny",
        "num_requests=2",
        "max_new_tokens=8",
        "measure.precision=null",
        "measure.repeats=1",
        "measure.warmup_requests=1",
        "measure.calibration_requests=2",
        "measure.agreement_requests=1",
        "measure.law_tokens=0",
        "engine=cpu",
        "engine.threads=1",
        *more,
    ]


def read_summary(folder: Path) -> list[dict[str, str]]:
    """Rows of a sweep's summary.csv."""
    with (folder / "summary.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))
