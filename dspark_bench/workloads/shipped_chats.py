"""Conversations of this package's own files, by kind of question."""

import json
from functools import cache
from pathlib import Path
from typing import Final

from dspark_bench.core.errors import WorkloadError
from dspark_bench.workloads.prompt import Message, Prompt, Split, choose

_FOLDER: Final = Path(__file__).resolve().parents[1] / "zoo" / "prompts"


def chosen(name: str, domain: str, split: Split, num_prompts: int, seed: int) -> list[Prompt]:
    """Prompts of one domain of a file, as many as asked for, in an order that the seed draws."""
    prompts = [prompt for prompt in read_split(name, split) if prompt.domain == domain]
    return choose(prompts, [prompt.id for prompt in prompts], num_prompts, seed)


@cache
def read_split(name: str, split: Split) -> tuple[Prompt, ...]:
    """Prompts of a file of this package, which does not change while a process lives.

    Raises WorkloadError if it cannot be read.
    """
    path = _FOLDER / name
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise WorkloadError(f"cannot read {path}: {error.strerror or error}") from error
    entries = [json.loads(line) for line in lines if line.strip()]
    return tuple(_prompt(entry) for entry in entries if entry["split"] == split)


def _prompt(entry: dict[str, object]) -> Prompt:
    """What a target without a template is given: `prompt`, or else the messages' own text."""
    found = entry["messages"]
    assert isinstance(found, list)
    messages = tuple(Message(message["role"], message["content"]) for message in found)
    text = str(entry.get("prompt") or "\n\n".join(message.content for message in messages))
    return Prompt(str(entry["id"]), str(entry["domain"]), text, messages)
