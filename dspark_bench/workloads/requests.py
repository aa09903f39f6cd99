"""Prompts to requests: rendering, tokenising, and refusing what the target cannot hold."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from tokenizers import Tokenizer

from dspark_bench.core.errors import WorkloadError
from dspark_bench.core.types import Request
from dspark_bench.workloads.chat import ChatRenderer
from dspark_bench.workloads.prompt import Prompt


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """max_new_tokens: per request; num_spare: positions that a cycle may write past the last token;
    max_positions: what the target was made for; vocab_size: of the target; max_prompt_tokens: what
    a user allows of the room, None for all of it.
    """

    max_new_tokens: int
    num_spare: int
    max_positions: int
    vocab_size: int
    max_prompt_tokens: int | None = None

    @property
    def room(self) -> int:
        """Tokens that a prompt may have."""
        return self.allowed(self.max_positions - self.max_new_tokens - self.num_spare)

    def allowed(self, room: int) -> int:
        """`room`, or what the user allows of it."""
        return room if self.max_prompt_tokens is None else min(room, self.max_prompt_tokens)


@dataclass(frozen=True, slots=True)
class RequestMaker:
    """Renders and tokenises prompts for one target."""

    renderer: ChatRenderer
    tokenizer: Tokenizer
    limits: RequestLimits

    def tokens(self, prompt: Prompt) -> tuple[int, ...]:
        """What the target is given. Raises WorkloadError if it is empty, or not the target's."""
        has_own_tokens = self.renderer.is_templated(prompt)
        tokens = _encode(self.tokenizer, self.renderer.render(prompt), not has_own_tokens)
        _check_tokens(prompt, tokens, self.limits)
        return tokens

    def requests(self, prompts: Sequence[Prompt], first_id: int = 0) -> list[Request]:
        """Requests with ids from `first_id`, in order, each of the most new tokens.

        Raises WorkloadError for a prompt that is empty, too long, or has tokens the target lacks.
        """
        requests = []
        for number, prompt in enumerate(prompts):
            tokens = self.tokens(prompt)
            check_room(self.limits)
            if len(tokens) > self.limits.room:
                raise WorkloadError(
                    f"prompt {prompt.id!r} has {too_many(len(tokens), self.limits)}"
                )
            requests.append(
                Request(
                    first_id + number,
                    prompt.id,
                    prompt.domain,
                    tokens,
                    self.limits.max_new_tokens,
                )
            )
        return requests


def too_many(num_tokens: int, limits: RequestLimits) -> str:
    """`1200 tokens; valid: up to 1000 (...)`."""
    if limits.room == limits.max_prompt_tokens:
        return f"{num_tokens} tokens; valid: up to {limits.room} (workload.max_prompt_tokens)"
    return (
        f"{num_tokens} tokens; valid: up to {limits.room} ({limits.max_positions} positions of "
        f"the target - {limits.max_new_tokens} new - {limits.num_spare} for drafts)"
    )


def check_room(limits: RequestLimits) -> None:
    """Raise WorkloadError if answers and drafts leave no place for any prompt."""
    if limits.room < 1:
        most = limits.max_positions - limits.num_spare - 1
        if most < 1:
            raise WorkloadError(
                f"drafts take up to {limits.num_spare} of this target's {limits.max_positions} "
                "positions, which leaves none for a prompt and an answer; valid: a smaller gamma, "
                "or fewer tree.nodes"
            )
        raise WorkloadError(
            f"max_new_tokens is {limits.max_new_tokens}; valid for this target: 1 to "
            f"{most} ({limits.max_positions} positions - {limits.num_spare} for drafts - "
            "a prompt)"
        )


@lru_cache(maxsize=4096)
def _encode(tokenizer: Tokenizer, text: str, add_special_tokens: bool) -> tuple[int, ...]:
    """Token ids; points of one sweep share most of their prompts."""
    return tuple(tokenizer.encode(text, add_special_tokens=add_special_tokens).ids)


def requests_hash(requests: Iterable[Request]) -> str:
    """16 hex digits over the prompts' ids and tokens, and over their lengths where those differ."""
    chosen = list(requests)
    rows: list[object] = [[request.prompt_id, list(request.prompt_tokens)] for request in chosen]
    lengths = [request.max_new_tokens for request in chosen]
    if len(set(lengths)) > 1:
        rows.append(lengths)
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]


def _check_tokens(prompt: Prompt, tokens: tuple[int, ...], limits: RequestLimits) -> None:
    if not tokens:
        raise WorkloadError(f"prompt {prompt.id!r} has no tokens; valid: 1 or more")
    if max(tokens) >= limits.vocab_size:
        raise WorkloadError(
            f"prompt {prompt.id!r} has token {max(tokens)}; the target's vocabulary ends at "
            f"{limits.vocab_size - 1}: its tokenizer.json does not fit its weights"
        )
