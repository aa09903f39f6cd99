"""Builds the training corpus: word problems, Python source, and English documentation.

Everything comes from the generator of `word_problems` and from packages that are installed anyway,
so the corpus can be rebuilt without a network and its licences are known.
Called by `target_trainer` and `prompts`.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dspark_bench.training.code_chunks import code_chunks
from dspark_bench.training.documents import (
    DOMAINS,
    Corpus,
    Document,
    Source,
    normalise,
    stable_hash,
)
from dspark_bench.training.packages import Package, runtime_packages
from dspark_bench.training.prose_chunks import docstring_chunks, prose_chunks
from dspark_bench.training.word_problems import generate_problems

GENERATOR = "dspark-bench word problems"
_MAX_PACKAGE_SHARE = 0.25


@dataclass(frozen=True)
class CorpusConfig:
    """What the corpus is made of; `max_code_chars` bounds the code domain before de-duplication."""

    seed: int = 0
    num_word_problems: int = 60_000
    max_code_chars: int = 48_000_000


def build_corpus(config: CorpusConfig) -> Corpus:
    """Collect, de-duplicate, cap per package and order the documents of all domains."""
    packages = runtime_packages()
    collected: list[Document] = list(word_problem_documents(config))
    seen: set[str] = set()
    for package in packages:
        collected.extend(package_documents(package, seen))
    unique = without_duplicates(collected)
    kept: list[Document] = []
    for domain in DOMAINS:
        documents = [d for d in unique if d.domain == domain]
        documents.sort(key=lambda d: (stable_hash(d.text), d.text))
        if domain == "code":
            documents = within_budget(documents, config.max_code_chars)
        kept.extend(documents if domain == "math" else capped(documents, _MAX_PACKAGE_SHARE))
    return Corpus(tuple(kept), _sources(kept, packages), _digest(kept))


def word_problem_documents(config: CorpusConfig) -> Iterator[Document]:
    """Yield the math domain; the problem's text is its key."""
    for problem in generate_problems(config.seed, config.num_word_problems):
        yield Document(problem.document, "math", GENERATOR, problem.question)


def package_documents(package: Package, seen: set[str]) -> Iterator[Document]:
    """Yield one package's code chunks and prose, unreadable files left out.

    `seen` holds the prose blocks of earlier packages and is added to.
    """
    for file in package.files:
        try:
            source = file.path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        for chunk in code_chunks(source):
            yield Document(chunk + "\n", "code", package.name, file.key)
        for chunk in docstring_chunks(source, file.key, seen):
            yield Document(chunk + "\n", "prose", package.name, file.key)
    for chunk in prose_chunks(package.description):
        yield Document(chunk + "\n", "prose", package.name, f"{package.name}/METADATA")


def without_duplicates(documents: Iterable[Document]) -> list[Document]:
    """The documents without any whose normalised text has been seen, the first one kept."""
    seen: set[bytes] = set()
    unique: list[Document] = []
    for document in documents:
        digest = hashlib.sha256(normalise(document.text).encode()).digest()
        if digest not in seen:
            seen.add(digest)
            unique.append(document)
    return unique


def within_budget(documents: list[Document], max_chars: int) -> list[Document]:
    """The leading documents that fit into `max_chars` characters."""
    kept: list[Document] = []
    total = 0
    for document in documents:
        total += len(document.text)
        if total > max_chars:
            break
        kept.append(document)
    return kept


def capped(documents: list[Document], max_share: float) -> list[Document]:
    """Drop late documents of large packages until none holds more than `max_share` of the rest."""
    sizes: dict[str, int] = defaultdict(int)
    for document in documents:
        sizes[document.package] += len(document.text)
    limit = _largest_allowed(list(sizes.values()), max_share)
    used: dict[str, int] = defaultdict(int)
    kept: list[Document] = []
    for document in documents:
        if used[document.package] + len(document.text) <= limit:
            used[document.package] += len(document.text)
            kept.append(document)
    return kept


def _largest_allowed(sizes: list[int], max_share: float) -> float:
    """The largest cap c with c <= max_share * sum(min(size, c)), or the largest size."""
    largest_first = sorted(sizes, reverse=True)
    if not largest_first or len(largest_first) * max_share < 1:
        return float(largest_first[0]) if largest_first else 0.0
    for num_capped in range(len(largest_first)):
        rest = sum(largest_first[num_capped:])
        if largest_first[num_capped] <= max_share * (num_capped * largest_first[num_capped] + rest):
            if num_capped == 0:
                return float(largest_first[0])
            return max_share * rest / (1 - max_share * num_capped)
    return float(largest_first[-1])


def _sources(documents: list[Document], packages: Iterable[Package]) -> tuple[Source, ...]:
    counts: dict[str, int] = defaultdict(int)
    chars: dict[str, int] = defaultdict(int)
    for document in documents:
        counts[document.package] += 1
        chars[document.package] += len(document.text)
    generator = Source(GENERATOR, "1", "same as this project", counts[GENERATOR], chars[GENERATOR])
    return generator, *(
        Source(p.name, p.version, p.licence, counts[p.name], chars[p.name])
        for p in packages
        if counts[p.name]
    )


def _digest(documents: Iterable[Document]) -> str:
    digest = hashlib.sha256()
    for document in documents:
        digest.update(document.text.encode())
        digest.update(b"\0")
    return digest.hexdigest()
