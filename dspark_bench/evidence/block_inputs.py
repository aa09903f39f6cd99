"""What would a block drafter gain from knowing what `ar` knows? For `make block-inputs`.

    python -m dspark_bench.evidence.block_inputs --work DIR [--out FILE]

Four drafters of one layer, trained from nothing side by side on the same batches, far shorter than
the zoo's: `ar`; the DSpark block; the block whose context entries also hold the token after them;
that block whose slots also start from the last context entry. They are compared by 1 - TV on
held-out text. Resumes from its last checkpoint.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console

from dspark_bench.evidence.entry import run_bench
from dspark_bench.machine.processors import usable_cores
from dspark_bench.metrics.intervals import Interval
from dspark_bench.metrics.jackknife import share_intervals
from dspark_bench.training.block_model import BlockModel
from dspark_bench.training.corpus import CorpusConfig
from dspark_bench.training.drafter_batch import TrainableDrafter
from dspark_bench.training.drafter_trainer import evaluate_drafters, train_drafters
from dspark_bench.training.informed_block import LastFeatureBlockModel, NextTokenBlockModel
from dspark_bench.training.packing import DOMAIN_WEIGHTS
from dspark_bench.training.prepared import prepare
from dspark_bench.training.target_features import FrozenTarget
from dspark_bench.training.tokenizer import load_tokenizer
from dspark_bench.training_runs.architectures import build_trainable
from dspark_bench.training_runs.responses import ResponsePlan
from dspark_bench.training_runs.train_drafters import (
    EVALUATION_STEP,
    DraftersJob,
    batches,
    recipe_for,
    reporter,
)

ZOO = Path(__file__).parents[1] / "zoo"
BLOCK = "semi_ar_depth1"
SHOWN: Mapping[str, str] = {
    "ar": "`ar`",
    BLOCK: "block, as in DSpark",
    "next": "block, next tokens in its context",
    "both": "the same, slots start from the last entry",
}
POSITIONS = (1, 2, 4, 7)
GAMMA = 8
NUM_RESPONSES = 640
NUM_BATCHES = 12

Table = dict[tuple[str, str], list[Interval]]
"""Domain and drafter -> 1 - TV at each of POSITIONS."""


def main(
    work: Annotated[Path, typer.Option(help="Folder for data and checkpoints.")],
    out: Annotated[Path | None, typer.Option(help="Markdown file.")] = None,
    steps: Annotated[int, typer.Option(help="Steps of training.")] = 550,
    seed: Annotated[int, typer.Option(help="Of weights and batches.")] = 5,
) -> None:
    """Train, compare, print, and write."""
    console = Console()
    torch.set_num_threads(usable_cores())
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    target = FrozenTarget(ZOO / "target", device)
    job = DraftersJob(
        names=(BLOCK, "ar"),
        target_dir=ZOO / "target",
        data=prepare(work / "data", CorpusConfig(), tokenizer=load_tokenizer(ZOO / "target")),
        work=work,
        out=work,
        recipe=recipe_for(steps, seed),
        responses=ResponsePlan(num_responses=NUM_RESPONSES, seed=seed),
    )
    drafters = build(target, job)
    for drafter in drafters.values():
        drafter.module.to(device)
    source = batches(job, device, "train", console)
    checkpoint = work / f"block_inputs_{steps}.pt"
    train_drafters(target, drafters, source, job.recipe, checkpoint, reporter(console))
    found = evaluate(target, drafters, job, device, console)
    text = markdown(found, steps)
    console.print(text, markup=False)
    if out is not None:
        out.write_text(text, encoding="utf-8")


def build(target: FrozenTarget, job: DraftersJob) -> dict[str, TrainableDrafter]:
    """The four, untrained; the blocks share shape and seed."""
    block = build_trainable(BLOCK, target, job.sizes)
    assert isinstance(block, BlockModel)
    return {
        BLOCK: block,
        "ar": build_trainable("ar", target, job.sizes),
        "next": NextTokenBlockModel(target, block.recipe),
        "both": LastFeatureBlockModel(target, block.recipe),
    }


def evaluate(
    target: FrozenTarget,
    drafters: Mapping[str, TrainableDrafter],
    job: DraftersJob,
    device: torch.device,
    console: Console,
) -> Table:
    """1 - TV on held-out text, with intervals over batches."""
    found: Table = {}
    for domain in DOMAIN_WEIGHTS:
        held_out = batches(job, device, "test", console, {domain: 1.0})
        scores = [
            evaluate_drafters(
                target, drafters, [held_out(EVALUATION_STEP + number)], GAMMA, job.recipe
            )
            for number in range(NUM_BATCHES)
        ]
        for name in drafters:
            values = np.array([[score[name][k - 1] for k in POSITIONS] for score in scores])
            found[domain, name] = share_intervals(values, np.ones_like(values))
    return found


def markdown(found: Table, steps: int) -> str:
    """The table, one row per domain and drafter."""
    lines = [
        "# What a block drafter's inputs are worth",
        "",
        f"1 - TV on held-out text by position (teacher-forced, every position counted) of drafters"
        f" of one layer after {steps} steps from nothing on the same batches; 95 % intervals,"
        f" Student's t over {NUM_BATCHES} batches. Made by `make block-inputs`.",
        "",
        "| domain | drafter | " + " | ".join(f"position {k}" for k in POSITIONS) + " |",
        "|---|---|" + "---|" * len(POSITIONS),
    ]
    for domain in DOMAIN_WEIGHTS:
        for name, label in SHOWN.items():
            cells = [f"{i.value:.3f} [{i.low:.3f}-{i.high:.3f}]" for i in found[domain, name]]
            lines.append(f"| {domain} | {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    run_bench(main, "block-inputs")
