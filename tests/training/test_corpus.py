"""The corpus's rules on small inputs: duplicates, budgets and the cap per package."""

from __future__ import annotations

from collections import Counter

import pytest

from dspark_bench.training.corpus import (
    CorpusConfig,
    capped,
    within_budget,
    without_duplicates,
    word_problem_documents,
)
from dspark_bench.training.documents import Document


def _documents(package: str, count: int) -> list[Document]:
    return [
        Document(f"{package} {i:04d}", "code", package, f"{package}/{i}.py") for i in range(count)
    ]


def test_duplicates_are_compared_without_whitespace() -> None:
    first = Document("a  b\n", "code", "p", "p/x.py")
    second = Document("a b", "code", "p", "p/y.py")
    assert without_duplicates([first, second]) == [first]


def test_budget_keeps_the_leading_documents() -> None:
    documents = _documents("p", 10)
    assert within_budget(documents, 3 * len(documents[0].text)) == documents[:3]


def test_cap_leaves_no_package_above_its_share() -> None:
    documents = [
        d
        for name, n in zip("abcdef", (900, 500, 60, 50, 40, 30), strict=True)
        for d in _documents(name, n)
    ]
    kept = capped(documents, 0.25)
    counts = Counter(d.package for d in kept)
    assert max(counts.values()) <= 0.25 * len(kept) + 1
    assert counts["c"] == 60
    assert counts["a"] == pytest.approx(counts["b"], abs=1)


def test_cap_leaves_balanced_packages_alone() -> None:
    documents = [d for name in "abcde" for d in _documents(name, 10)]
    assert capped(documents, 0.25) == documents


def test_word_problem_splits_are_disjoint_in_text() -> None:
    config = CorpusConfig(num_word_problems=3000)
    by_split: dict[str, set[str]] = {"train": set(), "calibration": set(), "test": set()}
    for document in word_problem_documents(config):
        by_split[document.split].add(document.text)
    assert all(by_split.values())
    assert not by_split["train"] & (by_split["test"] | by_split["calibration"])
    assert not by_split["test"] & by_split["calibration"]
