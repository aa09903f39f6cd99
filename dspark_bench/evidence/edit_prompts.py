"""The prompts of `workload=edit`, made from this project's own sources: answers repeat them.

    python -m dspark_bench.evidence.edit_prompts dspark_bench/zoo/prompts/edit.jsonl

Three kinds: a function to be printed under another name, a function to be printed with a docstring,
and a passage of our documentation to be repeated with one word changed. Each is asked in words, for
models that were taught to answer, and opened as plain text, for those that go on with a text. They
are short, so that a target with room for 256 tokens takes them.

The file is kept and shipped as it was made: prompts that moved with the code would make results of
two revisions differ.
"""

import ast
import hashlib
import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

PER_KIND: Final = 12
ASIDE: Final = 3
"""Of each kind, set aside for calibration."""
LEAST_CHARS: Final = 120
MOST_CHARS: Final = 230
MOST_FUNCTIONS: Final = 1
MOST_PASSAGES: Final = 4
"""Of one file."""
_PLAIN: Final = re.compile(r"[A-Z][^`\[|*#\n]*\.")
SWAPS: Final = (
    *(("measured", "observed"), ("prompt", "question"), ("engine", "program")),
    *(("machine", "computer"), ("target", "model"), ("drafter", "helper")),
    *(("answer", "reply"), ("number", "figure"), ("file", "document"), ("time", "effort")),
    *(("results", "findings"), ("tokens", "pieces"), ("run", "trial"), ("point", "case")),
    *(("requests", "calls"), ("models", "networks"), ("longer", "wider"), ("reads", "takes")),
)
_ROOT = Path(__file__).resolve().parents[2]
_FENCE = "```"


def main(arguments: Sequence[str]) -> int:
    """Write the file that is named."""
    (path,) = arguments
    sources = sorted((_ROOT / "dspark_bench").rglob("*.py"))
    entries = edit_prompts(sources, sorted((_ROOT / "docs").glob("*.md")))
    lines = [json.dumps(entry, ensure_ascii=False) for entry in entries]
    Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0


def edit_prompts(sources: Sequence[Path], pages: Sequence[Path]) -> list[dict[str, Any]]:
    """Entries of the file: `PER_KIND` of each kind, or as many as the texts give.

    Chosen by hash, so that they come from all over; no text is taken twice.
    """
    functions = _spread(pair for path in sources for pair in _functions(path))
    passages = _spread(pair for path in pages for pair in _passages(path))
    renamed = [rename_prompt(name, text) for name, text in functions[::2][:PER_KIND]]
    described = [docstring_prompt(name, text) for name, text in functions[1::2][:PER_KIND]]
    repeated = [passage_prompt(*swap, text) for swap, text in _swapped(passages)][:PER_KIND]
    return [
        _entry(kind, number, *prompt)
        for kind, prompts in (
            ("rename", renamed),
            ("docstring", described),
            ("passage", repeated),
        )
        for number, prompt in enumerate(prompts)
    ]


def rename_prompt(name: str, text: str) -> tuple[str, str]:
    """(question, opening): the function under another name."""
    other = f"compute_{name.strip('_')}"
    question = f"Rename the function `{name}` to `{other}` and print the whole function."
    opening = f"{text}\n\n\n# The same function, named {other}\n"
    return f"{question}\n\n{_FENCE}python\n{text}\n{_FENCE}", opening


def docstring_prompt(name: str, text: str) -> tuple[str, str]:
    """(question, opening): the function with a docstring."""
    words = name.strip("_").replace("_", " ").capitalize()
    question = f'Add the docstring """{words}.""" to this function and print the whole function.'
    opening = f"{text}\n\n\n# The same function with a docstring\n"
    return f"{question}\n\n{_FENCE}python\n{text}\n{_FENCE}", opening


def passage_prompt(old: str, new: str, text: str) -> tuple[str, str]:
    """(question, opening): the passage with one word in place of another."""
    question = f'Repeat this passage word for word, but write "{new}" in place of "{old}".'
    return f"{question}\n\n{text}", f'{text}\n\nOnce more, with "{new}" for "{old}":\n\n'


def _entry(kind: str, number: int, question: str, opening: str) -> dict[str, Any]:
    return {
        "id": f"edit-{kind}-{number:02d}",
        "domain": kind,
        "split": "calibration" if number >= PER_KIND - ASIDE else "test",
        "messages": [{"role": "user", "content": question}],
        "prompt": opening,
    }


def _spread(found: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """By the hash of their text, the same text once."""
    by_text = {text: (name, text) for name, text in found}
    return [by_text[text] for text in sorted(by_text, key=_digest)]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _functions(path: Path) -> Iterator[tuple[str, str]]:
    """Names and sources of short top-level functions without docstring; the first by hash."""
    source = path.read_text(encoding="utf-8")
    found = []
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and not node.decorator_list:
            text = ast.get_source_segment(source, node) or ""
            if _is_fit(text) and ast.get_docstring(node) is None:
                found.append((node.name, text))
    yield from sorted(found, key=lambda pair: _digest(pair[1]))[:MOST_FUNCTIONS]


def _passages(path: Path) -> Iterator[tuple[str, str]]:
    """Plain paragraphs of a page: no list, table, heading, link or code; the first by hash."""
    blocks = [block.strip() for block in path.read_text(encoding="utf-8").split("\n\n")]
    plain = [block for block in blocks if _is_fit(block) and _PLAIN.fullmatch(block)]
    yield from ((path.name, text) for text in sorted(plain, key=_digest)[:MOST_PASSAGES])


def _is_fit(text: str) -> bool:
    return LEAST_CHARS <= len(text) <= MOST_CHARS and text.isascii()


def _swapped(passages: Sequence[tuple[str, str]]) -> Iterator[tuple[tuple[str, str], str]]:
    """Passages with a word that stands in them once, and what to write for it."""
    for _, text in passages:
        swap = next((s for s in SWAPS if len(re.findall(rf"\b{s[0]}\b", text)) == 1), None)
        if swap is not None:
            yield swap, text


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
