"""Rows made of a point's own files, and their states."""

from pathlib import Path

import pytest

from dspark_bench.reading.rows import measured_status, point_row, with_regret


def test_regret_is_what_is_missing_of_the_oracles_throughput() -> None:
    def row(scheduler: str, concurrency: int, tok_s: float | None) -> dict[str, object]:
        point = {"scheduler": scheduler, "concurrency": concurrency, "throughput_tok_s": tok_s}
        return {"drafter": "semi_ar", "gamma": 4, **point}

    rows = [
        row("fixed", 1, 80.0),
        row("oracle", 1, 100.0),
        row("fixed", 8, 300.0),
        row("hardware_aware", 1, None),
    ]
    found = with_regret(rows, ["scheduler", "load.concurrency"])
    assert [r.get("scheduler_regret") for r in found] == [pytest.approx(0.2), 0.0, None, None]


@pytest.mark.parametrize(
    "key", ["prompts_hash", "target_hash", "drafter_hash", "acceptance", "tree", "rate"]
)
def test_regret_is_against_the_oracle_of_the_same_prompts_models_and_rule(key: str) -> None:
    rows = [
        {"scheduler": "oracle", "throughput_tok_s": 100.0, key: "a"},
        {"scheduler": "fixed", "throughput_tok_s": 80.0, key: "a"},
        {"scheduler": "fixed", "throughput_tok_s": 50.0, key: "b"},
    ]
    found = [row.get("scheduler_regret") for row in with_regret(rows, [])]
    assert found == [0.0, pytest.approx(0.2), None]


@pytest.mark.parametrize(
    ("facts", "there", "status"),
    [
        ({}, {"code_hash": "c", "machine_id": "m"}, "finished"),
        ({}, {"code_hash": "other", "machine_id": "m"}, "stale"),
        ({}, {"code_hash": "c", "machine_id": "other"}, "stale"),
        ({}, {}, "finished"),
        ({"timing_invalid": True}, {"code_hash": "c", "machine_id": "m"}, "timing_invalid"),
        ({"timing_invalid": True}, {"code_hash": "other", "machine_id": "m"}, "stale"),
        ({"timing_invalid": False}, {"code_hash": "c", "machine_id": "m"}, "finished"),
    ],
)
def test_a_measured_points_state(
    facts: dict[str, bool], there: dict[str, str], status: str
) -> None:
    assert measured_status(facts, {"code_hash": "c", "machine_id": "m"}, there) == status


def test_a_verdict_speaks_only_where_nothing_else_does(tmp_path: Path) -> None:
    (tmp_path / "v.json").write_text('{"passed": true}')

    def lossless(**summary: object) -> object:
        content = {"facts": {"verification": "v.json"}, "summary": summary}
        return point_row("a", content, (), "finished", tmp_path)["lossless"]

    assert lossless(lossless=None, lossless_evidence="untested") is True
    assert lossless(lossless=False, lossless_evidence="violated") is False
    assert lossless(lossless=None, lossless_evidence="near_tie") is None


@pytest.mark.parametrize(
    ("text", "lossless", "evidence"),
    [
        ('{"passed": true}', True, "verified"),
        ('{"passed": false}', False, "violated"),
        ("cut off", None, "untested"),
    ],
)
def test_a_verdict_reached_since_then_is_named(
    tmp_path: Path, text: str, lossless: bool | None, evidence: str
) -> None:
    (tmp_path / "v.json").write_text(text)
    summary = {"lossless": None, "lossless_evidence": "untested"}
    content = {"facts": {"verification": "v.json"}, "summary": summary}
    row = point_row("a", content, (), "finished", tmp_path)
    assert (row["lossless"], row["lossless_evidence"]) == (lossless, evidence)


@pytest.mark.parametrize("status", ["stale", "timing_invalid"])
def test_regret_compares_finished_points_alone(status: str) -> None:
    def regrets(oracle: str, other: str) -> list[object]:
        rows = [
            {"scheduler": "oracle", "throughput_tok_s": 100.0, "status": oracle},
            {"scheduler": "fixed", "throughput_tok_s": 80.0, "status": other},
        ]
        return [row.get("scheduler_regret") for row in with_regret(rows, [])]

    assert regrets("finished", "finished") == [0.0, pytest.approx(0.2)]
    assert regrets(status, "finished") == [None, None]
    assert regrets("finished", status) == [0.0, None]


def test_regret_compares_with_the_oracle_of_the_same_place_alone() -> None:
    def row(scheduler: str, tok_s: float, **place: object) -> dict[str, object]:
        return {"drafter": "semi_ar", "gamma": 4, "concurrency": 1, "rate": None} | place | {
            "scheduler": scheduler, "throughput_tok_s": tok_s
        }  # fmt: skip

    rows = [
        row("oracle", 100.0),
        row("oracle", 300.0, concurrency=8),
        row("oracle", 500.0, gamma=8),
        row("fixed", 75.0),
        row("fixed", 150.0, concurrency=8),
        row("fixed", 50.0, rate=2.0),
        row("fixed", 400.0, gamma=8),
    ]
    found = [r.get("scheduler_regret") for r in with_regret(rows, ["scheduler", "cost"])]
    assert found == [0.0, 0.0, 0.0, 0.25, 0.5, None, pytest.approx(0.2)]
