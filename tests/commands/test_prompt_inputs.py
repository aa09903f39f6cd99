"""Prompt files from the command line: what is said and counted, and the exit code."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from dspark_bench import cli
from dspark_bench.config.compose import compose_point, hydra_session
from dspark_bench.config.point_config import to_point_config
from dspark_bench.measure.build_prompts import Prompts, build_prompts
from dspark_bench.reading.gather import gather
from dspark_bench.report.content import Items
from dspark_bench.report.page import build_page
from tests.sweeps import read_summary, tiny_overrides
from tests.tiny_models import MAX_POSITIONS, TinyZoo

_LONG = "word " * MAX_POSITIONS


def _typed(zoo: TinyZoo, folder: Path, path: Path, *more: str) -> list[str]:
    changed = {"workload.path": str(path), "measure.calibration_requests": "0"}
    changed |= {"measure.agreement_requests": "0", "measure.warmup_requests": "0"}
    changed |= dict(item.split("=", 1) for item in more)
    kept = [o for o in tiny_overrides(zoo, folder) if o.split("=", 1)[0] not in changed]
    return ["run", *kept, *(f"{key}={value}" for key, value in changed.items())]


def _bench(folder: Path) -> Path:
    """Like Spec-Bench: two categories, second turns, and one prompt in four is too long."""
    entries = [
        {
            "question_id": n,
            "category": "writing" if n % 2 else "math_reasoning",
            "turns": [_LONG if n % 4 == 0 else f"Question {n}?", "And then?"],
        }
        for n in range(8)
    ]
    path = folder / "bench.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, entries)).encode()))
    return path


def test_a_benchmark_file_with_long_prompts_skipped(
    tiny_zoo: TinyZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = _typed(tiny_zoo, tmp_path, _bench(tmp_path), "num_requests=6", "workload.too_long=skip")
    assert cli.execute(tuple(typed)) == 0
    out = " ".join(capsys.readouterr().out.split())
    for said in (
        "note: 8 prompts have further turns, which are not sent; `dspark-bench converse`",
        "note: 1 of 7 test prompts drawn have more than",
        "are left out (workload.too_long=skip)",
        "note: 6 of 6 prompts are chats, sent as plain text: the target has no chat template",
        "S by domain",
        "math_reasoning",
    ):
        assert out.count(said) == 1 or said == "math_reasoning", said
    (row,) = read_summary(tmp_path / "results" / "tiny")
    folder = tmp_path / "results" / "tiny" / "points" / row["point_id"]
    metrics: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    assert metrics["facts"]["n_prompts_too_long"] == 1
    assert {n: d["num_prompts"] for n, d in metrics["domains"].items()} == {
        "math_reasoning": 2,
        "writing": 4,
    }
    assert any("left out (workload.too_long=skip)" in note for note in metrics["notes"])


def test_refusals_exit_2_with_one_line(
    tiny_zoo: TinyZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = _bench(tmp_path)
    plain = tmp_path / "plain.jsonl"
    plain.write_text("\n".join(json.dumps({"prompt": f"word {n}"}) for n in range(6)))
    for typed, says in (
        (
            _typed(tiny_zoo, tmp_path, bench, "num_requests=8"),
            f"2 of 8 prompts of {bench} are too long: workload.too_long=skip leaves them out, cut",
        ),
        (
            _typed(tiny_zoo, tmp_path, bench, "num_requests=7", "workload.too_long=skip"),
            "7 prompts wanted from",
        ),
        (
            _typed(tiny_zoo, tmp_path, plain, "num_requests=7"),
            f"7 test prompts wanted from {plain}; valid: 1 to 6",
        ),
        (
            _typed(tiny_zoo, tmp_path, plain, "num_requests=6", "measure.calibration_requests=1"),
            "valid: 1 to 5 (1 more with measure.calibration_requests=0)",
        ),
    ):
        assert cli.execute(tuple(typed)) == 2, says
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1 and lines[0].startswith("error: ") and says in lines[0], lines
    assert not (tmp_path / "results" / "tiny" / "points").exists()


def _prompts(typed: list[str]) -> Prompts:
    with hydra_session():
        return build_prompts(to_point_config(compose_point(typed[1:]), "tiny"))


def test_what_is_set_aside_is_said_where_something_is(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    for num, says in ((20, ["4 of 20 prompts are set aside for calibration"]), (4, [])):
        path.write_text("\n".join(json.dumps({"prompt": f"word {n}"}) for n in range(num)))
        typed = _typed(tiny_zoo, tmp_path, path, "num_requests=2", "measure.calibration_requests=1")
        notes = _prompts(typed).notes
        assert [note for note in notes if "are set aside" in note] == says


def test_the_report_says_of_prompts_what_the_terminal_says(
    tiny_zoo: TinyZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Prompts cut, chats without a template, turns that are not sent, a part set aside."""
    path = tmp_path / "p.jsonl"
    lines: list[object] = [{"prompt": "word " * 300}, {"turns": ["one", "two"]}, {"prompt": "x"}]
    lines += [{"messages": [{"role": "user", "content": f"say {n}"}]} for n in range(7)]
    path.write_text("\n".join(map(json.dumps, lines)))
    more = ("num_requests=8", "gamma=2", "workload.too_long=cut", "measure.calibration_requests=1")
    assert cli.execute(_typed(tiny_zoo, tmp_path, path, *more)) == 0
    shown = capsys.readouterr().out.splitlines()
    notes = [line.removeprefix("note: ") for line in shown if line.startswith("note: ")]
    assert len(notes) >= 4 and any("too_long=cut" in note for note in notes)
    assert any("no chat template" in note for note in notes)
    page = build_page(gather(tmp_path / "results" / "tiny"), (), ())
    (warnings,) = [section for section in page.sections if section.title == "Warnings"]
    said = [item for block in warnings.blocks if isinstance(block, Items) for item in block.items]
    assert [note for note in notes if f"{note} (1 of 1 point)" not in said] == []


def test_with_nothing_set_aside_every_line_is_a_test_prompt(
    tiny_zoo: TinyZoo, tmp_path: Path
) -> None:
    path = tmp_path / "six.jsonl"
    path.write_text("\n".join(json.dumps({"prompt": f"word {n}"}) for n in range(6)))
    served = {}
    for num in (5, 6):
        found = _prompts(_typed(tiny_zoo, tmp_path, path, f"num_requests={num}"))
        served[num] = [request.prompt_id for request in found.requests]
        says = any("of the run's prompts are of those set aside" in note for note in found.notes)
        assert says == (num == 6) and found.calibration == ()
        assert not any("are set aside for calibration" in note for note in found.notes)
    assert sorted(served[6]) == ["1", "2", "3", "4", "5", "6"]
    assert served[6][:5] == served[5]  # prompts of a run stay what they were
