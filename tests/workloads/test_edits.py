"""`workload=edit`: the shipped prompts, and how they are made of sources and pages."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from dspark_bench.core.errors import WorkloadError
from dspark_bench.evidence.edit_prompts import (
    MOST_CHARS,
    edit_prompts,
    main,
    passage_prompt,
    rename_prompt,
)
from dspark_bench.workloads.edits import KINDS, EditWorkload
from dspark_bench.workloads.prompt import Message

SOURCE = '''"""A module."""


def {name}(rows: list[int], width: int) -> list[int]:
    kept = [row for row in rows if row < width]
    total_{name} = sum(kept)
    return [row - total_{name} for row in kept]


def told(rows: list[int]) -> list[int]:
    """Has one already, so nobody can be asked to write it: it is left out whatever its length."""
    return [row for row in rows if row > 0]


def short() -> int:
    return 1
'''
LONGER = "So it goes on for a while, until it is as long as it has to be."
PAGE = """# Heading

The {name} engine reads a page of ours and says what stands in it, and why that matters. It is long.

The engine and another engine are two: this one has the word twice, so no word of it may go, ever.

- a list whose engine is long enough to be taken for a passage by somebody who looks at lengths only

A passage with `code` in it is left out: an engine would have to repeat the marks around it.
"""


def test_27_to_measure_and_9_aside_in_even_thirds() -> None:
    workload = EditWorkload()
    test, aside = workload.prompts("test", 27, 0), workload.prompts("calibration", 9, 0)
    assert (workload.num_available("test"), workload.num_available("calibration")) == (27, 9)
    assert len({prompt.text for prompt in (*test, *aside)}) == 36
    assert Counter(prompt.domain for prompt in test) == dict.fromkeys(KINDS, 9)
    rows = [[prompt.domain for prompt in test[i : i + 3]] for i in range(0, 27, 3)]
    assert all(row == list(KINDS) for row in rows)
    assert workload.prompts("test", 10, 0) == test[:10] != workload.prompts("test", 10, 1)
    with pytest.raises(WorkloadError, match="28 test prompts wanted from workload edit"):
        workload.prompts("test", 28, 0)


def test_what_is_to_be_repeated_stands_in_the_question_and_in_the_opening() -> None:
    for prompt in EditWorkload().prompts("test", 27, 0):
        (message,) = prompt.messages
        assert message.role == "user"
        fenced = re.search(r"```python\n(.*)\n```", message.content, re.DOTALL)
        repeated = fenced.group(1) if fenced else message.content.split("\n\n")[1]
        assert prompt.text.startswith(repeated) and prompt.text.endswith("\n")
        assert len(repeated) <= MOST_CHARS and repeated.isascii()
        if prompt.domain != "passage":
            compile(repeated, prompt.id, "exec")


def test_a_system_message_goes_before() -> None:
    (prompt,) = EditWorkload(system_prompt="Be brief.").prompts("test", 1, 0)
    assert prompt.messages[0] == Message("system", "Be brief.")


def test_prompts_are_made_of_functions_and_passages(tmp_path: Path) -> None:
    sources, pages = [], []
    for name in ("first", "_second", "third"):
        sources.append(tmp_path / f"{name}.py")
        sources[-1].write_text(SOURCE.format(name=name))
        pages.append(tmp_path / f"{name}.md")
        pages[-1].write_text(PAGE.format(name=name).replace(". It is", f". {LONGER} It is"))
    found = edit_prompts(sources, pages)
    assert Counter(entry["domain"] for entry in found) == {
        "rename": 2,
        "docstring": 1,
        "passage": 3,
    }
    assert all(entry["split"] == "test" for entry in found)
    texts = [entry["prompt"] for entry in found]
    assert not any(word in text for text in texts for word in ("told", "short", "twice", "code"))
    assert edit_prompts(sources[::-1], pages[::-1]) == found


def test_questions_say_what_changes() -> None:
    question, opening = rename_prompt("_rows", "def _rows() -> int:\n    return 1")
    assert question.startswith("Rename the function `_rows` to `compute_rows` and print the whole")
    assert "```python\ndef _rows() -> int:\n    return 1\n```" in question
    assert opening.endswith("# The same function, named compute_rows\n")
    question, opening = passage_prompt("file", "document", "A file.")
    assert question.endswith('write "document" in place of "file".\n\nA file.')
    assert opening == 'A file.\n\nOnce more, with "document" for "file":\n\n'


def test_the_file_is_written_whole(tmp_path: Path) -> None:
    """Of this project's sources as they are now: as many as are shipped, of the same layout."""
    assert main([str(tmp_path / "edit.jsonl")]) == 0
    lines = (tmp_path / "edit.jsonl").read_text().splitlines()
    entries = [json.loads(line) for line in lines]
    assert Counter(entry["domain"] for entry in entries) == dict.fromkeys(KINDS, 12)
    assert Counter(entry["split"] for entry in entries) == {"test": 27, "calibration": 9}
