"""Experiments of several sweeps: what the files mean, and a small one run to its end."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from dspark_bench import cli
from dspark_bench.commands.sweep_list import plan_sweep_list, run_sweep_list
from dspark_bench.commands.sweep_plan import SweepRequest, plan_sweep
from dspark_bench.config.expand import expand
from dspark_bench.config.sweep_lists import (
    SweepList,
    read_sweep_list,
    refuse_sweep_list,
    with_plain_group,
)
from dspark_bench.core.errors import PointsFailedError, UsageError
from dspark_bench.measure.block_plan import plan_blocks
from dspark_bench.measure.identity import HashCache
from dspark_bench.store.round_store import BLOCKS
from tests.sweeps import read_summary, tiny_overrides
from tests.tiny_models import TinyZoo

_UNION = """# dspark-bench sweep +experiment=union
settings: {gamma: 7, seed: 1}
sweeps:
  - {scheduler: fixed, gamma: "1,2"}
  - {scheduler: threshold}
full:
  - {load.concurrency: 1}
  - {load.concurrency: "2,4", seed: 3}
quick: {load.concurrency: null}
"""


def _write(folder: Path, **files: str) -> Path:
    (folder / "experiment").mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / "experiment" / f"{name}.yaml").write_text(text)
    return folder


def _read(overrides: list[str], is_quick: bool = False, folder: Path | None = None) -> SweepList:
    found = read_sweep_list(overrides, is_quick, folder)
    assert found is not None
    return found


def test_every_sweep_meets_every_entry_of_the_size(tmp_path: Path) -> None:
    folder = _write(tmp_path, union=_UNION)
    found = _read(["+experiment=union"], folder=folder)
    assert (found.name, found.is_suite, found.is_beside_paper) == ("union", False, False)
    (exhibit,) = found.exhibits
    assert exhibit.sweeps == (
        ("gamma=1,2", "seed=1", "scheduler=fixed", "load.concurrency=1"),
        ("gamma=1,2", "seed=3", "scheduler=fixed", "load.concurrency=2,4"),
        ("gamma=7", "seed=1", "scheduler=threshold", "load.concurrency=1"),
        ("gamma=7", "seed=3", "scheduler=threshold", "load.concurrency=2,4"),
    )


def test_what_is_typed_wins_and_equal_sweeps_are_one(tmp_path: Path) -> None:
    folder = _write(tmp_path, union=_UNION)
    typed = ["experiment=union", "scheduler=fixed", "gamma=3", "load.concurrency=8"]
    found = _read(typed, is_quick=True, folder=folder)
    assert found.name == "union-quick"
    kept = ("seed=1", "scheduler=fixed", "gamma=3", "load.concurrency=8")
    assert found.exhibits[0].sweeps == (kept,)
    plain = _read(["experiment=union"], is_quick=True, folder=folder)
    assert "load.concurrency=null" in plain.exhibits[0].sweeps[0]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("full: {gamma: 1}\nextra: 1", "has extra; valid: settings, sweeps, full, quick"),
        ("full: 3", "full is 3; valid"),
        ("full: {gamma: 1}\nsweeps: [a]", "sweeps is"),
        ("experiments: [absent]", "experiments names 'absent'"),
        ("experiments: [mine]", "experiments names 'mine'"),
        ("experiments: 7", "experiments is 7; valid: a list of names"),
        ("full: [", "cannot read mine.yaml"),
        ("quick: {gamma: 1}", "mine.yaml has no full size"),
    ],
)
def test_files_that_do_not_fit(tmp_path: Path, text: str, complaint: str) -> None:
    folder = _write(tmp_path, mine=text)
    with pytest.raises(UsageError, match=complaint):
        read_sweep_list(["+experiment=mine"], config_dir=folder)


def test_other_commands_are_none_of_its_business(capsys: pytest.CaptureFixture[str]) -> None:
    assert read_sweep_list(["gamma=2"]) is None
    assert read_sweep_list(["experiment=math_greedy"]) is None
    assert with_plain_group(["+experiment=math_greedy", "+a=1"]) == (
        "experiment=math_greedy",
        "+a=1",
    )
    with pytest.raises(UsageError, match="--quick needs an experiment with sizes"):
        read_sweep_list(["experiment=math_greedy"], is_quick=True)
    with pytest.raises(UsageError, match="only sweep takes it"):
        refuse_sweep_list(["+experiment=table1"])
    for command in (["run", "+experiment=table1"], ["sweep", "+experiment=paper", "--cfg", "job"]):
        assert cli.execute(command) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert cli.execute(["sweep", "+experiment=math_greedy", "--cfg", "job"]) == 0
    assert "temperature: 0.0" in capsys.readouterr().out


def test_the_papers_exhibits_have_the_points_that_they_state() -> None:
    def sizes(is_quick: bool) -> dict[str, int]:
        found = _read(["+experiment=paper"], is_quick)
        assert found.is_suite and found.is_beside_paper
        return {
            exhibit.name: sum(len(expand(sweep).points) for sweep in exhibit.sweeps)
            for exhibit in found.exhibits
        }

    assert sizes(is_quick=True) == {
        "table1": 3 * 3,
        "depth": 4 * 3,
        "draft_length": 3 * 4,
        "threshold": 4 * 2,
        "reliability": 2,
        "frontier": (4 + 1) * 3,
        "load": 2 * 3,
    }
    assert sizes(is_quick=False) == {
        "table1": 3 * 3,
        "depth": 4 * 3,
        "draft_length": 3 * 10 * 3,
        "threshold": 10 * 3,
        "reliability": 2,
        "frontier": (4 + 1) * 7,
        "load": 2 * 7,
    }


@pytest.mark.parametrize("is_quick", [True, False])
def test_exhibits_that_profile_costs_have_prompts_for_it(is_quick: bool) -> None:
    points = [
        set(point)
        for exhibit in _read(["+experiment=paper"], is_quick).exhibits
        for sweep in exhibit.sweeps
        for point in expand(sweep).points
    ]
    aware = [point for point in points if "scheduler=hardware_aware" in point]
    assert aware and not any("measure.calibration_requests=0" in point for point in aware)


def test_the_last_point_of_every_exhibit_is_valid_on_the_zoo() -> None:
    """One point of each: checking all of them is what the slow test below does."""
    hashes = HashCache()
    for exhibit in _read(["+experiment=paper"]).exhibits:
        last = expand(exhibit.sweeps[-1]).points[-1]
        _, (planned,) = plan_sweep(last, hashes)
        assert planned.config.has_drafter


@pytest.mark.parametrize(("name", "num_arms"), [("frontier", 5), ("load", 2)])
def test_schedulers_that_are_compared_share_a_block(
    name: str, num_arms: int, tmp_path: Path
) -> None:
    """As planned: a block per load, with fixed lengths and hardware_aware side by side."""
    overrides = (f"+experiment={name}", f"results_dir={tmp_path}")
    found = _read(list(overrides), is_quick=True)
    (part,) = plan_sweep_list(found, SweepRequest(overrides), Console(quiet=True))
    blocks = plan_blocks(part.sweep.points)
    users = [{p.config.load.arguments["concurrency"] for p in block.points} for block in blocks]
    assert users == [{1}, {4}, {16}]
    keys = {"gamma", "load.concurrency", "scheduler"} - ({"gamma"} if name == "load" else set())
    assert set(part.sweep.plan.swept_keys) == keys  # what rows are called by
    for block in blocks:
        assert len(block.points) == num_arms
        assert {point.config.scheduler.name for point in block.points} == {
            "fixed",
            "hardware_aware",
        }


@pytest.mark.slow
@pytest.mark.parametrize("is_quick", [True, False])
def test_every_point_of_every_exhibit_is_valid_on_the_zoo(is_quick: bool) -> None:
    hashes = HashCache()
    for exhibit in _read(["+experiment=paper"], is_quick).exhibits:
        for sweep in exhibit.sweeps:
            _, planned = plan_sweep(sweep, hashes)
            assert len(planned) == len(expand(sweep).points)
            assert all(point.config.has_drafter for point in planned)


def test_a_suite_fills_its_folders_shares_points_and_resumes(
    tiny_zoo: TinyZoo, tmp_path: Path
) -> None:
    folder = _write(
        tmp_path / "conf",
        lengths="full: {gamma: 3}",
        more="sweeps:\n  - {gamma: 3}\n  - {gamma: 3, seed: 1}\nfull: {temperature: 1.0}",
        both="experiments: [lengths, more]",
    )
    overrides = (
        *tiny_overrides(tiny_zoo, tmp_path),
        *("measure.calibration_requests=0", "measure.agreement_requests=0", "+experiment=both"),
    )

    def run(is_fresh: bool = False) -> str:
        console = Console(file=io.StringIO(), width=120)
        found = _read(list(overrides), folder=folder)
        run_sweep_list(found, SweepRequest(overrides, folder, is_fresh), console)
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue()

    shown = run()
    root = tmp_path / "results" / "tiny"
    assert "both: 3 points in 2 folders, 2 distinct" in shown
    assert "1 point measured for another exhibit" in shown
    rows = {name: read_summary(root / name) for name in ("lengths", "more")}
    assert sorted(row["gamma"] for row in rows["lengths"]) == ["3"]
    assert sorted(row["seed"] for row in rows["more"]) == ["0", "1"]
    assert {row["status"] for name in rows for row in rows[name]} == {"finished"}
    shared = {row["point_id"] for row in rows["lengths"]} & {r["point_id"] for r in rows["more"]}
    assert len(shared) == 1
    commands = json.loads((root / "more" / "sweep.json").read_text())["commands"]
    assert ["seed=1" in command for command in commands] == [False, True]
    stamps = {path: path.stat().st_mtime_ns for path in root.glob("*/points/*/metrics.json")}
    assert "S =" not in run()
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    assert run(is_fresh=True).count("S =") == 2
    assert not (tmp_path / "results" / "more").exists()


def test_fresh_measures_interrupted_blocks_of_a_list_from_their_first_round(
    tiny_zoo: TinyZoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _write(tmp_path / "conf", lengths="sweeps: [{gamma: 2}]\nfull: {temperature: 1.0}")
    overrides = (*tiny_overrides(tiny_zoo, tmp_path), "+experiment=lengths")
    found = _read(list(overrides), folder=folder)
    request = SweepRequest(overrides, folder, is_fresh=True)
    (part,) = plan_sweep_list(found, request, Console(quiet=True))
    kept = part.folder / BLOCKS
    for name, arm in (("a-block-of-before", part.point_ids[0]), ("another", "0" * 16)):
        (kept / name / "0000").mkdir(parents=True)
        turns = {"turns": [{"arm": "baseline"}, {"arm": arm}, {"arm": "1" * 16}]}
        (kept / name / "0000" / "turns.json").write_text(json.dumps(turns))
    seen: list[list[str]] = []

    def measured(*given: Any) -> None:
        seen.append([path.name for path in kept.iterdir()])
        raise PointsFailedError("enough")

    monkeypatch.setattr("dspark_bench.commands.sweep_list.run_planned", measured)
    with pytest.raises(PointsFailedError):
        run_sweep_list(found, request, Console(quiet=True))
    assert seen == [["another"]]


def test_mistakes_are_found_before_anything_runs(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    folder = _write(tmp_path / "conf", mine="sweeps: [{gamma: 2}, {gamma: 99}]\nfull: {seed: 1}")
    overrides = (*tiny_overrides(tiny_zoo, tmp_path), "+experiment=mine")
    found = _read(list(overrides), folder=folder)
    with pytest.raises(UsageError, match="gamma is 99"):
        run_sweep_list(found, SweepRequest(overrides, folder), Console(quiet=True))
    assert not (tmp_path / "results").exists()
