"""The tokenizer: exact size, fixed special tokens, single digits, lossless round trip."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from dspark_bench.training.documents import Corpus
from dspark_bench.training.prepared import PreparedData
from dspark_bench.training.tokenizer import (
    EOS_TOKEN,
    EOS_TOKEN_ID,
    MASK_TOKEN,
    MASK_TOKEN_ID,
    VOCAB_SIZE,
    load_tokenizer,
    train_tokenizer,
)

_BYTES_AND_DIGITS = train_tokenizer(["some words 123"], vocab_size=260)


@given(st.text())
def test_round_trip_is_lossless(text: str) -> None:
    ids = _BYTES_AND_DIGITS.encode(text).ids
    assert _BYTES_AND_DIGITS.decode(ids, skip_special_tokens=False) == text


def test_special_tokens_and_size(tiny_data: PreparedData) -> None:
    tokenizer = load_tokenizer(tiny_data.tokenizer_folder)
    assert tokenizer.get_vocab_size() == 320
    assert tokenizer.token_to_id(EOS_TOKEN) == EOS_TOKEN_ID
    assert tokenizer.token_to_id(MASK_TOKEN) == MASK_TOKEN_ID


def test_digits_stay_single(tiny_data: PreparedData) -> None:
    tokenizer = load_tokenizer(tiny_data.tokenizer_folder)
    tokens = [tokenizer.decode([index]) for index in range(tokenizer.get_vocab_size())]
    assert all(len(token) == 1 for token in tokens if any(c.isdigit() for c in token))


def test_transformers_reads_the_same_tokenizer(
    tiny_data: PreparedData, tiny_corpus: Corpus
) -> None:
    ours = load_tokenizer(tiny_data.tokenizer_folder)
    theirs = AutoTokenizer.from_pretrained(tiny_data.tokenizer_folder)
    assert theirs.eos_token_id == EOS_TOKEN_ID and theirs.mask_token_id == MASK_TOKEN_ID
    for document in tiny_corpus.documents[::100]:
        ids = ours.encode(document.text).ids
        assert theirs(document.text)["input_ids"] == ids
        assert theirs.decode(ids) == document.text


def test_too_little_text_is_refused() -> None:
    with pytest.raises(ValueError, match=str(VOCAB_SIZE)):
        train_tokenizer(["too little"])


def test_files_are_the_standard_ones(tiny_data: PreparedData) -> None:
    names = {path.name for path in Path(tiny_data.tokenizer_folder).iterdir()}
    assert names == {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"}
