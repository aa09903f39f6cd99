"""Prose chunks: sentences get through; tables, doctests and repetitions do not."""

from __future__ import annotations

from dspark_bench.training.prose_chunks import (
    MAX_CHARS,
    MIN_CHARS,
    docstring_chunks,
    prose_chunks,
    running_text,
)

_SENTENCES = (
    "Return the values of the sequence in the order in which they were added,\n"
    "and leave the sequence itself as it is. Nothing is copied on the way."
)
_TABLE = (
    "values : list of int\n    The numbers that are added one after the other to the end result."
)
_DOCTEST = ">>> add_many_numbers_to_the_sequence_and_show_the_result([1, 2, 3, 4])\n[1, 2, 3, 4]"


def test_running_text_keeps_sentences_only() -> None:
    kept = list(running_text(f"{_SENTENCES}\n\n{_DOCTEST}\n\n{_TABLE}\n"))
    assert kept == [
        _SENTENCES,
        "The numbers that are added one after the other to the end result.",
    ]


def test_chunks_have_bounded_length() -> None:
    text = "\n\n".join(
        f"In case {word} holds. {_SENTENCES}" for word in "abcdefghijklmnopqrstuvwxyz"
    )
    chunks = list(prose_chunks(text))
    assert chunks
    assert all(MIN_CHARS <= len(chunk) <= MAX_CHARS for chunk in chunks)


def test_repeated_blocks_are_skipped() -> None:
    source = f'"""{_SENTENCES}\n\n{_SENTENCES.replace("values", "members")}\n"""\n'
    seen: set[str] = set()
    assert len(list(docstring_chunks(source, "package/a.py", seen))) == 1
    assert list(docstring_chunks(source, "package/b.py", seen)) == []
