"""Trains the zoo's drafters side by side on one stream of batches.

Half of the windows are corpus text, half the target's own writing. All drafters of a job see the
same windows, anchors and block lengths and have the same optimiser, so that what differs between
them is the method: its architecture, its loss, and what it reads of the target.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from dspark_bench.models.checkpoint import content_hash
from dspark_bench.training.documents import Split
from dspark_bench.training.drafter_batch import Objective, TrainableDrafter
from dspark_bench.training.drafter_trainer import (
    DrafterRecipe,
    DrafterStep,
    evaluate_drafters,
    save_drafter,
    train_drafters,
)
from dspark_bench.training.packing import DOMAIN_WEIGHTS, BatchSampler, PackedTokens, load_split
from dspark_bench.training.prepared import PreparedData
from dspark_bench.training.target_features import FrozenTarget
from dspark_bench.training.train_loop import has_fast_bf16
from dspark_bench.training_runs.architectures import Sizes, build_trainable
from dspark_bench.training_runs.responses import ResponsePlan, load_or_generate

EVALUATION_BATCHES = 6
EVALUATION_STEP = 1_000_000
DEFAULT_RESPONSES = ResponsePlan()
_REPORT_EVERY = 20


OBJECTIVES: Mapping[Objective, str] = {
    Objective.ACCEPTANCE: "0.1 CE + 0.9 L1 + confidence BCE, position weights exp(-(k-1)/decay)",
    Objective.SOFT: (
        "CE with the target's distribution + confidence BCE, position weights exp(-(k-1)/decay)"
    ),
    Objective.STATES: "smooth L1 of the next state + 0.1 CE with the target's distribution",
    Objective.HEADS: "CE of the tokens that came, position weights 0.8^(k-1)",
    Objective.TOKENS: "CE of the tokens that came, all positions alike",
}
"""In words, for manifests."""


@dataclass(frozen=True)
class DraftersJob:
    """One training job.

    names: drafters to train side by side; work: folder of the target's data, kept for checkpoints
    too; out: folder that receives one checkpoint folder per drafter.
    """

    names: tuple[str, ...]
    target_dir: Path
    data: PreparedData
    work: Path
    out: Path
    recipe: DrafterRecipe
    responses: ResponsePlan = field(default_factory=lambda: DEFAULT_RESPONSES)
    batch_size: int = 16
    window_tokens: int = 256
    response_share: float = 0.5
    num_layers: int = 3
    markov_rank: int = 128
    max_gamma: int = 16

    @property
    def sizes(self) -> Sizes:
        """What its drafters have in common."""
        return Sizes(self.max_gamma, self.num_layers, self.markov_rank, self.recipe.seed)


def train(job: DraftersJob, device: torch.device, console: Console) -> Mapping[str, Path]:
    """Generate responses, train (or resume), evaluate, write; returns each drafter's folder."""
    target = FrozenTarget(job.target_dir, device)
    source = batches(job, device, "train", console)
    drafters = {name: build_trainable(name, target, job.sizes) for name in job.names}
    for drafter in drafters.values():
        drafter.module.to(device)
    checkpoint = job.work / f"drafters_{'_'.join(job.names)}-{_digest(*_settings(job))}.pt"
    seconds = train_drafters(target, drafters, source, job.recipe, checkpoint, reporter(console))
    for module in drafters.values():
        round_to_bf16(module)
    agreement = _evaluate(job, target, drafters, device, console)
    folders: dict[str, Path] = {}
    for name, drafter in drafters.items():
        folders[name] = job.out / name
        manifest = _manifest(job, name, drafter, agreement[name], seconds)
        save_drafter(drafter, target, job.target_dir, folders[name], manifest)
        for domain, values in agreement[name].items():
            console.print(f"{name}: held-out 1-TV by position on {domain} {values}")
    return folders


def _digest(*settings: Any) -> str:
    """Names what is kept for a later run, so that other settings never take it up."""
    return sha256(json.dumps(settings).encode()).hexdigest()[:8]


def _settings(job: DraftersJob) -> tuple[Any, ...]:
    """What trained weights depend on."""
    stream = (job.batch_size, job.window_tokens, job.response_share)
    return (asdict(job.recipe), asdict(job.sizes), stream, *_response_settings(job))


def _response_settings(job: DraftersJob) -> tuple[Any, ...]:
    """What a target's responses depend on, the target among it."""
    corpus = job.data.summary()["sha256"]
    return (asdict(job.responses), corpus, content_hash(job.target_dir))


def _evaluate(
    job: DraftersJob,
    target: FrozenTarget,
    drafters: Mapping[str, TrainableDrafter],
    device: torch.device,
    console: Console,
) -> dict[str, dict[str, list[float]]]:
    """Drafter -> domain -> 1 - TV by position, on text that no training window holds."""
    found: dict[str, dict[str, list[float]]] = {name: {} for name in drafters}
    for domain in DOMAIN_WEIGHTS:
        held_out = batches(job, device, "test", console, {domain: 1.0})
        windows = [held_out(EVALUATION_STEP + i) for i in range(EVALUATION_BATCHES)]
        scores = evaluate_drafters(target, drafters, windows, job.max_gamma, job.recipe)
        for name, values in scores.items():
            found[name][domain] = [round(value, 3) for value in values]
    return found


def recipe_for(num_steps: int, seed: int) -> DrafterRecipe:
    """The zoo's recipe at a given length; bf16 autocast where the processor has it."""
    return DrafterRecipe(num_steps=num_steps, seed=seed, has_bf16_autocast=has_fast_bf16())


def batches(
    job: DraftersJob,
    device: torch.device,
    split: Split,
    console: Console,
    domains: Mapping[str, float] = DOMAIN_WEIGHTS,
) -> Callable[[int], Tensor]:
    """Step -> windows [N, S] of a split: corpus text and, for training, the target's responses."""
    packed: dict[str, PackedTokens] = {**load_split(job.data.tokens_folder, split)}
    weights: dict[str, float] = {**domains}
    if split == "train" and job.response_share > 0:
        responses = load_or_generate(
            job.target_dir,
            job.data,
            job.work / f"responses-{_digest(*_response_settings(job))}",
            job.responses,
            device,
            lambda done, total: console.print(f"responses {done}/{total}"),
        )
        packed["responses"] = responses
        share = job.response_share / (1 - job.response_share)
        weights["responses"] = share * sum(weights.values())
    sampler = BatchSampler(packed, weights, job.batch_size, job.window_tokens, job.recipe.seed)
    return lambda step: torch.from_numpy(sampler.batch(step)).to(device)


def round_to_bf16(drafter: TrainableDrafter) -> None:
    """What is evaluated is what is shipped."""
    for parameter in drafter.module.parameters():
        parameter.data = parameter.data.bfloat16().float()


def reporter(console: Console) -> Callable[[DrafterStep], None]:
    """Prints every twentieth step: loss, and acceptance at the first and last position."""

    def report(step: DrafterStep) -> None:
        if step.step % _REPORT_EVERY and step.step != step.num_steps:
            return
        parts = [
            f"{name} {step.losses[name]:.3f} [{step.acceptance[name][0]:.2f}"
            f"..{step.acceptance[name][-1]:.2f}]"
            for name in step.losses
        ]
        console.print(f"step {step.step}/{step.num_steps} gamma {step.gamma} " + "  ".join(parts))

    return report


def _manifest(
    job: DraftersJob,
    name: str,
    drafter: TrainableDrafter,
    agreement: Mapping[str, list[float]],
    seconds: float,
) -> dict[str, Any]:
    summary = job.data.summary()
    return {
        "schema": 1,
        "drafter": name,
        "recipe": asdict(job.recipe),
        "seed": job.recipe.seed,
        "batch_size": job.batch_size,
        "window_tokens": job.window_tokens,
        "tokens_seen": job.recipe.num_steps * job.batch_size * job.window_tokens,
        "response_share": job.response_share,
        "responses": asdict(job.responses),
        "objective": _objective(drafter),
        "trained_beside": list(job.names),
        "seconds_for_all": round(seconds),
        "parameters": sum(p.numel() for p in drafter.module.parameters()),
        "held_out_agreement_by_position": agreement,
        "corpus": {"sha256": summary["sha256"], "sources": summary["sources"]},
        "torch": torch.__version__,
    }


def _objective(drafter: TrainableDrafter) -> str:
    """What the loss was made of."""
    said = OBJECTIVES[drafter.objective]
    has_confidence = hasattr(drafter.module, "confidence_head")
    return said if has_confidence else said.replace(" + confidence BCE", "")


def read_manifest(directory: Path) -> dict[str, Any]:
    """A checkpoint's manifest, empty if it has none."""
    path = directory / "manifest.json"
    loaded: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    return loaded
