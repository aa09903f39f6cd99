"""`drafter=suffix` as typed: chain and tree measured, and refused where it cannot work."""

from pathlib import Path

import pytest

from dspark_bench.cli import execute
from tests.sweeps import read_summary, tiny_overrides
from tests.tiny_models import TinyZoo, write_prompts

PHRASE = "a tiny model reads words, counts tokens and answers in a line of text. "


def typed(zoo: TinyZoo, folder: Path, verb: str, *more: str) -> int:
    """Run a verb on prompts that repeat themselves."""
    write_prompts(folder / "prompts.jsonl", [f"{n} {PHRASE * 2}" for n in range(15)])
    given = [o for o in tiny_overrides(zoo, folder) if not o.startswith("drafter")]
    return execute([verb, *given, "drafter=suffix", *more])


def test_a_sweep_measures_chain_and_tree(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    more = ("tree=none,best_first", "tree.nodes=4", "gamma=3", "max_new_tokens=16")
    assert typed(tiny_zoo, tmp_path, "sweep", *more, "measure.law_tokens=256") == 0
    rows = read_summary(tmp_path / "results" / "tiny")
    assert {row["tree"] for row in rows} == {"none", "best_first"}
    for row in rows:
        assert (row["status"], row["lossless"], row["drafter"]) == ("finished", "true", "suffix")
        assert row["falls_short"] == "true" and 0 < float(row["drafting_share"]) <= 1
        assert float(row["accepted_length"]) > 1


def test_greedy_output_is_exact(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    assert typed(tiny_zoo, tmp_path, "run", "temperature=0", "load.concurrency=2") == 0
    (row,) = read_summary(tmp_path / "results" / "tiny")
    assert (row["lossless"], row["lossless_evidence"]) == ("true", "exact")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("drafter.max_tree_depth=1",), "drafter.max_tree_depth is 1; valid: 2 to 256"),
        (("drafter.min_token_prob=x",), "drafter.min_token_prob is 'x'; valid: a number"),
        (("drafter.path=somewhere",), "drafter=suffix has no key 'path'"),
    ],
)
def test_what_cannot_work_is_one_line(
    tiny_zoo: TinyZoo,
    tmp_path: Path,
    more: tuple[str, ...],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert typed(tiny_zoo, tmp_path, "run", *more, "--dry-run") == 2
    assert said in capsys.readouterr().err


def test_schedulers_that_read_confidences_read_its_history(
    tiny_zoo: TinyZoo, tmp_path: Path
) -> None:
    few = ("measure.agreement_requests=0", "max_new_tokens=12", "gamma=3")
    assert typed(tiny_zoo, tmp_path, "run", "scheduler=threshold", *few) == 0
    (row,) = read_summary(tmp_path / "results" / "tiny")
    assert (row["status"], row["confidence_kind"]) == ("finished", "history")
