"""`jsonl`: prompts from a user's file, one JSON object per line.

A line holds one of `prompt` (text), `messages` (role and content each, the last from the user) or
`turns` (texts, of which only the first is sent: later ones answer words that nobody has said).
Optional: `id` and `domain`. A fifth of the lines, chosen by hash, is set aside for calibration.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dspark_bench.core.errors import WorkloadError
from dspark_bench.core.json_text import parse_json, read_text
from dspark_bench.workloads.prompt import (
    AUTO_TEMPLATE,
    ChatFormat,
    Message,
    Prompt,
    Split,
    choose,
    require,
)

CALIBRATION_SHARE = 5
_KINDS = ("prompt", "messages", "turns")


@dataclass(frozen=True, slots=True)
class _Line:
    prompt: Prompt
    num_unsent_turns: int


class JsonlWorkload:
    """A user's file. Raises WorkloadError naming file and line."""

    def __init__(
        self, path: str | None, chat_template: str = AUTO_TEMPLATE, thinking: bool = False
    ) -> None:
        if path is None:
            raise WorkloadError("workload=jsonl needs workload.path=FILE (one JSON object a line)")
        self._path = Path(path)
        self._lines = _read(self._path)
        self.chat_format = ChatFormat(chat_template, thinking)
        by_hash = sorted(self._lines, key=lambda line: _digest(line.prompt))
        num_aside = len(by_hash) // CALIBRATION_SHARE
        self._aside = {line.prompt.id for line in by_hash[:num_aside]}

    @property
    def notes(self) -> tuple[str, ...]:
        """The calibration split, and turns that are not sent."""
        aside = f"{len(self._aside)} of {len(self._lines)} prompts are set aside for calibration"
        num_cut = sum(line.num_unsent_turns > 0 for line in self._lines)
        turns = (f"{num_cut} prompts have further turns, which are not sent",) if num_cut else ()
        return (aside, *turns)

    def prompts(self, split: Split, num_prompts: int, seed: int) -> list[Prompt]:
        """See `Workload.prompts`."""
        held = self._split(split)
        require(num_prompts, len(held), str(self._path), split)
        return choose(held, [prompt.id for prompt in held], num_prompts, seed)

    def num_available(self, split: Split) -> int:
        """See `Workload.num_available`."""
        return len(self._split(split))

    def _split(self, split: Split) -> list[Prompt]:
        is_aside = split == "calibration"
        return [n.prompt for n in self._lines if (n.prompt.id in self._aside) == is_aside]


def _digest(prompt: Prompt) -> bytes:
    return hashlib.sha256(f"{prompt.text}/{prompt.messages}/{prompt.id}".encode()).digest()


def _read(path: Path) -> list[_Line]:
    try:
        texts = read_text(path, "utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise WorkloadError(f"cannot read prompts {path}: {error}") from error
    lines = [
        _parse(text, f"{path}:{number}", number)
        for number, text in enumerate(texts, start=1)
        if text.strip()
    ]
    if not lines:
        raise WorkloadError(f"{path} holds no prompt; valid: one JSON object per line")
    seen: set[str] = set()
    for line in lines:
        if line.prompt.id in seen:
            raise WorkloadError(f"{path}: two prompts have the id {line.prompt.id!r}")
        seen.add(line.prompt.id)
    return lines


def _parse(text: str, where: str, number: int) -> _Line:
    try:
        entry = parse_json(text)
    except ValueError as error:
        raise WorkloadError(f"{where}: not valid JSON: {error}") from error
    if not isinstance(entry, dict):
        raise WorkloadError(f"{where}: a {type(entry).__name__}; valid: a JSON object")
    if "\\ud" in text.lower() and not _is_whole(json.dumps(entry, ensure_ascii=False)):
        raise WorkloadError(f"{where}: holds half of a surrogate pair; valid: whole characters")
    kinds = [kind for kind in _KINDS if kind in entry]
    if len(kinds) != 1:
        found = ", ".join(entry) or "nothing"
        raise WorkloadError(f"{where}: has the keys {found}; valid: one of {', '.join(_KINDS)}")
    name, domain = str(entry.get("id", number)), str(entry.get("domain", "user"))
    value = entry[kinds[0]]
    if kinds[0] == "prompt":
        return _Line(Prompt(name, domain, _text(value, where)), 0)
    if not isinstance(value, list) or not value:
        raise WorkloadError(f"{where}: {kinds[0]} is {value!r}; valid: a list with an element")
    if kinds[0] == "turns":
        first = Message("user", _text(value[0], where))
        return _Line(Prompt(name, domain, first.content, (first,)), len(value) - 1)
    messages = tuple(_message(item, where) for item in value)
    if messages[-1].role != "user":
        raise WorkloadError(f"{where}: the last message is from {messages[-1].role!r}; valid: user")
    return _Line(Prompt(name, domain, "\n\n".join(m.content for m in messages), messages), 0)


def _message(item: Any, where: str) -> Message:
    if not isinstance(item, dict) or "role" not in item or "content" not in item:
        raise WorkloadError(f"{where}: message {item!r}; valid: an object with role and content")
    return Message(str(item["role"]), _text(item["content"], where))


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise WorkloadError(f"{where}: {value!r} is no prompt; valid: a string that is not empty")
    return value


def _is_whole(text: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in text)
