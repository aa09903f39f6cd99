"""Trains the zoo's target from nothing and writes it as a standard Hugging Face directory.

    python -m dspark_bench.training.target_trainer --work DIR --out DIR --minutes 38

The work folder holds the prepared data, the plan and the last checkpoint; the same command resumes.
On glibc, MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=17179869184 makes a step about a third shorter:
otherwise every step's large buffers are mapped, zeroed and unmapped anew.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from transformers import Qwen3ForCausalLM

from dspark_bench.training.corpus import CorpusConfig
from dspark_bench.training.packing import DOMAIN_WEIGHTS, BatchSampler, load_split
from dspark_bench.training.prepared import PreparedData, prepare
from dspark_bench.training.process import prepare_process
from dspark_bench.training.progress import TrainingProgress
from dspark_bench.training.target_evaluation import evaluate_target
from dspark_bench.training.target_export import Measurements, write_target
from dspark_bench.training.target_growth import grow_target
from dspark_bench.training.target_recipe import TargetRecipe, TargetShape, build_target
from dspark_bench.training.train_loop import (
    LossFunction,
    Plan,
    TrainState,
    can_compile,
    has_fast_bf16,
    load_or_start,
    load_plan,
    loss_function,
    measure_step_s,
    save_checkpoint,
    save_plan,
    train,
)

_OPTIMIZER_OVERHEAD = 1.05


@dataclass(frozen=True)
class TargetJob:
    """One training job. Exactly one of `num_steps` and `max_minutes` sets its length.

    data: folder of the prepared data, `work/data` if None; grow_from: a finished, shallower target
    to start from instead of random weights.
    """

    work: Path
    out: Path
    recipe: TargetRecipe = TargetRecipe()
    corpus: CorpusConfig = CorpusConfig()
    num_steps: int | None = None
    max_minutes: float | None = None
    checkpoint_every_s: float = 120.0
    is_compiled: bool = True
    data: Path | None = None
    grow_from: Path | None = None

    def __post_init__(self) -> None:
        if (self.num_steps is None) == (self.max_minutes is None):
            raise ValueError("set exactly one of num_steps and max_minutes")


def train_target(job: TargetJob, console: Console) -> Path:
    """Prepare, train (or resume), evaluate and export; returns `job.out`."""
    job.work.mkdir(parents=True, exist_ok=True)
    data = prepare(job.data or job.work / "data", job.corpus, job.recipe.shape.vocab_size)
    state, plan = run_training(job, data, console)
    console.print("evaluating the target on held-out data")
    evaluation = evaluate_target(state.model, data, job.recipe.sequence_tokens)
    measurements = Measurements(
        state.step, state.step * job.recipe.tokens_per_step, state.seconds / 60, evaluation
    )
    write_target(state.model, job.recipe, plan, data, measurements, job.out, job.grow_from)
    console.print_json(json.dumps(asdict(evaluation)))
    return job.out


def run_training(job: TargetJob, data: PreparedData, console: Console) -> tuple[TrainState, Plan]:
    """Run the steps that are left; the work folder holds plan, checkpoint and loss log."""
    recipe = job.recipe
    packed = load_split(data.tokens_folder, "train")
    window = recipe.sequence_tokens + 1
    sampler = BatchSampler(packed, DOMAIN_WEIGHTS, recipe.batch_size, window, recipe.seed)
    model = build_target(recipe) if job.grow_from is None else grow_target(job.grow_from, recipe)
    checkpoint_path = job.work / "checkpoint.pt"
    state = load_or_start(model, recipe, checkpoint_path)
    plan, loss_of = _plan(job, model, sampler)
    console.print(
        f"{sum(p.numel() for p in model.parameters())} parameters, steps {state.step} to "
        f"{plan.num_steps}, bf16 {plan.has_bf16_autocast}, compiled {plan.is_compiled}"
    )
    with TrainingProgress(console, job.work / "loss.csv", "target") as progress:
        train(
            state,
            recipe,
            plan,
            sampler,
            loss_of,
            progress,
            _saver(checkpoint_path),
            job.checkpoint_every_s,
        )
    return state, plan


def _saver(path: Path) -> Callable[[TrainState], None]:
    return lambda state: save_checkpoint(state, path)


def _plan(
    job: TargetJob, model: Qwen3ForCausalLM, sampler: BatchSampler
) -> tuple[Plan, LossFunction]:
    """The saved plan, or a new one sized from the measured throughput, with its loss function."""
    path = job.work / "plan.json"
    saved = load_plan(path)
    if saved is not None:
        return saved, loss_function(model, saved)
    draft = Plan(job.num_steps or 0, has_fast_bf16(), job.is_compiled and can_compile())
    loss_of = loss_function(model, draft)
    if job.max_minutes is None:
        plan = draft
    else:
        started = time.monotonic()
        step_s = measure_step_s(loss_of, model, sampler) * _OPTIMIZER_OVERHEAD
        left_s = job.max_minutes * 60 - (time.monotonic() - started)
        plan = Plan(max(1, int(left_s / step_s)), draft.has_bf16_autocast, draft.is_compiled)
    save_plan(plan, path)
    return plan, loss_of


def main() -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(description="Train the zoo's target.")
    parser.add_argument("--work", type=Path, required=True, help="folder for data and checkpoints")
    parser.add_argument("--out", type=Path, required=True, help="folder for the finished model")
    parser.add_argument("--minutes", type=float, default=38.0, help="training time in minutes")
    parser.add_argument("--layers", type=int, default=TargetShape.num_hidden_layers, help="depth")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights and batches")
    parser.add_argument("--data", type=Path, help="prepared data of another work folder")
    parser.add_argument("--grow-from", type=Path, help="shallower target to start from")
    parser.add_argument("--threads", type=int, default=3, help="CPU threads")
    arguments = parser.parse_args()
    prepare_process(arguments.threads)
    job = TargetJob(
        arguments.work,
        arguments.out,
        TargetRecipe(TargetShape(num_hidden_layers=arguments.layers), arguments.seed),
        max_minutes=arguments.minutes,
        data=arguments.data,
        grow_from=arguments.grow_from,
    )
    train_target(job, Console())


if __name__ == "__main__":
    main()
