"""Trains drafters against a frozen target, several at once on the very same batches.

The target's pass over a batch costs more than a small drafter's own step, and drafters that are
compared must see the same data in the same order; so all of them share one pass. Anchors and block
lengths are drawn per step from the seed, so a resumed run sees what an uninterrupted one would.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from dspark_bench.models.checkpoint import content_hash, write_checkpoint
from dspark_bench.models.draft_vocabulary import vocabulary_tables
from dspark_bench.training.draft_losses import draft_loss
from dspark_bench.training.drafter_batch import (
    DraftTrainingBatch,
    TrainableDrafter,
    Windows,
    hang_blocks,
    layers_read,
    own_part,
    whole_windows,
)
from dspark_bench.training.optimizers import MuonAdamW, OptimizerRecipe
from dspark_bench.training.target_features import FrozenTarget
from dspark_bench.training.train_loop import has_fast_bf16

BatchSource = Callable[[int], Tensor | Windows]
"""Step -> tokens [N, S] int64 on the target's device, all of them to be learned, or windows."""


@dataclass(frozen=True)
class DrafterRecipe:
    """Everything that determines a run but the data and the drafters' shapes.

    gammas: block lengths, one drawn per step; block_tokens: draft slots hung on each window, as
    many anchors as that gives but never more than max_anchors; decay: of the position weights.
    """

    num_steps: int
    block_tokens: int = 256
    max_anchors: int = 64
    gammas: tuple[int, ...] = (16, 12, 10, 8, 7, 6, 5, 4, 3, 2, 1)
    peak_lr: float = 4e-3
    warmup_share: float = 0.04
    max_grad_norm: float = 1.0
    decay: float = 4.0
    seed: int = 0
    has_bf16_autocast: bool = False

    def num_anchors(self, gamma: int, window_tokens: int) -> int:
        """Anchors on each window of a step whose blocks hold `gamma` slots."""
        return min(max(1, self.block_tokens // gamma), self.max_anchors, window_tokens - 2)


@dataclass(frozen=True)
class DrafterStep:
    """One finished step: loss and accepted length (1 + summed survival) of each drafter."""

    step: int
    num_steps: int
    gamma: int
    losses: Mapping[str, float]
    acceptance: Mapping[str, tuple[float, ...]]


def train_drafters(
    target: FrozenTarget,
    drafters: Mapping[str, TrainableDrafter],
    source: BatchSource,
    recipe: DrafterRecipe,
    checkpoint: Path,
    report: Callable[[DrafterStep], None],
    checkpoint_every_s: float = 120.0,
) -> float:
    """Train every drafter for the remaining steps; returns the seconds spent in all.

    Mutates the drafters. Resumes from `checkpoint` if it exists and writes it now and then.
    """
    run = _Run(drafters, recipe)
    run.resume(checkpoint)
    saved = time.monotonic()
    while run.step < recipe.num_steps:
        began = time.monotonic()
        report(run.advance(target, source(run.step)))
        now = time.monotonic()
        run.seconds += now - began
        if now - saved >= checkpoint_every_s or run.step == recipe.num_steps:
            run.save(checkpoint)
            saved = now
    return run.seconds


def evaluate_drafters(
    target: FrozenTarget,
    drafters: Mapping[str, TrainableDrafter],
    batches: Sequence[Tensor | Windows],
    gamma: int,
    recipe: DrafterRecipe,
) -> dict[str, tuple[float, ...]]:
    """Mean 1 - TV per position of each drafter, teacher-forced on `batches`: [gamma], or as many as
    it drafts.
    """
    layers = layers_read(drafters.values())
    widths = {name: min(gamma, drafter.max_gamma) for name, drafter in drafters.items()}
    sums = {name: torch.zeros(width) for name, width in widths.items()}
    counts = {name: torch.zeros(width) for name, width in widths.items()}
    with torch.no_grad():
        for index, tokens in enumerate(batches):
            batch = _hang_at(target, layers, tokens, gamma, recipe, index)
            for name, drafter in drafters.items():
                own = own_part(batch, layers, drafter)
                loss = draft_loss(drafter.scores(own), own, drafter.objective)
                sums[name] += (loss.acceptance * loss.counts).cpu()
                counts[name] += loss.counts.cpu()
    return {name: tuple((sums[name] / counts[name].clamp(min=1)).tolist()) for name in drafters}


def covered_share(
    target: FrozenTarget, batches: Sequence[Tensor | Windows], recipe: DrafterRecipe
) -> float:
    """Mean share of the target's mass that lies on tokens which can be drafted, on `batches`."""
    if target.token_ids is None:
        return 1.0
    covered, count = 0.0, 0
    for index, windows in enumerate(batches):
        batch = _hang_at(target, (), windows, 1, recipe, index)
        assert batch.missed is not None
        is_valid = batch.weights > 0
        covered += float((1 - batch.missed[is_valid]).sum())
        count += int(is_valid.sum())
    return covered / max(1, count)


def save_drafter(
    drafter: TrainableDrafter,
    target: FrozenTarget,
    target_dir: Path,
    directory: Path,
    manifest: Mapping[str, Any],
) -> None:
    """Write a checkpoint in the drafter's layout (bf16), without the target's embedding and head;
    in DeepSpec's, over a part of the vocabulary, with the tables that say which.
    """
    directory.mkdir(parents=True, exist_ok=True)
    config = {**drafter.checkpoint_config(), "dtype": "bfloat16"}
    tensors = drafter.module.state_dict()
    if drafter.repeats_target:
        config = {**target.qwen3_shape(), "tie_word_embeddings": False, **config}
    elif target.token_ids is not None:
        raise ValueError("this layout has no place for a part of the vocabulary")
    if target.token_ids is not None:
        config["draft_vocab_size"] = target.draft_vocab_size
        tensors = {**tensors, **vocabulary_tables(target.token_ids, target.config.vocab_size)}
    (directory / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    write_checkpoint(directory, tensors, torch.bfloat16)
    full = {**manifest, "target_hash": content_hash(target_dir)}
    (directory / "manifest.json").write_text(json.dumps(full, indent=2) + "\n")


class _Run:
    """Optimisers and position of a run."""

    def __init__(self, drafters: Mapping[str, TrainableDrafter], recipe: DrafterRecipe) -> None:
        self.drafters = drafters
        self._layers = layers_read(drafters.values())
        self.recipe = recipe
        self.step = 0
        self.seconds = 0.0
        optimizer = OptimizerRecipe(is_wide=not (torch.cuda.is_available() or has_fast_bf16()))
        self.optimizers = {
            name: MuonAdamW(d.module.named_parameters(), optimizer) for name, d in drafters.items()
        }

    def advance(self, target: FrozenTarget, tokens: Tensor | Windows) -> DrafterStep:
        """One step of every drafter on one batch."""
        recipe = self.recipe
        rng = np.random.default_rng((recipe.seed, self.step, 1))
        gamma = int(rng.choice(np.array(recipe.gammas)))
        with torch.autocast(target.device.type, torch.bfloat16, recipe.has_bf16_autocast):
            batch = _hang_at(target, self._layers, tokens, gamma, recipe, self.step)
        losses: dict[str, float] = {}
        acceptance: dict[str, tuple[float, ...]] = {}
        for name, drafter in self.drafters.items():
            own = own_part(batch, self._layers, drafter)
            with torch.autocast(target.device.type, torch.bfloat16, recipe.has_bf16_autocast):
                loss = draft_loss(drafter.scores(own), own, drafter.objective)
            self._update(name, drafter.module, loss.total)
            losses[name] = float(loss.total.detach())
            acceptance[name] = tuple(loss.acceptance.tolist())
        self.step += 1
        return DrafterStep(self.step, recipe.num_steps, gamma, losses, acceptance)

    def save(self, path: Path) -> None:
        """Write aside, then rename."""
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "recipe": json.dumps(asdict(self.recipe)),
            "models": {name: d.module.state_dict() for name, d in self.drafters.items()},
            "optimizers": {name: o.state_dict() for name, o in self.optimizers.items()},
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(".tmp")
        torch.save(state, aside)
        aside.replace(path)

    def resume(self, path: Path) -> None:
        """Load a checkpoint of the same recipe, if there is one."""
        if not path.exists():
            return
        state = torch.load(path, weights_only=True)
        if state["recipe"] != json.dumps(asdict(self.recipe)):
            raise ValueError(f"{path} belongs to another recipe; remove it to start over")
        self.step, self.seconds = state["step"], state["seconds"]
        for name, drafter in self.drafters.items():
            drafter.module.load_state_dict(state["models"][name])
            self.optimizers[name].load_state_dict(state["optimizers"][name])

    def _update(self, name: str, module: nn.Module, loss: Tensor) -> None:
        loss.backward()
        nn.utils.clip_grad_norm_(module.parameters(), self.recipe.max_grad_norm)
        self.optimizers[name].step(self.recipe.peak_lr * _schedule(self.recipe, self.step))


def _schedule(recipe: DrafterRecipe, step: int) -> float:
    """Linear warm-up, cosine to zero."""
    warmup = max(1, round(recipe.warmup_share * recipe.num_steps))
    if step < warmup:
        return (step + 1) / warmup
    progress = (step + 1 - warmup) / max(1, recipe.num_steps - warmup)
    return 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))


def _hang_at(
    target: FrozenTarget,
    layers: tuple[int, ...],
    tokens: Tensor | Windows,
    gamma: int,
    recipe: DrafterRecipe,
    step: int,
) -> DraftTrainingBatch:
    """Blocks at the anchors that the step draws."""
    windows = tokens if isinstance(tokens, Windows) else whole_windows(tokens)
    rng = np.random.default_rng((recipe.seed, step, 2))
    count = recipe.num_anchors(gamma, windows.tokens.shape[1])
    spans = zip(windows.firsts, windows.ends, strict=True)
    drawn = [_anchors(rng, first, end, count) for first, end in spans]
    anchors = torch.from_numpy(np.stack(drawn)).to(windows.tokens.device)
    ends = target.config.eos_token_ids
    return hang_blocks(target, windows, layers, anchors, gamma, ends, recipe.decay)


def _anchors(rng: np.random.Generator, first: int, end: int, count: int) -> npt.NDArray[np.int64]:
    """`count` different places that a label follows; where there are fewer, the others are the
    last place, whose blocks count for nothing.
    """
    places = np.arange(first, end - 1)
    drawn = rng.choice(places, min(count, places.size), replace=False)
    return np.concatenate([drawn, np.full(count - drawn.size, end - 1)])
