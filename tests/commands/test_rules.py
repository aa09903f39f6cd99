"""Rules of acceptance as typed: what each may judge, and what results say of a lossy one."""

from pathlib import Path

import pytest

from dspark_bench.cli import execute
from tests.sweeps import read_summary, tiny_overrides
from tests.tiny_models import TinyZoo

pytestmark = pytest.mark.usefixtures("few_draws")


def typed(zoo: TinyZoo, folder: Path, verb: str, *more: str) -> int:
    return execute([verb, *tiny_overrides(zoo, folder), *more])


@pytest.mark.parametrize("more", [("gamma=3",), ("temperature=0", "load.concurrency=2")])
def test_block_is_lossless(tiny_zoo: TinyZoo, tmp_path: Path, more: tuple[str, ...]) -> None:
    few = ("acceptance=block", "measure.law_tokens=256")
    assert typed(tiny_zoo, tmp_path, "run", *few, *more) == 0
    (row,) = read_summary(tmp_path / "results" / "tiny")
    assert (row["lossless"], row["acceptance"], row["status"]) == ("true", "block", "finished")


@pytest.mark.parametrize(
    "more", [("gamma=3",), ("tree=best_first", "tree.nodes=4"), ("temperature=0",)], ids=str
)
def test_typical_is_never_called_lossless(
    tiny_zoo: TinyZoo,
    tmp_path: Path,
    more: tuple[str, ...],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert typed(tiny_zoo, tmp_path, "run", "acceptance=typical", *more) == 0
    (row,) = read_summary(tmp_path / "results" / "tiny")
    assert (row["lossless"], row["lossless_evidence"]) == ("false", "lossy")
    shown = capsys.readouterr().out
    assert "lossy: the rule that judges drafts does not keep the target's law" in shown
    folder = str(tmp_path / "results" / "tiny")
    assert execute(["report", folder]) == 0
    page = (tmp_path / "results" / "tiny" / "report.md").read_text()
    assert "a lossy rule (acceptance=typical): the text is not the target's" in page
    capsys.readouterr()
    execute(["recommend", folder])
    said = capsys.readouterr()
    assert "its output is not the target's (its rule is lossy)" in said.out + said.err


@pytest.mark.slow
def test_verify_fails_on_typical(
    tiny_zoo: TinyZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed(tiny_zoo, tmp_path, "verify", "acceptance=typical") == 1
    assert "not exact: rule, distribution" in capsys.readouterr().err


@pytest.mark.parametrize(
    "more",
    [
        ("acceptance=multiround",),
        ("acceptance=multiround", "tree.replacement=true"),
        ("acceptance=exact",),
        ("acceptance=multiround", "temperature=0"),
    ],
    ids=str,
)
def test_drawn_trees_are_lossless(tiny_zoo: TinyZoo, tmp_path: Path, more: tuple[str, ...]) -> None:
    few = ("tree=sampled", "tree.widths=[2,1]", "gamma=3", "measure.law_tokens=256")
    assert typed(tiny_zoo, tmp_path, "run", *few, *more) == 0
    (row,) = read_summary(tmp_path / "results" / "tiny")
    assert (row["status"], row["lossless"], row["tree"]) == ("finished", "true", "sampled")


def test_replay_walks_trees(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    more = ("acceptance=replay", "tree=best_first", "tree.nodes=5")
    assert typed(tiny_zoo, tmp_path, "run", *more) == 0
    (row,) = read_summary(tmp_path / "results" / "tiny")
    assert (row["status"], row["acceptance"], row["tree"]) == ("finished", "replay", "best_first")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            ("acceptance=block", "tree=best_first"),
            "acceptance=block judges chains only; valid with tree=best_first: exact, match",
        ),
        (
            ("acceptance=multiround",),
            "acceptance=multiround judges drawn trees only; valid with tree=none: exact, match, ",
        ),
        (
            ("acceptance=multiround", "tree=best_first"),
            "acceptance=multiround judges drawn trees only (tree=sampled); valid with "
            "tree=best_first: exact, match, replay, typical",
        ),
        (
            ("acceptance=block", "tree=sampled"),
            "acceptance=block judges chains only; valid with tree=sampled: exact, match",
        ),
        (
            ("acceptance=multiround", "tree=sampled", "gamma=2"),
            "tree=sampled is 4 deep, but gamma is 2; valid: a tree no deeper than gamma",
        ),
        (("tree=sampled", "tree.widths=[0]"), "tree.widths is [0]; valid: a list such as [3,2,1]"),
        (
            ("tree=sampled", "scheduler=threshold"),
            "scheduler=threshold cuts trees by what their nodes are worth, which tree=sampled does",
        ),
        (("acceptance.epsilon=2", "acceptance=typical"), "acceptance.epsilon is 2; valid: above 0"),
        (("acceptance.delta=x", "acceptance=typical"), "acceptance.delta is 'x'; valid: a number"),
        (("acceptance.delta=1", "acceptance=block"), "acceptance=block has no key 'delta'"),
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
