"""Files of prompts in every packing, encoding and spread."""

import bz2
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from dspark_bench.core.errors import WorkloadError
from dspark_bench.workloads.prompt_files import read_prompt_file

_ROWS = [{"prompt": "What is 2+2?\nSay"}, {"prompt": "Zwölf 😀", "id": "b"}]
_LINES = "\n".join(map(json.dumps, _ROWS)) + "\n"
_SPREAD = "".join(json.dumps(row, indent=1) + "\n" for row in _ROWS)
_CSV = 'prompt,id\r\n"What is 2+2?\nSay",\r\n\r\nZwölf 😀,b\r\n'


def _parquet() -> bytes:
    buffer = io.BytesIO()
    pd.DataFrame(_ROWS).to_parquet(buffer)
    return buffer.getvalue()


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.jsonl", _LINES)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", _LINES.encode()),
        ("a.jsonl", ("\n \n" + _LINES).encode()),
        ("a.jsonl", _LINES.encode("utf-8-sig")),
        ("a.jsonl", _LINES.replace("\n", "\r\n").encode("utf-16")),
        ("a.jsonl", b"\xfe\xff" + _LINES.encode("utf-16-be")),
        ("a.jsonl", _LINES.encode("utf-32")),
        ("a.jsonl.gz", gzip.compress(_LINES.encode(), mtime=0)),
        ("packed-without-saying-so.jsonl", gzip.compress(_LINES.encode(), mtime=0)),
        ("a.jsonl.bz2", bz2.compress(_LINES.encode())),
        ("a.jsonl.xz", lzma.compress(_LINES.encode())),
        ("a.json", json.dumps(_ROWS).encode()),
        ("a.json", json.dumps(_ROWS, indent=2, ensure_ascii=False).encode()),
        ("a.jsonl", json.dumps(_ROWS, indent=2).encode()),
        ("a.jsonl", _SPREAD.encode()),
        ("a.txt", _LINES.encode()),
        ("a.txt", json.dumps(_ROWS).encode()),
        ("a.csv", _CSV.encode()),
        ("a.csv", _CSV.encode("utf-8-sig")),
        ("A.CSV.gz", gzip.compress(_CSV.encode(), mtime=0)),
        ("a.tsv", _CSV.replace(",", "\t").encode()),
        ("a.parquet", _parquet()),
    ],
)
def test_every_shape_gives_the_same_entries(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert [entry.value for entry in read_prompt_file(path).entries] == _ROWS


def test_a_text_file_has_a_prompt_a_line_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "plain.txt"
    path.write_text("[INST] Why?\r\n What?  \n\n")
    found = read_prompt_file(path)
    assert [entry.value["prompt"] for entry in found.entries] == ["[INST] Why?", " What?"]
    assert found.notes == ("plain.txt: each of its 2 lines is one prompt",)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.txt", "One\ntext\n\nTwo\n", "a.txt:3: a blank line, so a prompt may be a line"),
        ("a.jsonl", "hello there", "a.jsonl:1: not valid JSON: .*valid: JSON, one object a line"),
        ("a.jsonl", '{"prompt": "a"}\n{"prompt": "b', "a.jsonl:2: not valid JSON"),
        ("a.jsonl", '{"prompt": "a",\n{"prompt": "b"}\n', "a.jsonl:1: not valid JSON"),
        ("a.json", '[{"prompt": "a"},\n {"prompt" "b"}]', "a.json:2: not valid JSON"),
        ("a.json", '{\n "prompt": "a"\n}\n{\n "prompt": oops\n}', "a.json:5: not valid JSON"),
        ("a.json", '[{"prompt": "a\\ud800"}]', r"a.json\[1\]: holds half of a surrogate pair"),
        ("a.csv", "name,id\nx,1\n", "a.csv:1: has the columns name, id; valid: different names"),
        ("a.csv", "prompt;id\nx;1\n", "columns are parted by ','"),
        ("a.csv", "prompt,prompt\nx,1\n", "valid: different names"),
        ("a.csv", "prompt,id\nx,1\ny\n", "a.csv:3: 1 cells; valid: 2"),
        ("a.csv", 'prompt,id\n"x,1\n', "not valid CSV"),
        ("a.jsonl", " \n\t\n", "holds no prompt; valid: JSON"),
        ("a.jsonl", b'{"prompt": "caf\xe9"}', "can't decode byte 0xe9"),
        ("a.jsonl", _LINES.encode("utf-16-le"), "UTF-16 without a byte order mark"),
        ("a.gz", gzip.compress(_LINES.encode(), mtime=0)[:-20], "it cannot be unpacked"),
        (
            "a.gz",
            gzip.compress(_LINES.encode(), mtime=0)[:12] + b"\xff" * 30,
            "it cannot be unpacked",
        ),
        ("a.zip", _zip(), "it is a zip archive; valid: text"),
        ("a.zst", b"\x28\xb5\x2f\xfd0000", "packed by zstd"),
        ("a.parquet", b"PAR1 and no more", "cannot read prompts"),
        ("a.arrow", b"ARROW1 and no more", "it is an Arrow file; valid: Parquet"),
    ],
)
def test_what_cannot_be_read_is_one_clear_line(
    tmp_path: Path, name: str, content: str | bytes, says: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(WorkloadError, match=says):
        read_prompt_file(path)


def test_a_packed_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dspark_bench.core.packed_text.MAX_BYTES", 1000)
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b" " * 2000, mtime=0))
    with pytest.raises(WorkloadError, match="unpacks to more than"):
        read_prompt_file(path)


def test_numbers_of_lines_and_of_an_array_are_the_ids(tmp_path: Path) -> None:
    shapes: dict[str, Callable[[], str]] = {
        "a.jsonl": lambda: '\n{"prompt": "a"}\n\n{"prompt": "b"}',
        "a.json": lambda: '[{"prompt": "a"},\n{"prompt": "b"}]',
    }
    found = {}
    for name, text in shapes.items():
        (tmp_path / name).write_text(text())
        entries = read_prompt_file(tmp_path / name).entries
        found[name] = [(entry.number, entry.where) for entry in entries]
    assert found == {"a.jsonl": [(2, ":2"), (4, ":4")], "a.json": [(1, "[1]"), (2, "[2]")]}
