"""A user's prompt file."""

import json
from pathlib import Path
from typing import Any

import pytest

from dspark_bench.core.errors import WorkloadError
from dspark_bench.workloads.jsonl import JsonlWorkload, read_prompts
from dspark_bench.workloads.prompt import Message


def _write(path: Path, *entries: Any) -> str:
    lines = [entry if isinstance(entry, str) else json.dumps(entry) for entry in entries]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def test_reads_prompt_messages_and_turns(tmp_path: Path) -> None:
    path = _write(
        tmp_path / "p.jsonl",
        {"prompt": "One", "id": "a", "domain": "math"},
        {"messages": [{"role": "system", "content": "Be"}, {"role": "user", "content": "Two"}]},
        {"turns": ["Three", "and then"]},
    )
    workload = JsonlWorkload(path)
    found = {prompt.id: prompt for prompt in workload.prompts("test", 3, seed=0)}
    assert found["a"].text == "One"
    assert found["a"].domain == "math"
    assert found["2"].messages[1] == Message("user", "Two")
    assert found["3"].messages == (Message("user", "Three"),)
    assert any("1 prompts have further turns, which are not sent" in n for n in workload.notes)


def test_an_id_of_0_is_an_id(tmp_path: Path) -> None:
    path = tmp_path / "numbered.jsonl"
    path.write_text("".join(json.dumps({"id": n, "prompt": f"text {n}"}) + "\n" for n in range(3)))
    assert [prompt.id for prompt in read_prompts(path)] == ["0", "1", "2"]


def test_a_fifth_is_set_aside(tmp_path: Path) -> None:
    path = _write(tmp_path / "p.jsonl", *({"prompt": f"word {n}"} for n in range(20)))
    workload = JsonlWorkload(path)
    assert workload.num_available("calibration") == 4
    test = {p.id for p in workload.prompts("test", 16, seed=0)}
    aside = {p.id for p in workload.prompts("calibration", 4, seed=0)}
    assert not test & aside
    assert workload.notes == ()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not valid JSON"),
        ("[1]", "a list; valid: a JSON object"),
        ({"text": "x"}, "valid: one of prompt, messages, turns"),
        ({"prompt": "x", "turns": ["y"]}, "has the keys prompt, turns; valid: one of"),
        ({"prompt": 3}, "a string that is not empty"),
        ({"prompt": " "}, "a string that is not empty"),
        ({"turns": []}, "a list with an element"),
        ({"messages": [{"role": "user"}]}, "role and content"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "the last message"),
    ],
)
def test_errors_name_file_and_line(tmp_path: Path, line: Any, message: str) -> None:
    path = _write(tmp_path / "p.jsonl", {"prompt": "fine"}, line)
    with pytest.raises(WorkloadError, match=r"p\.jsonl:2: ") as caught:
        JsonlWorkload(path)
    assert message in str(caught.value)


def test_missing_file_empty_file_and_no_path(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match=r"absent\.jsonl: No such file .*; valid: a file of"):
        JsonlWorkload(str(tmp_path / "absent.jsonl"))
    with pytest.raises(WorkloadError, match="holds no prompt; valid: JSON, one object a line"):
        JsonlWorkload(_write(tmp_path / "empty.jsonl", ""))
    with pytest.raises(WorkloadError, match=r"workload\.path=FILE"):
        JsonlWorkload(None)


def test_two_lines_with_one_id_are_refused(tmp_path: Path) -> None:
    path = _write(tmp_path / "p.jsonl", {"prompt": "x", "id": "a"}, {"prompt": "y", "id": "a"})
    with pytest.raises(WorkloadError, match="two prompts have the id 'a'"):
        JsonlWorkload(path)


def test_marks_that_are_no_line_ends_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"prompt": "a\u2028b"}\r\n{"prompt": "c"}\n', encoding="utf-8-sig", newline="")
    found = {prompt.text for prompt in JsonlWorkload(str(path)).prompts("test", 2, seed=0)}
    assert found == {"a\u2028b", "c"}


def test_half_a_surrogate_pair_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"prompt": "fine"}\n{"prompt": "a \\ud800"}\n')
    with pytest.raises(WorkloadError, match=r"p\.jsonl:2: holds half of a surrogate pair"):
        JsonlWorkload(str(path)).prompts("test", 1, seed=0)


def test_of_one_fifth_more_the_refusal_says_how_to_use_it(tmp_path: Path) -> None:
    path = _write(tmp_path / "p.jsonl", *({"prompt": f"word {n}"} for n in range(6)))
    with pytest.raises(WorkloadError, match=r"valid: 1 to 5 \(1 more with measure.calibration_req"):
        JsonlWorkload(path).prompts("test", 6, seed=0)


def test_category_and_task_are_domains(tmp_path: Path) -> None:
    entries = (
        {"prompt": "a", "category": "writing"},
        {"prompt": "b", "task": "summary"},
        {"prompt": "c", "domain": "math", "category": "x"},
        {"prompt": "d", "category": ["no", "text"]},
        {"prompt": "e", "category": "no label but a text " * 9},
    )
    workload = JsonlWorkload(_write(tmp_path / "p.jsonl", *entries))
    found = [*workload.prompts("test", 4, seed=0), *workload.prompts("calibration", 1, seed=0)]
    domains = {prompt.text: prompt.domain for prompt in found}
    assert domains == {"a": "writing", "b": "summary", "c": "math", "d": "user", "e": "user"}


def test_conversations_without_an_opening_are_left_out_and_counted(tmp_path: Path) -> None:
    said = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Yes"}]
    entries = ({"conversations": c} for c in (said, said[1:], [], said * 2))
    workload = JsonlWorkload(_write(tmp_path / "p.jsonl", *entries))
    assert {p.id for p in workload.prompts("test", 2, seed=0)} == {"1", "4"}
    assert workload.num_available("test") == 2
    assert any("1 prompts have further turns, which are not sent" in n for n in workload.notes)
    assert any(n.startswith("2 of 4 conversations do not begin") for n in workload.notes)
    lost = _write(tmp_path / "q.jsonl", {"conversations": []})
    with pytest.raises(WorkloadError, match="no conversation begins with a user's words"):
        JsonlWorkload(lost)


def test_what_is_set_aside_stays_the_same(tmp_path: Path) -> None:
    """The split is drawn by a hash over these prompts, whatever fields a message gains."""
    entries = [{"turns": [f"word {n}"]} for n in range(10)]
    workload = JsonlWorkload(_write(tmp_path / "p.jsonl", *entries))
    assert sorted(p.id for p in workload.prompts("calibration", 2, seed=0)) == ["10", "7"]
