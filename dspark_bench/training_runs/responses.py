"""Text that the target itself writes, for training its drafters on what they will meet.

The paper regenerates every response with the target; here a share of the training windows is the
target's own continuation of training prompts, three in four drawn at temperature 1, the rest greedy
(the target's greedy samples repeat themselves; other shares have not been compared).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from dspark_bench.core.clock import device_clock
from dspark_bench.core.types import Request, SamplingParams
from dspark_bench.engine.acceptance import ExactAcceptance
from dspark_bench.engine.engine import Engine, EngineConfig
from dspark_bench.loads.closed import ClosedLoad
from dspark_bench.models.target import TargetModel
from dspark_bench.schedulers.fixed import FixedScheduler
from dspark_bench.training.documents import DOMAINS, Document
from dspark_bench.training.packing import DOMAIN_WEIGHTS, IndexArray, PackedTokens
from dspark_bench.training.prepared import PreparedData
from dspark_bench.training.prompts import prompt_of
from dspark_bench.training.tokenizer import EOS_TOKEN_ID, load_tokenizer

GREEDY_EVERY = 4
_CHUNK = 1024


@dataclass(frozen=True, slots=True)
class ResponsePlan:
    """How much to generate: responses in all, new tokens each, and how many run at once."""

    num_responses: int = 5000
    max_new_tokens: int = 192
    batch_size: int = 128
    seed: int = 0


def load_or_generate(
    target_dir: Path,
    data: PreparedData,
    folder: Path,
    plan: ResponsePlan,
    device: torch.device,
    report: Callable[[int, int], None],
) -> PackedTokens:
    """The responses in `folder`, generated first where they are missing.

    Finished chunks are kept, so an interrupted run goes on where it stopped.
    """
    folder.mkdir(parents=True, exist_ok=True)
    chunks = [
        (first, folder / f"chunk_{first:06d}.npy") for first in range(0, plan.num_responses, _CHUNK)
    ]
    if any(not path.exists() for _, path in chunks):
        prompts = training_prompts(data, plan.num_responses, plan.seed)
        target = TargetModel.load(target_dir, torch.float32, device)
        for first, path in chunks:
            if not path.exists():
                _write_chunk(target, prompts[first : first + _CHUNK], first, plan, path)
            report(min(first + _CHUNK, plan.num_responses), plan.num_responses)
    tokens = np.concatenate([np.load(path) for _, path in chunks])
    ends = np.flatnonzero(tokens == EOS_TOKEN_ID)
    starts = np.concatenate([[0], ends[:-1] + 1]).astype(np.int64)
    return PackedTokens(tokens, starts)


def training_prompts(data: PreparedData, count: int, seed: int) -> list[tuple[int, ...]]:
    """`count` tokenised prompts cut from training documents, domains in the corpus's shares."""
    tokenizer = load_tokenizer(data.tokenizer_folder)
    documents = [d for d in data.documents() if d.split == "train"]
    rng = np.random.default_rng((seed, 17))
    chosen: list[tuple[int, ...]] = []
    for domain in DOMAINS:
        pool = [d for d in documents if d.domain == domain]
        wanted = round(count * DOMAIN_WEIGHTS[domain])
        chosen.extend(_cut(pool, rng.permutation(len(pool)), wanted, tokenizer))
    order = rng.permutation(len(chosen))
    return [chosen[i] for i in order][:count]


def _cut(
    pool: Sequence[Document], order: IndexArray, wanted: int, tokenizer: Tokenizer
) -> list[tuple[int, ...]]:
    found: list[tuple[int, ...]] = []
    for index in order:
        if len(found) == wanted:
            break
        prompt = prompt_of(pool[index], tokenizer)
        if prompt is not None:
            found.append(tuple(tokenizer.encode(prompt).ids))
    return found


def _write_chunk(
    target: TargetModel,
    prompts: Sequence[tuple[int, ...]],
    first: int,
    plan: ResponsePlan,
    path: Path,
) -> None:
    """Generate one chunk; every fourth request is greedy."""
    parts: list[int] = []
    for is_greedy in (False, True):
        requests = [
            Request(first + i, f"train-{first + i}", "", prompt, plan.max_new_tokens)
            for i, prompt in enumerate(prompts)
            if (i % GREEDY_EVERY == 0) == is_greedy
        ]
        if not requests:
            continue
        longest = max(len(request.prompt_tokens) for request in requests)
        engine = Engine(
            target,
            None,
            FixedScheduler(),
            ExactAcceptance(),
            SamplingParams(0.0 if is_greedy else 1.0),
            0,
            EngineConfig(plan.batch_size, longest + plan.max_new_tokens + 1),
            device_clock(target.device),
        )
        by_id = {r.request_id: r.prompt_tokens for r in requests}
        result = engine.run(requests, ClosedLoad(plan.batch_size), plan.seed)
        for record in sorted(result.requests, key=lambda r: r.request_id):
            output = [t for t in record.output_tokens if t != EOS_TOKEN_ID]
            parts.extend((*by_id[record.request_id], *output, EOS_TOKEN_ID))
    aside = path.with_suffix(".tmp.npy")
    np.save(aside, np.array(parts, dtype=np.uint16))
    aside.replace(path)
