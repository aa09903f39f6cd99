"""Trains drafters for a chat model, side by side, on what it answered.

All see the same sequences, anchors and block lengths, read the same target layers, draft the same
part of the vocabulary and have the same optimiser; block drafters have DSpark's loss, the
autoregressive one EAGLE-3's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from dspark_bench.core.errors import UsageError
from dspark_bench.drafters import ar, parallel, semi_ar
from dspark_bench.models.checkpoint import content_hash
from dspark_bench.training.block_model import BlockRecipe
from dspark_bench.training.chat_shards import DOMAINS
from dspark_bench.training.chat_windows import (
    ChatData,
    ChatSampler,
    as_windows,
    frequent_tokens,
)
from dspark_bench.training.drafter_batch import Objective, TrainableDrafter, Windows
from dspark_bench.training.drafter_trainer import (
    DrafterRecipe,
    covered_share,
    evaluate_drafters,
    save_drafter,
    train_drafters,
)
from dspark_bench.training.eagle_model import EagleRecipe
from dspark_bench.training.target_features import FrozenTarget
from dspark_bench.training_runs.architectures import feature_layers
from dspark_bench.training_runs.train_drafters import reporter, round_to_bf16

NAMES = ("semi_ar", "parallel", "ar")
EVALUATION_SEQUENCES = 48
MAX_GAMMA = 16
_OBJECTIVES = {
    Objective.ACCEPTANCE: "0.1 CE + 0.9 L1",
    Objective.SOFT: "CE with the target's distribution over the draft vocabulary",
}


@dataclass(frozen=True, slots=True)
class ChatDraftersJob:
    """One training job.

    data_origin: what the manifests say of the answers; sources: of the prompts, each with its
    licence; work: folder of the run's checkpoint; out:
    folder that receives one checkpoint folder per drafter; dtype: of the target while it is read.
    """

    target_dir: Path
    data: ChatData
    data_origin: Mapping[str, Any]
    mask_token_id: int
    work: Path
    out: Path
    recipe: DrafterRecipe
    sources: Sequence[Mapping[str, Any]] = ()
    batch_size: int = 4
    draft_vocab_size: int = 8192
    num_layers: int = 2
    markov_rank: int = 128
    max_gamma: int = MAX_GAMMA
    dtype: torch.dtype = torch.float32


def train_chat_drafters(
    job: ChatDraftersJob, device: torch.device, console: Console
) -> Mapping[str, Path]:
    """Train (or resume), evaluate, write; returns each drafter's folder. Raises UsageError."""
    target = _target(job, device)
    drafters = {name: _trainable(name, target, job) for name in NAMES}
    for drafter in drafters.values():
        drafter.module.to(device)
    sampler = ChatSampler(job.data.train, job.batch_size, job.recipe.seed)
    passes = job.recipe.num_steps / sampler.batches_per_pass
    console.print(
        f"{len(job.data.train)} sequences, {job.data.num_answer_tokens} tokens of answers, "
        f"{job.recipe.num_steps} steps: {passes:.2f} passes; {job.data.num_looping} answers that "
        "loop are left out"
    )

    def source(step: int) -> Windows:
        return as_windows(sampler.batch(step), device)

    checkpoint = job.work / f"chat-drafters-{_digest(job)}.pt"
    seconds = train_drafters(target, drafters, source, job.recipe, checkpoint, reporter(console))
    for drafter in drafters.values():
        round_to_bf16(drafter)
    found = evaluate(job, target, drafters, device)
    folders: dict[str, Path] = {}
    for name, drafter in drafters.items():
        folders[name] = job.out / name
        manifest = _manifest(job, name, drafter, found, target.draft_vocab_size, seconds)
        save_drafter(drafter, target, job.target_dir, folders[name], manifest)
        for domain, values in found.agreement[name].items():
            console.print(f"{name}: held-out 1-TV by position on {domain} {values}")
    for domain, share in found.covered.items():
        console.print(f"share of the target's mass that can be drafted on {domain}: {share:.4f}")
    return folders


@dataclass(frozen=True, slots=True)
class HeldOut:
    """agreement: drafter -> domain -> 1 - TV by position, against the target's whole distribution;
    covered: domain -> share of the target's mass on tokens that can be drafted.
    """

    agreement: Mapping[str, Mapping[str, list[float]]]
    covered: Mapping[str, float]


def evaluate(
    job: ChatDraftersJob,
    target: FrozenTarget,
    drafters: Mapping[str, TrainableDrafter],
    device: torch.device,
) -> HeldOut:
    """On answers to prompts that no training sequence has."""
    agreement: dict[str, dict[str, list[float]]] = {name: {} for name in drafters}
    covered: dict[str, float] = {}
    for domain in DOMAINS:
        held = [s for s in job.data.held_out if s.domain == domain][:EVALUATION_SEQUENCES]
        if not held:
            continue
        parts = [held[i : i + job.batch_size] for i in range(0, len(held), job.batch_size)]
        windows = [as_windows(part, device) for part in parts]
        scores = evaluate_drafters(target, drafters, windows, job.max_gamma, job.recipe)
        for name, values in scores.items():
            agreement[name][domain] = [round(value, 3) for value in values]
        covered[domain] = round(covered_share(target, windows, job.recipe), 4)
    return HeldOut(agreement, covered)


def _target(job: ChatDraftersJob, device: torch.device) -> FrozenTarget:
    whole = FrozenTarget(job.target_dir, device, job.dtype)
    vocab_size = whole.config.vocab_size
    if not 0 <= job.mask_token_id < vocab_size:
        raise UsageError(f"--mask-token is {job.mask_token_id}; valid: 0 to {vocab_size - 1}")
    if job.draft_vocab_size >= vocab_size:
        return whole
    ids = frequent_tokens(job.data.train, job.draft_vocab_size, vocab_size)
    return whole.drafting(torch.from_numpy(ids))


def _trainable(name: str, target: FrozenTarget, job: ChatDraftersJob) -> TrainableDrafter:
    layers = feature_layers(target.config.num_hidden_layers)
    seed = job.recipe.seed
    if name == "ar":
        recipe = EagleRecipe(layers, job.max_gamma, seed=seed, objective=Objective.SOFT)
        return ar.trainable(target, recipe)
    is_parallel = name == "parallel"
    build: Callable[[FrozenTarget, BlockRecipe], TrainableDrafter]
    build = parallel.trainable if is_parallel else semi_ar.trainable
    return build(
        target,
        BlockRecipe(
            target_layer_ids=layers,
            mask_token_id=job.mask_token_id,
            num_layers=job.num_layers,
            max_gamma=job.max_gamma,
            markov_rank=0 if is_parallel else job.markov_rank,
            seed=seed,
        ),
    )


def _digest(job: ChatDraftersJob) -> str:
    """Names what is kept for a later run, so that other settings or data never take it up."""
    shape = (job.batch_size, job.draft_vocab_size, job.num_layers, job.markov_rank, job.max_gamma)
    origin = (job.mask_token_id, job.data.digest(), str(job.dtype), content_hash(job.target_dir))
    settings = repr((asdict(job.recipe), shape, origin))
    return sha256(settings.encode()).hexdigest()[:8]


def _manifest(
    job: ChatDraftersJob,
    name: str,
    drafter: TrainableDrafter,
    found: HeldOut,
    draft_vocab_size: int,
    seconds: float,
) -> dict[str, Any]:
    objective = _OBJECTIVES[drafter.objective]
    return {
        "schema": 1,
        "drafter": name,
        "recipe": asdict(job.recipe),
        "seed": job.recipe.seed,
        "batch_size": job.batch_size,
        "sequences": len(job.data.train),
        "sequences_seen": job.recipe.num_steps * job.batch_size,
        "answer_tokens": job.data.num_answer_tokens,
        "answers_that_loop": job.data.num_looping,
        "answers": dict(job.data_origin),
        "corpus": {"sources": [dict(source) for source in job.sources]},
        "objective": f"{objective} + confidence BCE, position weights exp(-(k-1)/decay)",
        "trained_beside": list(NAMES),
        "seconds_for_all": round(seconds),
        "parameters": _num_parameters(drafter.module.state_dict()),
        "draft_vocab_size": draft_vocab_size,
        "held_out_agreement_by_position": found.agreement[name],
        "held_out_mass_that_can_be_drafted": dict(found.covered),
        "torch": torch.__version__,
    }


def _num_parameters(state: Mapping[str, Tensor]) -> int:
    return sum(tensor.numel() for tensor in state.values())
