"""Prompts that a chat model answers for the training of its drafters, in one fixed order.

Prompts come from users' files and from this project's generator of word problems. They are dealt in
turn, one of each domain, so that every part of the order has equal shares; a domain that runs out
begins again, and its prompts get another answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dspark_bench.core.errors import UsageError
from dspark_bench.core.prompt_hash import prompt_hash
from dspark_bench.training.chat_shards import DOMAINS
from dspark_bench.training.word_problems import generate_problems
from dspark_bench.workloads.jsonl import read_prompts
from dspark_bench.workloads.prompt import Message, Prompt
from dspark_bench.workloads.requests import RequestMaker

GREEDY_EVERY = 4
WORD_PROBLEM_SEED = 20_261


@dataclass(frozen=True, slots=True)
class TrainingPrompt:
    """One place of the order. number: of the place, which keys the answer's random numbers."""

    number: int
    domain: str
    tokens: tuple[int, ...]
    is_greedy: bool


@dataclass(frozen=True, slots=True)
class PromptPools:
    """Different tokenised prompts of each domain, shuffled; how many were too long."""

    by_domain: dict[str, tuple[tuple[int, ...], ...]]
    num_too_long: int

    def by_hash(self) -> dict[str, tuple[int, ...]]:
        """Every prompt by the hash of its tokens."""
        pools = self.by_domain.values()
        return {prompt_hash(tokens): tokens for pool in pools for tokens in pool}


def read_pools(
    files: Sequence[Path], num_word_problems: int, maker: RequestMaker, seed: int
) -> PromptPools:
    """All prompts that have room, each once. Raises WorkloadError for a file that has none."""
    prompts = [prompt for path in files for prompt in read_prompts(path)]
    prompts += _word_problems(num_word_problems)
    pools: dict[str, dict[tuple[int, ...], None]] = {domain: {} for domain in DOMAINS}
    num_too_long = 0
    for prompt in prompts:
        tokens = maker.tokens(as_chat(prompt))
        if len(tokens) > maker.limits.room:
            num_too_long += 1
            continue
        pools[_domain(prompt)].setdefault(tokens)
    rng = np.random.default_rng((seed, 23))
    shuffled = {}
    for domain, pool in pools.items():
        rows = list(pool)
        shuffled[domain] = tuple(rows[i] for i in rng.permutation(len(rows)))
    if not any(shuffled.values()):
        raise UsageError(f"no prompt has room: all {num_too_long} are too long")
    return PromptPools(shuffled, num_too_long)


def places(pools: PromptPools, first: int, count: int) -> Iterator[TrainingPrompt]:
    """`count` places of the order from `first` on; it has no end.

    One place in four of each domain is greedy. When a domain begins again the greedy places move on
    by one prompt, so that no prompt is answered greedily twice before all have been.
    """
    domains = [domain for domain in DOMAINS if pools.by_domain[domain]]
    for number in range(first, first + count):
        turn, which = divmod(number, len(domains))
        pool = pools.by_domain[domains[which]]
        again, place = divmod(turn, len(pool))
        is_greedy = (place + again) % GREEDY_EVERY == 0
        yield TrainingPrompt(number, domains[which], pool[place], is_greedy)


def as_chat(prompt: Prompt) -> Prompt:
    """A chat as it is; plain text as a user's message."""
    if prompt.messages:
        return prompt
    return Prompt(
        prompt.id, prompt.domain, prompt.text, (Message("user", prompt.text),), prompt.tools
    )


def _domain(prompt: Prompt) -> str:
    return prompt.domain if prompt.domain in ("math", "code") else "chat"


def _word_problems(count: int) -> list[Prompt]:
    problems = generate_problems(WORD_PROBLEM_SEED, count)
    return [Prompt(f"problem-{n}", "math", p.question) for n, p in enumerate(problems)]
