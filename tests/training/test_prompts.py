"""Prompts: cut cleanly, distinct, from held-out documents only; the shipped files keep this."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dspark_bench.training.documents import DOMAINS, Corpus, Document
from dspark_bench.training.prepared import PreparedData
from dspark_bench.training.prompts import (
    MAX_PROMPT_TOKENS,
    MIN_FURTHER_TOKENS,
    MIN_PROMPT_TOKENS,
    TrainingText,
    build_prompts,
    prompt_of,
)
from dspark_bench.training.tokenizer import load_tokenizer

_SHIPPED = Path(__file__).parents[2] / "dspark_bench" / "zoo" / "prompts"


def test_prompts_are_cut_cleanly(tiny_data: PreparedData, tiny_corpus: Corpus) -> None:
    tokenizer = load_tokenizer(tiny_data.tokenizer_folder)
    for document in [d for d in tiny_corpus.documents if d.domain != "math"][::50]:
        text = prompt_of(document, tokenizer)
        assert text is not None and document.text.startswith(text)
        ids, whole = tokenizer.encode(text).ids, tokenizer.encode(document.text).ids
        assert MIN_PROMPT_TOKENS <= len(ids) <= MAX_PROMPT_TOKENS
        assert whole[: len(ids)] == ids
        assert len(whole) - len(ids) >= MIN_FURTHER_TOKENS
        if document.domain == "code":
            assert document.text[len(text)] == "\n"


def test_short_documents_give_none(tiny_data: PreparedData) -> None:
    tokenizer = load_tokenizer(tiny_data.tokenizer_folder)
    assert prompt_of(Document("Too short.", "prose", "p", "p/x.py"), tokenizer) is None


def test_training_text_ignores_whitespace() -> None:
    document = Document("def f():\n    return 1\n", "code", "p", "p/x.py")
    assert document.split == "train"
    training = TrainingText([document])
    assert training.contains("def f(): return")
    assert not training.contains("def g(): return")


def test_built_prompts_come_from_their_split(tiny_data: PreparedData, tiny_corpus: Corpus) -> None:
    tokenizer = load_tokenizer(tiny_data.tokenizer_folder)
    prompts = build_prompts(tiny_corpus.documents, tokenizer, {"test": 2, "calibration": 1})
    texts = {
        (document.domain, document.split): [
            d.text for d in tiny_corpus.select(document.domain, document.split)
        ]
        for document in tiny_corpus.documents
    }
    for domain in DOMAINS:
        assert [p.split for p in prompts[domain]] == ["test", "test", "calibration"]
        for prompt in prompts[domain]:
            sources = texts[domain, prompt.split]
            assert any(text.startswith(prompt.prompt) for text in sources)


def test_too_few_documents_are_refused(tiny_data: PreparedData, tiny_corpus: Corpus) -> None:
    tokenizer = load_tokenizer(tiny_data.tokenizer_folder)
    with pytest.raises(ValueError, match="1000 were asked for"):
        build_prompts(tiny_corpus.documents, tokenizer, {"test": 1000})


@pytest.mark.parametrize("domain", DOMAINS)
def test_shipped_prompts(domain: str) -> None:
    lines = (_SHIPPED / f"{domain}.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    assert [r["split"] for r in records] == ["test"] * 200 + ["calibration"] * 100
    assert len({r["prompt"] for r in records}) == len({r["id"] for r in records}) == 300
    for record in records:
        assert set(record) == {"id", "domain", "split", "prompt", "source"}
        assert record["domain"] == domain and record["source"]
        assert not record["prompt"][-1].isspace()
