"""`jsonl`: prompts from a user's file: JSON lines, an array, a table, or lines of text.

Which keys hold a prompt: `layouts`. Of a conversation only the opening is sent: later turns answer
words that nobody has said. Optional keys: `id`; `domain`, `category` or `task`. A fifth of the
prompts, chosen by hash, is set aside for calibration.
"""

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from dspark_bench.core.errors import WorkloadError
from dspark_bench.core.json_entries import Entry
from dspark_bench.workloads.layouts import (
    LayoutError,
    NoOpeningError,
    Reading,
    domain_of,
    read_entry,
)
from dspark_bench.workloads.prompt import (
    AUTO_TEMPLATE,
    ChatFormat,
    Prompt,
    Split,
    check_max_tokens,
    check_system,
    check_too_long,
    choose,
    with_system,
)
from dspark_bench.workloads.prompt_files import read_prompt_file

CALIBRATION_SHARE = 5
_MOST_KEYS = 6


@dataclass(frozen=True, slots=True)
class _File:
    """A file's prompts in its order, and what a reader must know about them."""

    prompts: tuple[Prompt, ...]
    notes: tuple[str, ...]


class JsonlWorkload:
    """A user's file. Raises WorkloadError naming file and line."""

    def __init__(
        self,
        path: str | None,
        chat_template: str = AUTO_TEMPLATE,
        thinking: bool = False,
        too_long: str = "error",
        system_prompt: str | None = None,
        max_prompt_tokens: int | None = None,
    ) -> None:
        if path is None:
            raise WorkloadError("workload=jsonl needs workload.path=FILE (one JSON object a line)")
        self.chat_format = ChatFormat(
            chat_template,
            thinking,
            check_too_long(too_long),
            check_max_tokens(max_prompt_tokens),
        )
        self._system = check_system(system_prompt)
        self._path = Path(path)
        self._file = _read(self._path)
        by_hash = sorted(self._file.prompts, key=_digest)
        num_aside = len(by_hash) // CALIBRATION_SHARE
        self._aside = {prompt.id for prompt in by_hash[:num_aside]}

    @property
    def notes(self) -> tuple[str, ...]:
        """What of the file is not sent, and which prompts go without `workload.system_prompt`."""
        if self._system is None:
            return self._file.notes
        prompts = self._file.prompts
        num_without = sum(with_system(prompt, self._system) is prompt for prompt in prompts)
        if not num_without:
            return self._file.notes
        return (
            *self._file.notes,
            f"{num_without} of {len(prompts)} prompts go without workload.system_prompt: they are "
            "plain text, or have a system message of their own",
        )

    def prompts(self, split: Split, num_prompts: int, seed: int) -> list[Prompt]:
        """See `Workload.prompts`."""
        held = self._split(split)
        if num_prompts > len(held):
            other = len(self._file.prompts) - len(held)
            more = ""
            if split == "test" and other:
                more = f" ({other} more with measure.calibration_requests=0)"
            raise WorkloadError(
                f"{num_prompts} {split} prompts wanted from {self._path}; valid: 1 to "
                f"{len(held)}{more}"
            )
        chosen = choose(held, [prompt.id for prompt in held], num_prompts, seed)
        return [with_system(prompt, self._system) for prompt in chosen]

    def num_available(self, split: Split) -> int:
        """See `Workload.num_available`."""
        return len(self._split(split))

    def _split(self, split: Split) -> list[Prompt]:
        is_aside = split == "calibration"
        return [p for p in self._file.prompts if (p.id in self._aside) == is_aside]


def read_prompts(path: Path) -> tuple[Prompt, ...]:
    """All prompts of a file, in its order. Raises WorkloadError naming file and line."""
    return _read(path).prompts


def _digest(prompt: Prompt) -> bytes:
    return hashlib.sha256(f"{prompt.text}/{prompt.messages}/{prompt.id}".encode()).digest()


def _read(path: Path) -> _File:
    file = read_prompt_file(path)
    prompts: dict[str, Prompt] = {}
    num_unsent, without_opening = 0, []
    unread: Counter[str] = Counter()
    for entry in file.entries:
        where = f"{path}{entry.where}"
        try:
            reading = read_entry(entry.value)
        except NoOpeningError:
            without_opening.append(where)
            continue
        except LayoutError as error:
            raise WorkloadError(f"{where}: {error}") from error
        prompt = _prompt(entry, reading)
        if prompt.id in prompts:
            raise WorkloadError(f"{path}: two prompts have the id {prompt.id!r}")
        prompts[prompt.id] = prompt
        num_unsent += bool(reading.later)
        unread.update(reading.unread)
    if not prompts:
        why = ": no conversation begins with a user's words" if without_opening else ""
        raise WorkloadError(f"{path} holds no prompt{why}; valid: one JSON object per line")
    notes = [*file.notes]
    if num_unsent:
        notes.append(
            f"{num_unsent} prompts have further turns, which are not sent; `dspark-bench converse` "
            "gives each turn the target's own answers before it"
        )
    if without_opening:
        notes.append(
            f"{len(without_opening)} of {len(file.entries)} conversations do not begin with a "
            f"user's words and are left out (the first: {without_opening[0]})"
        )
    if unread:
        notes.append(f"keys of {path.name} that are not read: {_listed(unread)}")
    return _File(tuple(prompts.values()), tuple(notes))


def _prompt(entry: Entry, reading: Reading) -> Prompt:
    fields = entry.value
    name = next((fields[k] for k in ("id", "custom_id") if fields.get(k) is not None), entry.number)
    domain = domain_of(fields) or "user"
    return Prompt(str(name), domain, reading.text, reading.messages, reading.tools, reading.later)


def _listed(names: Counter[str]) -> str:
    shown = list(names)[:_MOST_KEYS]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
