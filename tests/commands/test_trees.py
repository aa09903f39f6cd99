"""`tree=` as typed: swept beside chains in one block, and refused where it cannot work."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from dspark_bench.cli import execute
from tests.commands.test_verify import own_drafter
from tests.sweeps import read_summary, tiny_overrides
from tests.tiny_models import TinyZoo


def typed(zoo: TinyZoo, folder: Path, verb: str, *more: str) -> int:
    return execute([verb, *tiny_overrides(zoo, folder), *more])


def test_a_sweep_measures_trees_beside_the_chain(
    tiny_zoo: TinyZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    swept = ("tree=none,best_first", "tree.nodes=3,9", "gamma=3", "max_new_tokens=12")
    assert typed(tiny_zoo, tmp_path, "sweep", *swept) == 0
    folder = tmp_path / "results" / "tiny"
    rows = {(row["tree"], row["tree_nodes"]): row for row in read_summary(folder)}
    assert set(rows) == {("none", ""), ("best_first", "3"), ("best_first", "9")}
    assert len({row["block_id"] for row in rows.values()}) == 1
    for (tree, nodes), row in rows.items():
        assert row["status"] == "finished"
        is_tree = tree != "none"
        assert float(row["verify_budget"]) == (1 + int(nodes) if is_tree else 4)
        for name in ("speedup_theory", "gap_overhead"):
            assert (row[name] == "") == is_tree, name
        assert float(row["speedup_model"]) > 0
        assert float(row["draft_cost_ratio"]) > 0
        cycles = pd.read_parquet(folder / "points" / row["point_id"] / "cycles.parquet")
        cycles = cycles[~cycles["is_prefill"] & ~cycles["is_warmup"]]
        decoded = cycles[cycles["arm"] == "speculative"]
        assert (decoded["tree_depth"] > 0).all() == is_tree
        assert (decoded["path"].map(len) == decoded["num_accepted"] * is_tree).all()
        found = json.loads((folder / "points" / row["point_id"] / "metrics.json").read_text())
        assert len(found["positions"]["agreement"]) == 3
        counts, total = found["position_counts"], found["counts"]["cycles"]
        reached = decoded["tree_depth"] if is_tree else decoded["verify_len"]
        assert counts["verified"] == [float((reached >= k).sum()) for k in (1, 2, 3)]
        assert counts["verified"][0] == total and (nodes != "3" or counts["verified"][2] < total)
    for verb in ("recommend", "export", "report"):
        assert execute([verb, str(folder)]) == 0, verb
    capsys.readouterr()
    assert execute(["whatif", str(folder), "tree=best_first", "tree.nodes=3"]) != 0
    assert "measured points with scheduler=fixed and tree=none in closed" in capsys.readouterr().err
    copy = shutil.copytree(folder, tmp_path / "before")
    assert execute(["check", str(folder), "--baseline", str(copy)]) in (0, 3)
    shown = capsys.readouterr()
    assert shown.out.count("tree=best_first tree.nodes=") >= 2
    chains = {row["point_id"] for (tree, _), row in rows.items() if tree == "none"}
    for side, is_chain in ((folder, True), (copy, False)):
        sweep = json.loads((side / "sweep.json").read_text())
        kept = [point for point in sweep["points"] if (point["point_id"] in chains) == is_chain]
        (side / "sweep.json").write_text(json.dumps(sweep | {"points": kept}))
        for row in rows.values():
            if (row["point_id"] in chains) != is_chain:
                shutil.rmtree(side / "points" / row["point_id"])
    assert execute(["check", str(folder), "--baseline", str(copy)]) == 2
    assert "tree=none (baseline: best_first)" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("tree", ["best_first", "static"])
def test_greedy_output_is_exact(tiny_zoo: TinyZoo, tmp_path: Path, tree: str) -> None:
    more = ("temperature=0", "load.concurrency=2", f"tree={tree}")
    assert typed(tiny_zoo, tmp_path, "run", *more) == 0
    (row,) = read_summary(tmp_path / "results" / "tiny")
    assert (row["lossless"], row["lossless_evidence"], row["tree"]) == ("true", "exact", tree)


@pytest.mark.parametrize(
    "scheduler", ["threshold", "hardware_aware", "hardware_aware_async", "goodput"]
)
def test_trees_are_cut_and_output_stays(tiny_zoo: TinyZoo, tmp_path: Path, scheduler: str) -> None:
    more = ("temperature=0", "load.concurrency=2", "tree=best_first", f"scheduler={scheduler}")
    assert typed(tiny_zoo, tmp_path, "run", *more, "cost=flat") == 0
    (row,) = read_summary(tmp_path / "results" / "tiny")
    assert (row["lossless"], row["lossless_evidence"]) == ("true", "exact")
    assert float(row["foreseen_length"]) > 1
    assert row["speedup_theory"] == "" and row["confidence_kind"] == ""


def test_match_judges_chains(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    more = ("acceptance=match", "drafter=parallel", f"drafter.path={tiny_zoo.parallel}")
    assert typed(tiny_zoo, tmp_path, "run", *more) == 0
    (row,) = read_summary(tmp_path / "results" / "tiny")
    assert (row["acceptance"], row["tree"]) == ("match", "none")
    assert float(row["speedup_theory"]) > 0


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("tree.nodes=0",), "tree.nodes is 0; valid: 1 to 1024"),
        (("tree.nodes=two",), "tree.nodes is 'two'; valid: a whole number"),
        (("tree.depth=2",), "tree=best_first has no key 'depth'; valid: nodes"),
        (
            ("scheduler=batch_size", "scheduler.table=[[1,2]]"),
            "scheduler=batch_size schedules chains only; valid with tree=best_first: fixed, good",
        ),
        (
            ("tree=sampled", "scheduler=goodput"),
            "scheduler=goodput cuts trees by what their nodes are worth, which tree=sampled does",
        ),
        (
            ("acceptance=block",),
            "acceptance=block judges chains only; valid with tree=best_first: exact, match, replay",
        ),
        (
            ("acceptance=forced", "acceptance.rates=0.7"),
            "acceptance=forced judges chains only; valid with tree=best_first: exact, match",
        ),
        (
            ("tree=static", "tree.paths=[[0],[1,0]]"),
            "tree.paths holds [1, 0] without [1]; valid: every path together with the one",
        ),
        (
            ("tree=static", "tree.paths=[[0],[0,0],[0,0,0]]", "gamma=2"),
            "tree=static is 3 deep, but gamma is 2; valid: a tree no deeper than gamma, or gamma=3",
        ),
        (("tree=static", "tree.paths=[]"), "tree.paths is []; valid: a list of paths"),
        (("tree=best",), "tree/best"),
    ],
)
def test_what_cannot_work_is_one_line(
    tiny_zoo: TinyZoo,
    tmp_path: Path,
    more: tuple[str, ...],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tree = () if any(o.startswith("tree=") for o in more) else ("tree=best_first",)
    assert typed(tiny_zoo, tmp_path, "run", *tree, *more, "--dry-run") == 2
    assert said in capsys.readouterr().err


def test_drafters_of_chains_refuse_a_tree(
    tiny_zoo: TinyZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [o for o in tiny_overrides(tiny_zoo, tmp_path) if not o.startswith("drafter")]
    more = ("drafter=ngram", "tree=best_first", "--dry-run")
    assert execute(["run", *given, *more]) == 2
    expected = (
        "drafter=ngram drafts chains only; valid with tree=best_first: ar, eagle, hydra, jetspec, "
        "medusa, mtp, parallel, semi_ar, suffix"
    )
    assert expected in capsys.readouterr().err


def test_a_drafter_that_runs_once_per_depth_grows_trees(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    given = [o for o in tiny_overrides(tiny_zoo, tmp_path) if not o.startswith("drafter")]
    more = ("drafter=ar", f"drafter.path={tiny_zoo.ar}", "temperature=0", "tree=best_first")
    assert execute(["run", *given, *more, "load.concurrency=2", "gamma=3"]) == 0
    (row,) = read_summary(tmp_path / "results" / "tiny")
    assert (row["lossless"], row["lossless_evidence"]) == ("true", "exact")


def test_ranks_beyond_the_vocabulary(
    tiny_zoo: TinyZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed(tiny_zoo, tmp_path, "run", "tree=static", "tree.paths=[[99999]]") != 0
    said = capsys.readouterr()
    assert "has the rank 99999; valid for this target: 0 to" in said.err + said.out


@pytest.mark.parametrize("verb", ["calibrate", "profile"])
def test_commands_of_chains_refuse_a_tree(
    tiny_zoo: TinyZoo, tmp_path: Path, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed(tiny_zoo, tmp_path, verb, "tree=best_first") == 2
    expected = f"{verb} looks at chains, tree is best_first; valid: tree=none"
    assert expected in capsys.readouterr().err


def test_no_tree_is_the_point_that_it_was(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    given = [o for o in tiny_overrides(tiny_zoo, tmp_path) if not o.startswith("drafter")]
    for more in ("tree=best_first", "tree.nodes=5"):
        assert execute(["run", *given, "drafter=none", more]) == 0
    assert len(read_summary(tmp_path / "results" / "tiny")) == 1


def test_drafters_with_trees_of_their_own_are_refused(
    tiny_zoo: TinyZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever judges them: figures and cache rows would be those of chains."""
    options = own_drafter(tmp_path, "tests.plugins.TreeSayingDrafter", max_gamma=4)
    given = [o for o in tiny_overrides(tiny_zoo, tmp_path) if not o.startswith("drafter")]
    more = ("drafter=mine", "gamma=2", "acceptance=match")
    assert execute(["run", *options, *given, *more]) != 0
    shown = capsys.readouterr()
    said = " ".join((shown.err + shown.out).split())
    assert "drafter=mine proposes trees of its own (spec.num_nodes is 3); valid: None" in said


def test_a_checkpoint_that_cannot_branch_is_told_from_a_drafter_that_cannot(
    tiny_zoo: TinyZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = own_drafter(tmp_path, "tests.plugins.SometimesBranchingDrafter", max_gamma=4)
    given = [o for o in tiny_overrides(tiny_zoo, tmp_path) if not o.startswith("drafter")]
    assert execute(["run", *options, *given, "drafter=mine", "gamma=2", "tree=best_first"]) != 0
    shown = capsys.readouterr()
    said = " ".join((shown.err + shown.out).split())
    assert "drafter=mine drafts chains only with this checkpoint; valid with it: tree=none" in said


def test_trees_that_leave_no_position_say_so(
    tiny_zoo: TinyZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed(tiny_zoo, tmp_path, "run", "tree=best_first", "tree.nodes=255") != 0
    shown = capsys.readouterr()
    said = " ".join((shown.err + shown.out).split())
    assert "drafts take up to 256 of this target's 256 positions" in said
    assert typed(tiny_zoo, tmp_path, "run", "tree=best_first", "tree.nodes=250") != 0
    shown = capsys.readouterr()
    assert "max_new_tokens is 8; valid for this target: 1 to 4 (" in shown.err + shown.out


def test_a_tree_on_its_own_is_named_where_its_figures_are(
    tiny_zoo: TinyZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed(tiny_zoo, tmp_path, "run", "tree=best_first", "tree.nodes=3") == 0
    assert "[1/1] semi_ar gamma=4 jsonl tree=best_first: S = " in capsys.readouterr().out


def test_a_prompt_needs_room_for_all_nodes_of_a_tree(
    tiny_zoo: TinyZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = ("tree=best_first", "tree.nodes=32")
    for more, said in (
        ((), "1 to 251 (256 positions - 4 for"),
        (tree, "1 to 222 (256 positions - 33"),
    ):
        assert typed(tiny_zoo, tmp_path, "run", "gamma=3", "max_new_tokens=999", *more) == 2
        assert said in capsys.readouterr().err
