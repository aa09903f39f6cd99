"""`chat`: questions to an assistant, written for this project and shipped with it."""

import json
from functools import cache
from pathlib import Path
from typing import Final

from dspark_bench.core.errors import WorkloadError
from dspark_bench.workloads.prompt import (
    AUTO_TEMPLATE,
    ChatFormat,
    Message,
    Prompt,
    Split,
    check_max_tokens,
    check_system,
    check_too_long,
    choose,
    require,
    with_system,
)

DOMAINS: Final = ("explain", "write", "code", "reason")
_FILE = Path(__file__).resolve().parents[1] / "zoo" / "prompts" / "chat.jsonl"
_INTERLEAVE_SEED: Final = 0


class ChatWorkload:
    """Equal quarters of four kinds of question, 9 of each to be measured and 3 set aside.

    Every four prompts in a row hold one of each kind, in an order that is drawn once. All are
    single questions of a user; the target's own template makes text of them.
    """

    notes: tuple[str, ...] = ()

    def __init__(
        self,
        chat_template: str = AUTO_TEMPLATE,
        thinking: bool = False,
        too_long: str = "error",
        system_prompt: str | None = None,
        max_prompt_tokens: int | None = None,
    ) -> None:
        self.chat_format = ChatFormat(
            chat_template,
            thinking,
            check_too_long(too_long),
            check_max_tokens(max_prompt_tokens),
        )
        self._system = check_system(system_prompt)

    def prompts(self, split: Split, num_prompts: int, seed: int) -> list[Prompt]:
        """See `Workload.prompts`."""
        require(num_prompts, self.num_available(split), "workload chat", split)
        rounds = -(-num_prompts // len(DOMAINS))
        by_domain = [_chosen(domain, split, rounds, seed) for domain in DOMAINS]
        mixed: list[Prompt] = []
        for number, row in enumerate(zip(*by_domain, strict=True)):
            keys = [f"{number}/{domain}" for domain in DOMAINS]
            mixed += choose(row, keys, len(DOMAINS), _INTERLEAVE_SEED)
        return [with_system(prompt, self._system) for prompt in mixed[:num_prompts]]

    def num_available(self, split: Split) -> int:
        """See `Workload.num_available`."""
        return len(_read(split))


def _chosen(domain: str, split: Split, num_prompts: int, seed: int) -> list[Prompt]:
    prompts = [prompt for prompt in _read(split) if prompt.domain == domain]
    return choose(prompts, [prompt.id for prompt in prompts], num_prompts, seed)


@cache
def _read(split: Split) -> tuple[Prompt, ...]:
    """Prompts of a file of this package, which does not change while a process lives."""
    try:
        lines = _FILE.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise WorkloadError(f"cannot read {_FILE}: {error.strerror or error}") from error
    entries = [json.loads(line) for line in lines if line.strip()]
    return tuple(_prompt(entry) for entry in entries if entry["split"] == split)


def _prompt(entry: dict[str, object]) -> Prompt:
    found = entry["messages"]
    assert isinstance(found, list)
    messages = tuple(Message(message["role"], message["content"]) for message in found)
    text = "\n\n".join(message.content for message in messages)
    return Prompt(str(entry["id"]), str(entry["domain"]), text, messages)
