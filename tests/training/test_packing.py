"""Packing: documents come back whole, batches are pure in (seed, step) and well mixed."""

from __future__ import annotations

import numpy as np
import pytest

from dspark_bench.training.documents import DOMAINS, SPLITS, Corpus
from dspark_bench.training.packing import (
    DOMAIN_WEIGHTS,
    BatchSampler,
    PackedTokens,
    load_packed,
    load_split,
)
from dspark_bench.training.prepared import PreparedData
from dspark_bench.training.tokenizer import EOS_TOKEN_ID, load_tokenizer


def test_every_document_comes_back(tiny_data: PreparedData, tiny_corpus: Corpus) -> None:
    tokenizer = load_tokenizer(tiny_data.tokenizer_folder)
    for domain in DOMAINS:
        for split in SPLITS:
            packed = load_packed(tiny_data.tokens_folder, domain, split)
            documents = tiny_corpus.select(domain, split)
            assert packed.tokens.dtype == np.uint16
            assert int((packed.tokens == EOS_TOKEN_ID).sum()) == len(documents)
            for index, document in enumerate(documents):
                assert tokenizer.decode(packed.document(index).tolist()) == document.text


def test_summary_counts_tokens(tiny_data: PreparedData) -> None:
    counts = tiny_data.summary()["num_tokens"]
    packed = load_packed(tiny_data.tokens_folder, "code", "train")
    assert counts["code"]["train"] == packed.tokens.size


def _sampler(tiny_data: PreparedData, seed: int) -> BatchSampler:
    packed = load_split(tiny_data.tokens_folder, "train")
    return BatchSampler(packed, DOMAIN_WEIGHTS, batch_size=64, window_tokens=33, seed=seed)


def test_batches_depend_on_seed_and_step_only(tiny_data: PreparedData) -> None:
    first, second = _sampler(tiny_data, 0), _sampler(tiny_data, 0)
    first.batch(3)
    assert np.array_equal(first.batch(7), second.batch(7))
    assert not np.array_equal(first.batch(7), first.batch(8))
    assert not np.array_equal(first.batch(7), _sampler(tiny_data, 1).batch(7))
    assert first.batch(0).shape == (64, 33) and first.batch(0).dtype == np.int64


def test_about_half_of_the_windows_begin_a_document() -> None:
    tokens = np.arange(10_000, dtype=np.uint16)
    packed = PackedTokens(tokens, np.arange(0, 10_000, 100, dtype=np.int64))
    sampler = BatchSampler({"code": packed}, {"code": 1.0}, 400, 50, 0)
    share = float(np.mean(sampler.batch(0)[:, 0] % 100 == 0))
    assert 0.4 < share < 0.6


def test_weights_choose_domains() -> None:
    arrays = {
        domain: PackedTokens(np.full(500, value, np.uint16), np.zeros(1, np.int64))
        for value, domain in enumerate(DOMAINS)
    }
    batch = BatchSampler(arrays, DOMAIN_WEIGHTS, 4000, 8, 0).batch(0)
    shares = np.bincount(batch[:, 0], minlength=3) / 4000
    assert shares == pytest.approx([DOMAIN_WEIGHTS[d] for d in DOMAINS], abs=0.03)


def test_too_few_tokens_are_refused() -> None:
    packed = PackedTokens(np.zeros(10, np.uint16), np.zeros(1, np.int64))
    with pytest.raises(ValueError, match="10 tokens"):
        BatchSampler({"code": packed}, {"code": 1.0}, 1, 11, 0).batch(0)
