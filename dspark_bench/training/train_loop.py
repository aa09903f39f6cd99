"""The steps of a language-model training run: forward and backward, checkpoints, resume.

The loop knows nothing of where batches come from or of how progress is shown; both are handed in.
Called by `target_trainer`.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import Qwen3ForCausalLM

from dspark_bench.training.optimizers import MuonAdamW
from dspark_bench.training.packing import BatchSampler
from dspark_bench.training.target_recipe import TargetRecipe, build_optimizer, learning_rate

LossFunction = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class StepReport:
    """One finished step. `loss` in nats per token, `tokens_per_s` of this step."""

    step: int
    num_steps: int
    num_tokens: int
    loss: float
    lr: float
    tokens_per_s: float


class Reporter(Protocol):
    """Shows progress."""

    def report(self, report: StepReport) -> None:
        """Show one finished step."""


@dataclass(frozen=True)
class Plan:
    """The length of a run, fixed at its start and read again when it resumes."""

    num_steps: int
    has_bf16_autocast: bool
    is_compiled: bool


@dataclass
class TrainState:
    """What a checkpoint holds. `step` counts finished steps, `seconds` the time spent in them."""

    model: Qwen3ForCausalLM
    optimizer: MuonAdamW
    step: int = 0
    seconds: float = 0.0


def has_fast_bf16() -> bool:
    """Whether this processor multiplies bf16 matrices natively (read from /proc/cpuinfo)."""
    try:
        flags = Path("/proc/cpuinfo").read_text().split()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def can_compile() -> bool:
    """Whether torch.compile finds the C++ compiler that it needs."""
    return shutil.which("g++") is not None or shutil.which("clang++") is not None


def loss_function(model: Qwen3ForCausalLM, plan: Plan) -> LossFunction:
    """The mean next-token loss of windows [batch, tokens + 1] int64, as a scalar fp32.

    Only the model is compiled: with the loss in the same graph a step takes about twice as long.
    """
    forward = torch.compile(model, dynamic=False) if plan.is_compiled else model

    def loss_of(windows: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=plan.has_bf16_autocast):
            logits = forward(input_ids=windows[:, :-1], use_cache=False).logits
        return cross_entropy(logits.float().flatten(0, 1), windows[:, 1:].flatten())

    return loss_of


def measure_step_s(loss_of: LossFunction, model: Qwen3ForCausalLM, sampler: BatchSampler) -> float:
    """Seconds per step from a few forward and backward passes; weights stay as they are."""
    num_warm, num_timed = 2, 4
    started = 0.0
    for index in range(num_warm + num_timed):
        if index == num_warm:
            started = time.monotonic()
        loss_of(torch.from_numpy(sampler.batch(index))).backward()
        model.zero_grad(set_to_none=True)
    return (time.monotonic() - started) / num_timed


def train(
    state: TrainState,
    recipe: TargetRecipe,
    plan: Plan,
    sampler: BatchSampler,
    loss_of: LossFunction,
    reporter: Reporter,
    checkpoint: Callable[[TrainState], None],
    checkpoint_every_s: float,
) -> None:
    """Run the remaining steps; mutates `state`, calls `checkpoint` now and then and at the end."""
    last_checkpoint = time.monotonic()
    while state.step < plan.num_steps:
        started = time.monotonic()
        lr = learning_rate(recipe, state.step, plan.num_steps)
        loss = _step(state, recipe, sampler.batch(state.step), loss_of, lr)
        now = time.monotonic()
        state.step += 1
        state.seconds += now - started
        tokens = recipe.tokens_per_step
        reporter.report(
            StepReport(
                state.step, plan.num_steps, state.step * tokens, loss, lr, tokens / (now - started)
            )
        )
        if now - last_checkpoint >= checkpoint_every_s or state.step == plan.num_steps:
            checkpoint(state)
            last_checkpoint = now


def _step(
    state: TrainState,
    recipe: TargetRecipe,
    batch: np.ndarray[Any, np.dtype[np.int64]],
    loss_of: LossFunction,
    lr: float,
) -> float:
    loss = loss_of(torch.from_numpy(batch))
    loss.backward()
    torch.nn.utils.clip_grad_norm_(state.model.parameters(), recipe.max_grad_norm)
    state.optimizer.step(lr)
    value = float(loss.detach())
    if not np.isfinite(value):
        raise FloatingPointError(f"the loss is {value} at step {state.step}")
    return value


def save_checkpoint(state: TrainState, path: Path) -> None:
    """Write the state aside and rename it into place."""
    aside = path.with_suffix(".tmp")
    torch.save(
        {
            "model": state.model.state_dict(),
            "optimizer": state.optimizer.state_dict(),
            "step": state.step,
            "seconds": state.seconds,
        },
        aside,
    )
    aside.replace(path)


def load_or_start(model: Qwen3ForCausalLM, recipe: TargetRecipe, path: Path) -> TrainState:
    """The state in `path`, or the state before the first step when there is no such file."""
    state = TrainState(model, build_optimizer(model, recipe))
    if path.exists():
        saved = torch.load(path, weights_only=True)
        model.load_state_dict(saved["model"])
        state.optimizer.load_state_dict(saved["optimizer"])
        state.step, state.seconds = saved["step"], saved["seconds"]
    return state


def save_plan(plan: Plan, path: Path) -> None:
    """Write the plan as JSON."""
    path.write_text(json.dumps(asdict(plan), indent=2) + "\n")


def load_plan(path: Path) -> Plan | None:
    """The plan in `path`, or None when there is no such file."""
    return Plan(**json.loads(path.read_text())) if path.exists() else None
