"""The corpus's unit, a document, and the fixed rule that holds documents out of training.

A document is held out iff the SHA-256 of its key falls into a fixed 4 % of the hash space. The key
is the path of its source file relative to site-packages or to the standard library (for `math`:
the problem's text), so everything cut from one file shares one split, in every domain.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal, get_args

Domain = Literal["math", "code", "prose"]
Split = Literal["train", "calibration", "test"]

DOMAINS: tuple[Domain, ...] = get_args(Domain)
SPLITS: tuple[Split, ...] = get_args(Split)

_NUM_BUCKETS = 10_000
_CALIBRATION_BELOW = 200
_TEST_BELOW = 400


@dataclass(frozen=True)
class Document:
    """One text of the corpus, with the package it came from and the key that fixes its split."""

    text: str
    domain: Domain
    package: str
    key: str

    @property
    def split(self) -> Split:
        """The split of the document's key."""
        return split_of(self.key)


@dataclass(frozen=True)
class Source:
    """One package's share of the corpus (for the manifest)."""

    package: str
    version: str
    licence: str
    num_documents: int
    num_chars: int


@dataclass(frozen=True)
class Corpus:
    """All documents in their fixed order, their sources, and one hash over every text."""

    documents: tuple[Document, ...]
    sources: tuple[Source, ...]
    sha256: str

    def select(self, domain: Domain, split: Split) -> tuple[Document, ...]:
        """The documents of one domain and split, in order."""
        return tuple(d for d in self.documents if d.domain == domain and d.split == split)


def stable_hash(text: str) -> int:
    """A 64-bit hash of `text`, equal in every process and on every machine."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def split_of(key: str) -> Split:
    """The split that `key` falls into: 2 % calibration, 2 % test, the rest train."""
    bucket = stable_hash(key) % _NUM_BUCKETS
    if bucket < _CALIBRATION_BELOW:
        return "calibration"
    return "test" if bucket < _TEST_BELOW else "train"


def normalise(text: str) -> str:
    """`text` with every run of whitespace as one blank: what duplicates are compared by."""
    return " ".join(text.split())
