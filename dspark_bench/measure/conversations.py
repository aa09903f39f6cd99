"""Conversations turn by turn, each turn behind the target's own answers to those before it.

The target answers the first turns, then the second ones behind these answers, and so on. What comes
out is one prompt per turn, so that a run serves every arm the same prompts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from tokenizers import Tokenizer

from dspark_bench.config.point_config import PointConfig
from dspark_bench.core.clock import device_clock
from dspark_bench.core.types import Request
from dspark_bench.engine.acceptance import ExactAcceptance
from dspark_bench.engine.engine import Engine, EngineConfig
from dspark_bench.loads.closed import ClosedLoad
from dspark_bench.models.target import LoadedTarget
from dspark_bench.schedulers.fixed import FixedScheduler
from dspark_bench.workloads.prompt import Message, Prompt
from dspark_bench.workloads.requests import RequestMaker

_CONCURRENCY: Final = 32
_STREAMS: Final = 1_000_000
"""Conversations that a turn has random streams for."""


@dataclass(frozen=True, slots=True)
class Conversations:
    """turns: a prompt for every turn that was reached, the first ones first; ids such as `7/2`.

    num_too_long, num_unanswered: conversations that end early because the next prompt would not
    fit, or because an answer has no words.
    """

    turns: tuple[Prompt, ...]
    num_too_long: int
    num_unanswered: int


def hold_conversations(
    prompts: Sequence[Prompt],
    maker: RequestMaker,
    answer: Callable[[Sequence[Prompt], int], Sequence[str]],
) -> Conversations:
    """The turns of `prompts`. answer: gives the target's words to the prompts of a turn, by its
    number from 0.
    """
    open_turns = [prompt for prompt in prompts if _fits(prompt, maker)]
    num_too_long, num_unanswered = len(prompts) - len(open_turns), 0
    found: list[Prompt] = []
    turn = 0
    while open_turns:
        found += [replace(p, id=f"{p.id}/{turn + 1}", later=()) for p in open_turns]
        going_on = [prompt for prompt in open_turns if prompt.later]
        said = answer(going_on, turn) if going_on else []
        answered = [(p, text) for p, text in zip(going_on, said, strict=True) if text.strip()]
        following = [_following(prompt, text) for prompt, text in answered]
        open_turns = [prompt for prompt in following if _fits(prompt, maker)]
        num_unanswered += len(going_on) - len(answered)
        num_too_long += len(following) - len(open_turns)
        turn += 1
    return Conversations(tuple(found), num_too_long, num_unanswered)


@dataclass(frozen=True, slots=True)
class TargetAnswers:
    """What a point's target says, sampled as the point says and at most its `max_new_tokens`."""

    point: PointConfig
    target: LoadedTarget
    maker: RequestMaker
    tokenizer: Tokenizer

    def __call__(self, prompts: Sequence[Prompt], turn: int) -> list[str]:
        """The answers in words, in order. Each has random numbers of its own."""
        point, limit = self.point, self.maker.limits.max_new_tokens
        requests = [
            Request(turn * _STREAMS + place, p.id, p.domain, self.maker.tokens(p), limit)
            for place, p in enumerate(prompts)
        ]
        longest = max(len(request.prompt_tokens) for request in requests)
        engine = Engine(
            self.target,
            None,
            FixedScheduler(),
            ExactAcceptance(),
            point.sampling,
            0,
            EngineConfig(
                _CONCURRENCY, longest + limit + 1, prefill_tokens=point.engine.prefill_tokens
            ),
            device_clock(self.target.device),
        )
        result = engine.run(requests, ClosedLoad(_CONCURRENCY), point.seed)
        tokens = {record.request_id: record.output_tokens for record in result.requests}
        return [
            self.tokenizer.decode(list(tokens[request.request_id]), skip_special_tokens=True)
            for request in requests
        ]


def _following(prompt: Prompt, answer: str) -> Prompt:
    """The next turn of a conversation in which `answer` was said."""
    spoken, *later = prompt.later
    messages = (*prompt.messages, Message("assistant", answer), Message("user", spoken))
    text = "\n\n".join(message.content for message in messages)
    return replace(prompt, messages=messages, text=text, later=tuple(later))


def _fits(prompt: Prompt, maker: RequestMaker) -> bool:
    return 1 <= len(maker.tokens(prompt)) <= maker.limits.room
