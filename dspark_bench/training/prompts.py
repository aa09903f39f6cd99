"""Builds the zoo's held-out prompt files from the test and calibration splits.

    python -m dspark_bench.training.prompts --work DIR --out dspark_bench/zoo/prompts

A word problem's prompt ends with `Answer:`. A code or prose prompt is the beginning of a held-out
document, cut where re-tokenising gives the same tokens, that leaves enough text to continue.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tokenizers import Tokenizer

from dspark_bench.training.corpus import CorpusConfig
from dspark_bench.training.documents import DOMAINS, Document, Domain, Split, normalise, stable_hash
from dspark_bench.training.prepared import PreparedData, prepare
from dspark_bench.training.tokenizer import load_tokenizer

NUM_PROMPTS: dict[Split, int] = {"test": 200, "calibration": 100}
MIN_PROMPT_TOKENS = 24
MAX_PROMPT_TOKENS = 64
MIN_FURTHER_TOKENS = 120
_ANSWER_MARK = "\nAnswer:"


@dataclass(frozen=True)
class Prompt:
    """One line of a prompt file; `source` names the package that the document came from."""

    id: str
    domain: Domain
    split: Split
    prompt: str
    source: str


class TrainingText:
    """Answers whether a text occurs in the training documents, whitespace and domain ignored."""

    def __init__(self, documents: Iterable[Document]) -> None:
        self._text = "\n".join(normalise(d.text) for d in documents if d.split == "train")

    def contains(self, text: str) -> bool:
        """Whether some training document contains `text`."""
        return normalise(text) in self._text


def build_prompts(
    documents: Sequence[Document], tokenizer: Tokenizer, counts: dict[Split, int] = NUM_PROMPTS
) -> dict[Domain, list[Prompt]]:
    """Choose the prompts of every domain, test before calibration.

    Raises ValueError when a split has too few fit documents.
    """
    training = TrainingText(documents)
    prompts: dict[Domain, list[Prompt]] = {}
    for domain in DOMAINS:
        held_out = [d for d in documents if d.domain == domain and d.split != "train"]
        seen: set[str] = set()
        prompts[domain] = [
            prompt
            for split, count in counts.items()
            for prompt in _choose(held_out, domain, split, count, tokenizer, training, seen)
        ]
    return prompts


def _choose(
    held_out: Iterable[Document],
    domain: Domain,
    split: Split,
    count: int,
    tokenizer: Tokenizer,
    training: TrainingText,
    seen: set[str],
) -> Iterator[Prompt]:
    """Yield `count` prompts of one domain and split; adds them to `seen`."""
    number = 0
    for document in held_out:
        if number == count:
            return
        if document.split != split:
            continue
        text = prompt_of(document, tokenizer)
        if text is None or normalise(text) in seen or training.contains(text):
            continue
        seen.add(normalise(text))
        number += 1
        yield Prompt(f"{domain}-{split}-{number:04d}", domain, split, text, document.package)
    if number < count:
        raise ValueError(f"{domain}/{split} holds {number} fit prompts; {count} were asked for")


def prompt_of(document: Document, tokenizer: Tokenizer) -> str | None:
    """The prompt cut from a document, or None when the document is unfit."""
    if document.domain == "math":
        return document.text[: document.text.index(_ANSWER_MARK) + len(_ANSWER_MARK)]
    ids: list[int] = tokenizer.encode(document.text).ids
    longest = min(MAX_PROMPT_TOKENS, len(ids) - MIN_FURTHER_TOKENS)
    if longest < MIN_PROMPT_TOKENS:
        return None
    wanted = MIN_PROMPT_TOKENS + stable_hash(document.text) % (longest - MIN_PROMPT_TOKENS + 1)
    by_distance = sorted(range(MIN_PROMPT_TOKENS, longest + 1), key=lambda n: (abs(n - wanted), n))
    clean = [n for n in by_distance if _is_clean_cut(ids, n, document.text, tokenizer)]
    if document.domain == "code":
        clean.sort(key=lambda n: not tokenizer.decode(ids[n : n + 1]).startswith("\n"))
    return tokenizer.decode(ids[: clean[0]]) if clean else None


def _is_clean_cut(ids: list[int], num_tokens: int, text: str, tokenizer: Tokenizer) -> bool:
    """Whether the first tokens are a word's end and read back as themselves."""
    following = tokenizer.decode(ids[num_tokens : num_tokens + 1])
    if not following[:1].isspace():
        return False
    prefix = tokenizer.decode(ids[:num_tokens])
    is_exact = text.startswith(prefix) and not prefix[-1].isspace()
    return is_exact and tokenizer.encode(prefix).ids == ids[:num_tokens]


def write_prompts(data: PreparedData, out: Path) -> None:
    """Write `{domain}.jsonl` for every domain into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    documents = list(data.documents())
    for domain, prompts in build_prompts(documents, load_tokenizer(data.tokenizer_folder)).items():
        lines = [json.dumps(asdict(prompt), ensure_ascii=False) for prompt in prompts]
        (out / f"{domain}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Parse the command line and write the prompt files."""
    parser = argparse.ArgumentParser(description="Build the zoo's held-out prompts.")
    parser.add_argument("--work", type=Path, required=True, help="the target trainer's work folder")
    parser.add_argument("--out", type=Path, required=True, help="folder for the prompt files")
    arguments = parser.parse_args()
    write_prompts(prepare(arguments.work / "data", CorpusConfig()), arguments.out)


if __name__ == "__main__":
    main()
