"""`converse` as typed: a prompt for every turn, behind the target's own answers."""

import json
from pathlib import Path
from typing import Any

import pytest

from dspark_bench.cli import execute
from dspark_bench.measure.conversations import hold_conversations
from dspark_bench.models.checkpoint import read_tokenizer
from dspark_bench.workloads.chat import ChatRenderer
from dspark_bench.workloads.prompt import Message, Prompt
from dspark_bench.workloads.requests import RequestLimits, RequestMaker
from tests.sweeps import read_summary, tiny_overrides
from tests.tiny_models import TinyZoo

TURNS = [["a tiny model", "reads words", "counts tokens"], ["a line of text"], ["answers", "in"]]


def write_lines(path: Path, values: list[dict[str, Any]]) -> None:
    path.write_text("\n".join(map(json.dumps, values)) + "\n")


def given(zoo: TinyZoo, folder: Path, *more: str) -> list[str]:
    """The overrides of a small run, with others in their place."""
    chosen = dict(item.split("=", 1) for item in tiny_overrides(zoo, folder))
    chosen |= dict(item.split("=", 1) for item in more)
    return [f"{key}={value}" for key, value in chosen.items() if value != "-"]


def typed(zoo: TinyZoo, folder: Path, *more: str) -> int:
    source = folder / "talks.jsonl"
    write_lines(source, [{"id": f"t{n}", "turns": turns} for n, turns in enumerate(TURNS)])
    path = f"workload.path={source}"
    out = str(folder / "turns.jsonl")
    return execute(["converse", *given(zoo, folder, path, *more), "--out", out])


def entries(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "turns.jsonl").read_text().splitlines()]


def test_every_turn_follows_the_targets_own_answers_and_runs(
    tiny_zoo: TinyZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    greedy = ("temperature=0", "max_new_tokens=12")
    assert typed(tiny_zoo, tmp_path, *greedy) == 0
    assert "6 turns of 3 conversations" in capsys.readouterr().out
    found = {entry["id"]: entry["messages"] for entry in entries(tmp_path)}
    assert list(found) == ["t0/1", "t1/1", "t2/1", "t0/2", "t2/2", "t0/3"]
    roles = [message["role"] for message in found["t0/3"]]
    assert roles == ["user", "assistant", "user", "assistant", "user"]
    assert found["t0/3"][:3] == found["t0/2"]
    assert [m["content"] for m in found["t0/3"][::2]] == TURNS[0]

    more = ("num_requests=6", "measure.calibration_requests=0", "measure.agreement_requests=0")
    path = f"workload.path={tmp_path / 'turns.jsonl'}"
    assert execute(["run", *given(tiny_zoo, tmp_path, path, *more, *greedy)]) == 0
    (row,) = read_summary(tmp_path / "results" / "tiny")
    assert row["lossless_evidence"] == "exact"
    answers = answers_of(tmp_path / "results" / "tiny" / "points" / row["point_id"])
    tokenizer = read_tokenizer(tiny_zoo.target)
    said = tokenizer.decode(answers["t0/1"], skip_special_tokens=True)
    assert said == found["t0/2"][1]["content"]


def answers_of(folder: Path) -> dict[str, list[int]]:
    import pandas as pd

    table = pd.read_parquet(folder / "requests.parquet")
    rows = table[table["arm"] == "baseline"]
    return {row.prompt_id: list(row.output_tokens) for row in rows.itertuples()}


def test_what_cannot_be_held_is_one_line(
    tiny_zoo: TinyZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "turns.jsonl").write_text("mine")
    assert typed(tiny_zoo, tmp_path) == 2
    assert "turns.jsonl exists; valid: a new file" in capsys.readouterr().err
    assert (tmp_path / "turns.jsonl").read_text() == "mine"
    (tmp_path / "turns.jsonl").unlink()
    assert typed(tiny_zoo, tmp_path, "workload=math", "workload.path=-") == 2
    assert "workload=math has no further turns; valid: workload=jsonl" in capsys.readouterr().err
    plain = tmp_path / "plain.jsonl"
    write_lines(plain, [{"turns": ["only one"]}])
    assert typed(tiny_zoo, tmp_path, f"workload.path={plain}", "num_requests=1") == 2
    assert "has further turns; valid: a file that runs as it is" in capsys.readouterr().err
    assert not (tmp_path / "turns.jsonl").exists()


def prompt(name: str, *turns: str) -> Prompt:
    first, *later = turns
    return Prompt(name, "d", first, (Message("user", first),), later=tuple(later))


def maker(zoo: TinyZoo, room: int) -> RequestMaker:
    renderer = ChatRenderer(None, False, {})
    limits = RequestLimits(1, 1, room + 2, 10**6)
    return RequestMaker(renderer, read_tokenizer(zoo.target), limits)


def test_a_conversation_ends_where_there_is_no_room_or_no_answer(tiny_zoo: TinyZoo) -> None:
    asked: list[tuple[int, list[str]]] = []

    def answer(prompts: Any, turn: int) -> list[str]:
        asked.append((turn, [p.text for p in prompts]))
        return [" " if p.text.startswith("mute") else "yes" for p in prompts]

    wide = maker(tiny_zoo, 60)
    long = "a model " * 40
    found = hold_conversations(
        [prompt("a", "one", "two"), prompt("b", "mute", "two"), prompt("c", "one", long, "three")],
        wide,
        answer,
    )
    assert [turn.id for turn in found.turns] == ["a/1", "b/1", "c/1", "a/2"]
    assert (found.num_too_long, found.num_unanswered) == (1, 1)
    assert asked == [(0, ["one", "mute", "one"])]
    assert [m.content for m in found.turns[-1].messages] == ["one", "yes", "two"]
