"""What a workload gives, and how one is seen from above. Called by the experiment layer."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, Protocol, TypeVar, cast, get_args

from dspark_bench.core.errors import WorkloadError

Split = Literal["test", "calibration"]
TooLong = Literal["error", "skip", "cut"]
"""Of a prompt that is too long: refuse the run, take the next one, or keep its end."""
Item = TypeVar("Item")

AUTO_TEMPLATE = "auto"
NO_TEMPLATE = "none"
SYSTEM_ROLES: Final = ("system", "developer")


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a chat. more: JSON of its other keys (calls of tools), or empty."""

    role: str
    content: str
    more: str = field(default="", repr=False)  # what is set aside by hash stays what it was


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt: plain `text`, or `messages` that a chat template turns into text.

    tools: JSON of the functions that the template is told of, or empty; later: what the user says
    after an answer, turn by turn, which no run sends.
    """

    id: str
    domain: str
    text: str
    messages: tuple[Message, ...] = ()
    tools: str = ""
    later: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChatFormat:
    """How messages become text: `auto` (the target's template), `none`, or a Jinja file.

    too_long: what becomes of a prompt that the target has no room for, or that has more than
    max_prompt_tokens (None: as many as there is room for).
    """

    template: str = AUTO_TEMPLATE
    has_thinking: bool = False
    too_long: TooLong = "error"
    max_prompt_tokens: int | None = None


class Workload(Protocol):
    """A source of prompts with a held-out part for calibration."""

    @property
    def chat_format(self) -> ChatFormat:
        """How messages are rendered."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the results must know about the prompts."""
        ...

    def prompts(self, split: Split, num_prompts: int, seed: int) -> list[Prompt]:
        """`num_prompts` different prompts of a split, the same for the same seed.

        Raises WorkloadError if the split holds fewer.
        """
        ...

    def num_available(self, split: Split) -> int:
        """How many prompts a split holds."""
        ...


def check_too_long(value: str) -> TooLong:
    """The rule that `workload.too_long` names. Raises WorkloadError for another word."""
    for rule in get_args(TooLong):
        if value == rule:
            return cast(TooLong, rule)
    raise WorkloadError(f"workload.too_long is {value!r}; valid: {', '.join(get_args(TooLong))}")


def check_max_tokens(value: object) -> int | None:
    """The number that `workload.max_prompt_tokens` gives. Raises WorkloadError for another kind."""
    if value is None:
        return None
    if type(value) is not int or value < 1:
        raise WorkloadError(f"workload.max_prompt_tokens is {value!r}; valid: 1 or more, or null")
    return value


def check_system(value: object) -> str | None:
    """The text that `workload.system_prompt` gives. Raises WorkloadError for another kind."""
    if value is None or isinstance(value, str):
        return value
    raise WorkloadError(f"workload.system_prompt is {value!r}; valid: text, or null for none")


def with_system(prompt: Prompt, text: str | None) -> Prompt:
    """A chat with `text` as its system message; its own stays, and so does plain text."""
    if text is None or not prompt.messages or prompt.messages[0].role in SYSTEM_ROLES:
        return prompt
    messages = (Message("system", text), *prompt.messages)
    return replace(prompt, messages=messages, text=f"{text}\n\n{prompt.text}")


def choose(items: Sequence[Item], keys: Sequence[str], num_chosen: int, seed: int) -> list[Item]:
    """The first `num_chosen` in an order that hashes (seed, key); needs that many items."""
    order = sorted(range(len(items)), key=lambda i: _digest(f"{seed}/{keys[i]}"))
    return [items[i] for i in order[:num_chosen]]


def require(num_wanted: int, num_available: int, source: str, split: Split) -> None:
    """Raise WorkloadError if a split holds too few prompts."""
    if num_wanted > num_available:
        raise WorkloadError(
            f"{num_wanted} {split} prompts wanted from {source}; valid: 1 to {num_available}"
        )


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
