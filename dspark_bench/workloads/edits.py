"""`edit`: answers that repeat their prompt, as when code is changed or a text is worked over.

Functions and passages of this project, made into prompts by `evidence.edit_prompts` and shipped.
"""

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

KINDS: Final = ("rename", "docstring", "passage")
_FILE = Path(__file__).resolve().parents[1] / "zoo" / "prompts" / "edit.jsonl"


class EditWorkload:
    """Equal thirds of three kinds, 9 of each to be measured and 3 set aside.

    Every three prompts in a row hold one of each kind. A target with a chat template is asked in
    words; any other is given the text and the beginning of its repetition, to go on with.
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
        require(num_prompts, self.num_available(split), "workload edit", split)
        rounds = -(-num_prompts // len(KINDS))
        by_kind = [_chosen(kind, split, rounds, seed) for kind in KINDS]
        mixed = [prompt for row in zip(*by_kind, strict=True) for prompt in row]
        return [with_system(prompt, self._system) for prompt in mixed[:num_prompts]]

    def num_available(self, split: Split) -> int:
        """See `Workload.num_available`."""
        return len(_read(split))


def _chosen(kind: str, split: Split, num_prompts: int, seed: int) -> list[Prompt]:
    prompts = [prompt for prompt in _read(split) if prompt.domain == kind]
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
    return Prompt(str(entry["id"]), str(entry["domain"]), str(entry["prompt"]), messages)
