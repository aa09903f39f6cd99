"""A small prepared corpus and a tiny recipe, so that training tests take seconds."""

from __future__ import annotations

from pathlib import Path

import pytest

from dspark_bench.training.corpus import CorpusConfig, word_problem_documents
from dspark_bench.training.documents import Corpus, Document
from dspark_bench.training.prepared import PreparedData, write_prepared
from dspark_bench.training.target_recipe import TargetRecipe, TargetShape

TINY_VOCAB = 320


def _written_documents(domain: str, count: int) -> list[Document]:
    texts = {
        "code": "def function_{0}(value):\n    result = value + {0}\n    return result * {0}\n" * 6,
        "prose": "Return the number {0} of the values that follow the first one in order. " * 12,
    }
    return [
        Document(texts[domain].format(index), domain, "package", f"package/{domain}_{index}.py")  # type: ignore[arg-type]
        for index in range(count)
    ]


@pytest.fixture(scope="session")
def tiny_corpus() -> Corpus:
    problems = word_problem_documents(CorpusConfig(num_word_problems=400))
    written = [d for domain in ("code", "prose") for d in _written_documents(domain, 300)]
    return Corpus((*problems, *written), (), "0" * 64)


@pytest.fixture(scope="session")
def tiny_data(tiny_corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    data = PreparedData(tmp_path_factory.mktemp("work") / "data")
    write_prepared(data, tiny_corpus, CorpusConfig(num_word_problems=400), TINY_VOCAB)
    return data


@pytest.fixture
def tiny_recipe() -> TargetRecipe:
    shape = TargetShape(
        vocab_size=TINY_VOCAB,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
    )
    return TargetRecipe(shape=shape, batch_size=2, sequence_tokens=32)


@pytest.fixture
def tiny_work(tiny_data: PreparedData, tmp_path: Path) -> Path:
    """A fresh work folder that shares the prepared data."""
    (tmp_path / "data").symlink_to(tiny_data.folder, target_is_directory=True)
    return tmp_path
