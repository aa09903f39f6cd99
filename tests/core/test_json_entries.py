"""Entries of a JSON file and their places, however the file is laid out."""

import pytest

from dspark_bench.core.json_entries import NotJsonError, json_entries


def places(text: str) -> list[tuple[int, str]]:
    return [(entry.number, entry.where) for entry in json_entries(text)]


def test_an_entry_is_where_its_first_line_is() -> None:
    assert places('{"a": 1}\n\n{"a": 2}\n') == [(1, ":1"), (3, ":3")]
    spread = '{\n "a": 1\n}\n{\n "a": 2\n}\n\n{\n "a": 3\n}\n'
    assert places(spread) == [(1, ":1"), (4, ":4"), (8, ":8")]
    assert places('[{"a": 1},\n {"a": 2}]') == [(1, "[1]"), (2, "[2]")]


def test_what_breaks_off_is_named_by_its_line() -> None:
    for text, line in (('{"a": 1}\n{"a": }\n', 2), ('{\n "a": 1\n}\n{\n "a": ]\n}\n', 5)):
        with pytest.raises(NotJsonError) as caught:
            json_entries(text)
        assert caught.value.line == line
