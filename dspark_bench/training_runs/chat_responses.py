"""A chat model's own answers to training prompts, shard by shard, for training its drafters.

Drafters are trained on what the target writes (DSpark regenerates every response with the target).
A shard is a fixed part of the order of prompts, so any number of processes may write different
shards, and one that was interrupted is written again as it would have been.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from dspark_bench.core.clock import device_clock
from dspark_bench.core.errors import UsageError
from dspark_bench.core.json_text import load_json
from dspark_bench.core.prompt_hash import prompt_hash
from dspark_bench.core.types import Request, SamplingParams
from dspark_bench.engine.acceptance import ExactAcceptance
from dspark_bench.engine.engine import Engine, EngineConfig
from dspark_bench.loads.closed import ClosedLoad
from dspark_bench.metrics.loops import has_loop
from dspark_bench.models.backend import Backend, load_target, read_shape
from dspark_bench.models.checkpoint import content_hash, read_tokenizer
from dspark_bench.models.target import LoadedTarget
from dspark_bench.schedulers.fixed import FixedScheduler
from dspark_bench.training.chat_shards import (
    MOST_TOKENS,
    Response,
    Shard,
    read_shard,
    shard_paths,
    write_shard,
)
from dspark_bench.training_runs.chat_prompts import (
    PromptPools,
    TrainingPrompt,
    places,
    read_pools,
)
from dspark_bench.workloads.chat import chat_renderer
from dspark_bench.workloads.prompt import ChatFormat
from dspark_bench.workloads.requests import RequestLimits, RequestMaker

PLAN = "plan.json"


@dataclass(frozen=True, slots=True)
class AnswerPlan:
    """What fixes every answer. shard_prompts: places of the order in one shard; num_word_problems:
    of our own generator, beside the files' prompts.
    """

    max_new_tokens: int = 192
    max_prompt_tokens: int = 512
    shard_prompts: int = 512
    batch_size: int = 16
    num_word_problems: int = 2000
    seed: int = 0
    dtype: str = "float32"


@dataclass(frozen=True, slots=True)
class Part:
    """Of `count` processes the one that writes every shard whose number leaves `index`."""

    index: int = 0
    count: int = 1


def prompt_pools(target_dir: Path, files: Sequence[Path], plan: AnswerPlan) -> PromptPools:
    """The prompts of the files and of our generator as the target reads them. Raises UsageError."""
    renderer = chat_renderer(ChatFormat(), target_dir)
    if not renderer.has_template:
        raise UsageError(f"{target_dir} has no chat template; valid: a chat model")
    shape = read_shape(target_dir, Backend.AUTO)
    if shape.vocab_size > MOST_TOKENS:
        raise UsageError(
            f"{target_dir} has {shape.vocab_size} tokens; valid: up to {MOST_TOKENS}, whose ids "
            "have 16 bits"
        )
    limits = RequestLimits(
        plan.max_new_tokens,
        1,
        shape.max_position_embeddings,
        shape.vocab_size,
        plan.max_prompt_tokens,
    )
    maker = RequestMaker(renderer, read_tokenizer(target_dir), limits)
    return read_pools(files, plan.num_word_problems, maker, plan.seed)


def write_answers(
    target_dir: Path,
    files: Sequence[Path],
    folder: Path,
    plan: AnswerPlan,
    num_tokens: int,
    part: Part,
    say: Callable[[str], None],
) -> int:
    """Write shards until the folder holds `num_tokens` of answers; returns how many it holds.

    Raises UsageError if the folder was begun with another plan, target or prompts.
    """
    pools = prompt_pools(target_dir, files, plan)
    _keep_plan(folder, _identity(target_dir, pools, plan))
    sizes = {domain: len(pool) for domain, pool in pools.by_domain.items()}
    say(f"prompts {sizes}, {pools.num_too_long} too long; shards in {folder}")
    target: LoadedTarget | None = None
    number = part.index
    while (found := _num_tokens(folder)) < num_tokens:
        if number not in {int(path.stem) for path in shard_paths(folder)}:
            if target is None:
                target = _load(target_dir, plan)
            chosen = list(places(pools, number * plan.shard_prompts, plan.shard_prompts))
            began = time.monotonic()
            shard = answer(target, chosen, plan)
            write_shard(folder, number, shard, [place.tokens for place in chosen])
            say(_shard_line(number, shard, time.monotonic() - began, found, num_tokens))
        number += part.count
    return found


def answer(target: LoadedTarget, chosen: Sequence[TrainingPrompt], plan: AnswerPlan) -> Shard:
    """The answers to some places of the order: greedy ones, and draws at temperature 1."""
    answers: dict[int, tuple[int, ...]] = {}
    for is_greedy in (True, False):
        requests = [
            Request(p.number, f"train-{p.number}", p.domain, p.tokens, plan.max_new_tokens)
            for p in chosen
            if p.is_greedy == is_greedy
        ]
        if requests:
            answers |= _serve(target, requests, plan, 0.0 if is_greedy else 1.0)
    return Shard(
        tuple(
            Response(
                prompt_hash(place.tokens),
                answers[place.number],
                place.domain,
                place.is_greedy,
                has_loop(answers[place.number], place.tokens),
            )
            for place in chosen
        )
    )


def _serve(
    target: LoadedTarget, requests: Sequence[Request], plan: AnswerPlan, temperature: float
) -> dict[int, tuple[int, ...]]:
    longest = max(len(request.prompt_tokens) for request in requests)
    engine = Engine(
        target,
        None,
        FixedScheduler(),
        ExactAcceptance(),
        SamplingParams(temperature),
        0,
        EngineConfig(plan.batch_size, longest + plan.max_new_tokens + 1),
        device_clock(target.device),
    )
    result = engine.run(requests, ClosedLoad(plan.batch_size), plan.seed)
    return {record.request_id: record.output_tokens for record in result.requests}


def _load(target_dir: Path, plan: AnswerPlan) -> LoadedTarget:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.float32 if plan.dtype == "float32" else torch.bfloat16
    return load_target(target_dir, dtype, device)


def _identity(target_dir: Path, pools: PromptPools, plan: AnswerPlan) -> dict[str, Any]:
    order = [prompt_hash(tokens) for pool in pools.by_domain.values() for tokens in pool]
    return {
        **asdict(plan),
        "target_hash": content_hash(target_dir),
        "prompts": {domain: len(pool) for domain, pool in pools.by_domain.items()},
        "prompts_hash": prompt_hash([int(key, 16) for key in order]),
    }


def _keep_plan(folder: Path, identity: dict[str, Any]) -> None:
    path = folder / PLAN
    if path.exists():
        kept = load_json(path)
        other = [key for key in identity if kept.get(key) != identity[key]]
        if other:
            key = other[0]
            raise UsageError(
                f"{folder} was begun with {key} {kept.get(key)}, not {identity[key]}; valid: the "
                "same prompts, target and options, or another folder"
            )
        return
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(identity, indent=2) + "\n")


def _num_tokens(folder: Path) -> int:
    return sum(read_shard(path).num_tokens for path in shard_paths(folder))


def _shard_line(number: int, shard: Shard, seconds: float, before: int, wanted: int) -> str:
    greedy = [answer for answer in shard.responses if answer.is_greedy]
    drawn = [answer for answer in shard.responses if not answer.is_greedy]
    loops = [sum(answer.is_degenerate for answer in part) for part in (greedy, drawn)]
    return (
        f"shard {number}: {len(shard.responses)} answers, {shard.num_tokens} tokens in "
        f"{seconds:.0f} s ({shard.num_tokens / seconds:.0f} tokens/s); looping: {loops[0]} of "
        f"{len(greedy)} greedy, {loops[1]} of {len(drawn)} drawn; "
        f"{before + shard.num_tokens} of {wanted} tokens"
    )
