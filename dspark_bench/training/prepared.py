"""The work folder's data: corpus, tokenizer and token arrays, built once and then read.

    documents.jsonl   every document with its domain, split, package and key
    corpus.json       sources with versions and licences, the corpus hash, tokens per domain, split
    tokenizer/        the tokenizer's files
    tokens/           the arrays of `packing`

Called by `target_trainer`, `prompts` and the drafters' trainers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from dspark_bench.training.corpus import CorpusConfig, build_corpus
from dspark_bench.training.documents import DOMAINS, SPLITS, Corpus, Document
from dspark_bench.training.packing import load_packed, pack_corpus
from dspark_bench.training.tokenizer import (
    VOCAB_SIZE,
    load_tokenizer,
    save_tokenizer,
    train_tokenizer,
)

_TOKENIZER_STRIDE = 3


@dataclass(frozen=True)
class PreparedData:
    """Where the prepared data of one work folder lie."""

    folder: Path

    @property
    def documents_path(self) -> Path:
        """All documents, one JSON object per line."""
        return self.folder / "documents.jsonl"

    @property
    def summary_path(self) -> Path:
        """The corpus summary; written last, so its presence means that the data are complete."""
        return self.folder / "corpus.json"

    @property
    def tokenizer_folder(self) -> Path:
        """The tokenizer's files."""
        return self.folder / "tokenizer"

    @property
    def tokens_folder(self) -> Path:
        """The token arrays."""
        return self.folder / "tokens"

    def summary(self) -> dict[str, Any]:
        """The contents of `corpus.json`."""
        loaded: dict[str, Any] = json.loads(self.summary_path.read_text())
        return loaded

    def documents(self) -> Iterator[Document]:
        """Every document, in the corpus's order."""
        with self.documents_path.open(encoding="utf-8") as lines:
            for line in lines:
                record = json.loads(line)
                yield Document(record["text"], record["domain"], record["package"], record["key"])


def folder_for(work: Path, tokenizer: Tokenizer) -> Path:
    """Where data for a tokenizer lie: `data`, or a folder of their own if those are another's."""
    data, tokens = PreparedData(work / "data"), tokenizer.get_vocab()
    if not data.summary_path.exists():
        return data.folder
    if load_tokenizer(data.tokenizer_folder).get_vocab() == tokens:
        return data.folder
    digest = sha256(json.dumps(sorted(tokens.items())).encode()).hexdigest()[:8]
    return work / f"data-{digest}"


def prepare(
    folder: Path,
    config: CorpusConfig,
    vocab_size: int = VOCAB_SIZE,
    tokenizer: Tokenizer | None = None,
) -> PreparedData:
    """Build what is missing in `folder` and return it; complete data are used as they are.

    tokenizer: of the model that will read the data; None trains a new one.
    """
    data = PreparedData(folder)
    if not data.summary_path.exists():
        write_prepared(data, build_corpus(config), config, vocab_size, tokenizer)
    return data


def write_prepared(
    data: PreparedData,
    corpus: Corpus,
    config: CorpusConfig,
    vocab_size: int = VOCAB_SIZE,
    tokenizer: Tokenizer | None = None,
) -> None:
    """Write `corpus` and what follows from it into `data.folder`."""
    data.folder.mkdir(parents=True, exist_ok=True)
    with data.documents_path.open("w", encoding="utf-8") as lines:
        for document in corpus.documents:
            lines.write(json.dumps({**asdict(document), "split": document.split}) + "\n")
    if tokenizer is None:
        train = [document.text for document in corpus.documents if document.split == "train"]
        tokenizer = train_tokenizer(train[::_TOKENIZER_STRIDE], vocab_size)
    save_tokenizer(tokenizer, data.tokenizer_folder)
    pack_corpus(corpus, tokenizer, data.tokens_folder)
    summary = {
        "config": asdict(config),
        "sha256": corpus.sha256,
        "num_tokens": _token_counts(data),
        "sources": [asdict(source) for source in corpus.sources],
    }
    aside = data.summary_path.with_suffix(".tmp")
    aside.write_text(json.dumps(summary, indent=2) + "\n")
    aside.replace(data.summary_path)


def _token_counts(data: PreparedData) -> dict[str, dict[str, int]]:
    return {
        domain: {
            split: int(load_packed(data.tokens_folder, domain, split).tokens.size)
            for split in SPLITS
        }
        for domain in DOMAINS
    }
