"""Schedulers and step costs as a user types them, on the tiny checkpoints."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from dspark_bench import cli
from dspark_bench.plots.figures import Figure, draw_all
from dspark_bench.plots.results import load_results
from tests.plots.folders import assert_from_summary
from tests.sweeps import read_summary, tiny_overrides
from tests.tiny_models import TinyZoo


@pytest.fixture(scope="module")
def profiled(tiny_zoo: TinyZoo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prompts, and results in which `profile` has kept the step costs of gamma=2."""
    folder = tmp_path_factory.mktemp("profiled")
    assert cli.execute(["profile", *tiny_overrides(tiny_zoo, folder, "gamma=2")]) == 0
    return folder


def test_a_sweep_over_schedulers_and_concurrency(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    overrides = tiny_overrides(
        tiny_zoo,
        tmp_path,
        "gamma=3",
        "scheduler=fixed,hardware_aware,oracle",
        "load.concurrency=1,3",
        "num_requests=4",
    )
    assert cli.execute(["sweep", *overrides]) == 0
    folder = tmp_path / "results" / "tiny"
    rows = {(row["scheduler"], row["concurrency"]): row for row in read_summary(folder)}
    assert len(rows) == 6
    assert rows["oracle", "3"]["lossless"] == "false"
    assert rows["fixed", "3"]["lossless"] == ""
    assert float(rows["fixed", "3"]["verify_budget"]) > 3.5
    for (scheduler, _), row in rows.items():
        cycles = pd.read_parquet(folder / "points" / row["point_id"] / "cycles.parquet")
        decode = cycles[(cycles["arm"] == "speculative") & ~cycles["is_prefill"]]
        assert (decode["verify_len"] <= decode["num_drafted"]).all()
        point = folder / "points" / row["point_id"]
        assert (point / "cost_surface.json").is_file() == (scheduler != "fixed")
        assert (point / "timeline.csv").is_file() == (row["concurrency"] == "3")
        if scheduler == "oracle":
            assert (decode["num_accepted"] == decode["verify_len"]).all()
    kept = list((tmp_path / "results" / ".costs").glob("*.json"))
    assert len(kept) == 2
    stored = folder / "points" / rows["oracle", "3"]["point_id"] / "cost_surface.json"
    assert json.loads(stored.read_text()) in [json.loads(path.read_text()) for path in kept]
    busy = ("load", "frontier", "cost_curve", "timeline", "reliability")
    figures = {figure.kind: figure for figure in draw_all(load_results(folder), kinds=busy)}
    for kind, names in (
        ("load", ("speedup", "speedup_ci_low", "verify_budget")),
        ("frontier", ("tok_s_per_user", "baseline_tok_s_per_user", "baseline_tok_s")),
    ):
        figure = figures[kind]
        assert isinstance(figure, Figure) and len(figure.data) == 6
        assert_from_summary(figure.data, folder, *names)
    assert all(isinstance(figure, Figure) for figure in figures.values())


def test_exploration_marks_cycles_that_no_confidence_chose(
    tiny_zoo: TinyZoo, tmp_path: Path
) -> None:
    overrides = tiny_overrides(
        tiny_zoo, tmp_path, "gamma=3", "scheduler=hardware_aware",
        "scheduler.exploration_period=2", "cost=flat", "max_new_tokens=16",
    )  # fmt: skip
    assert cli.execute(["run", *overrides]) == 0
    row = read_summary(tmp_path / "results" / "tiny")[0]
    assert row["alpha"] != "" and row["alpha_scheduled"] != ""
    assert row["speedup_model"] == ""  # it predicts drafts of one length, all verified
    folder = tmp_path / "results" / "tiny" / "points" / row["point_id"]
    cycles = pd.read_parquet(folder / "cycles.parquet")
    decode = cycles[(cycles["arm"] == "speculative") & ~cycles["is_prefill"]]
    explored = decode["full_width"].to_numpy(dtype=bool)
    pairs = explored[: len(explored) // 2 * 2].reshape(-1, 2)  # over all turns, warm-up included
    assert (pairs.sum(axis=1) == 1).all()
    assert (decode.loc[explored, ["num_drafted", "verify_len"]] == 3).to_numpy().all()


def test_profile_prints_writes_and_is_read_back(
    tiny_zoo: TinyZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = tiny_overrides(tiny_zoo, tmp_path, "gamma=2", "load.concurrency=2")
    assert cli.execute(["profile", *overrides]) == 0
    shown = capsys.readouterr().out
    assert "cycle without drafting, ms" in shown
    files = list((tmp_path / "results" / ".costs").glob("*.json"))
    assert len(files) == 1
    surface = json.loads(files[0].read_text())["surface"]
    assert surface["requests"] == [1, 2] and surface["widths"] == [0, 1, 2]
    again = [*overrides, "scheduler=hardware_aware", "cost=file", f"cost.path={files[0]}"]
    assert cli.execute(["run", *again]) == 0


def test_a_kept_surface_that_no_longer_fits_is_measured_again(
    tiny_zoo: TinyZoo, profiled: Path, tmp_path: Path
) -> None:
    results = shutil.copytree(profiled / "results", tmp_path / "results")
    overrides = tiny_overrides(tiny_zoo, profiled, "gamma=2", f"results_dir={results}")
    (path,) = (tmp_path / "results" / ".costs").glob("*.json")
    content = json.loads(path.read_text())
    slow = [[1000 * value for value in row] for row in content["surface"]["step_s"]]
    path.write_text(json.dumps({"surface": content["surface"] | {"step_s": slow}}))
    assert cli.execute(["run", *overrides, "scheduler=hardware_aware"]) == 0
    assert [*(tmp_path / "results" / ".costs").glob("*.json")] == [path]
    assert json.loads(path.read_text())["surface"]["step_s"][0][0] < slow[0][0] / 10


def test_a_kept_surface_that_is_damaged_is_measured_again_and_named(
    tiny_zoo: TinyZoo, profiled: Path, tmp_path: Path
) -> None:
    results = shutil.copytree(profiled / "results", tmp_path / "results")
    overrides = tiny_overrides(tiny_zoo, profiled, "gamma=2", f"results_dir={results}")
    (path,) = (tmp_path / "results" / ".costs").glob("*.json")
    path.write_bytes(path.read_bytes()[:100])
    assert cli.execute(["run", *overrides, "scheduler=hardware_aware"]) == 0
    assert json.loads(path.read_text())["surface"]["requests"] == [1]
    (metrics,) = (tmp_path / "results" / "tiny" / "points").glob("*/metrics.json")
    assert f"{path.name} was damaged and has been measured again" in metrics.read_text()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["drafter=none", "scheduler=hardware_aware"], "scheduler=hardware_aware needs a drafter"),
        (["scheduler=hardware_aware", "cost=file"], "cost.path is not given"),
        (["scheduler=hardware_aware", "scheduler.reserve=2"], "scheduler.reserve is 2"),
        (["scheduler=threshold", "scheduler.threshold=-1"], "scheduler.threshold is -1"),
        (["scheduler=batch_size", "scheduler.table=[[0,1]]"], "scheduler.table has [0,1]"),
        (["scheduler=hardware_aware", "cost=online", "cost.clip=0"], "cost.clip is 0"),
        (["scheduler=nonsense"], "nonsense"),
    ],
)
def test_what_cannot_be_scheduled_is_one_line(
    tiny_zoo: TinyZoo,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    overrides: list[str],
    message: str,
) -> None:
    given = tiny_overrides(tiny_zoo, tmp_path)
    if "drafter=none" in overrides:
        given = [o for o in given if not o.startswith("drafter")]
    assert cli.execute(["run", *given, *overrides]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "results").exists()


def test_profiling_nothing_is_one_line(
    tiny_zoo: TinyZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [o for o in tiny_overrides(tiny_zoo, tmp_path) if not o.startswith("drafter")]
    assert cli.execute(["profile", *given, "drafter=none"]) == 2
    assert "drafter=none has no step costs" in capsys.readouterr().err
