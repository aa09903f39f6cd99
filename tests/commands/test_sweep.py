"""Sweeps end to end over tiny checkpoints, in process."""

import io
import json
import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from dspark_bench.commands import block_task as task_module
from dspark_bench.commands.block_task import BlockTask
from dspark_bench.commands.display import SweepDisplay
from dspark_bench.commands.sweep import run_sweep
from dspark_bench.commands.sweep_plan import SweepRequest
from dspark_bench.core.errors import PointsFailedError, ResultsError, UsageError
from dspark_bench.core.protocols import Load
from dspark_bench.core.records import RunResult
from dspark_bench.core.types import Request
from dspark_bench.engine.engine import Engine
from dspark_bench.machine.environment import read_environment
from dspark_bench.measure.timing_lock import timing_lock
from dspark_bench.reading.rows import Row
from dspark_bench.store.tables import COLUMNS
from tests.sweeps import read_summary, tiny_overrides
from tests.tiny_models import TinyZoo

_MINE = """# dspark-bench run drafter=mine
_target_: tests.plugins.UniformDrafter
max_gamma: 4
fails_at: 0
"""


def _sweep(
    overrides: list[str], config_dir: Path | None = None, fresh: bool = False
) -> tuple[list[Row], str]:
    console = Console(file=io.StringIO(), width=120)
    rows = run_sweep(SweepRequest(tuple(overrides), config_dir, fresh), console)
    assert isinstance(console.file, io.StringIO)
    return rows, console.file.getvalue()


@pytest.fixture
def config_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "conf"
    (folder / "drafter").mkdir(parents=True)
    (folder / "drafter" / "mine.yaml").write_text(_MINE)
    return folder


def _mine(zoo: TinyZoo, folder: Path, *more: str) -> list[str]:
    kept = [o for o in tiny_overrides(zoo, folder) if not o.startswith("drafter")]
    return [*kept, "drafter=mine", *more]


def test_a_run_says_what_its_target_ran_on(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    rows, _ = _sweep(tiny_overrides(tiny_zoo, tmp_path, "engine.kernels=auto,torch"))
    points = tmp_path / "results" / "tiny" / "points"
    seen = [
        json.loads((points / row["point_id"] / "environment.json").read_text())["kernels"]
        for row in rows
    ]
    assert [row["kernels"] for row in rows] == ["compiled", "torch"]
    assert seen[0].startswith("compiled: numba for ") and seen[1] == "torch: engine.kernels=torch"


def test_prompts_are_read_as_the_point_says(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    """In chunks, both arms: the same tokens, more cycles that read and emit nothing."""
    changes = ("engine.prefill_tokens=4,null", "load.concurrency=2", "max_new_tokens=8")
    rows, _ = _sweep(tiny_overrides(tiny_zoo, tmp_path, *changes))
    points, silent, texts = tmp_path / "results" / "tiny" / "points", [], []
    for row in rows:
        assert row["status"] == "finished"
        folder = points / str(row["point_id"])
        cycles = pd.read_parquet(folder / "cycles.parquet")
        reading = cycles[cycles["is_prefill"]]
        assert set(reading["num_emitted"]) <= {0, 1} and set(reading["num_drafted"]) == {0}
        silent.append(reading[reading["num_emitted"] == 0].groupby("arm").size().to_dict())
        requests = pd.read_parquet(folder / "requests.parquet")
        key = ["arm", "repeat", "block", "request_id"]
        texts.append(requests.set_index(key)["output_tokens"].map(tuple).to_dict())
    assert set(silent[0]) == {"baseline", "speculative"} and silent[1] == {}
    shared = set(texts[0]) & set(texts[1])
    assert shared and all(texts[0][key] == texts[1][key] for key in shared)


def test_writes_what_the_contract_lists_and_nothing_else(
    tiny_zoo: TinyZoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows, shown = _sweep(tiny_overrides(tiny_zoo, tmp_path, "gamma=2,4"))
    folder = tmp_path / "results" / "tiny"
    assert [row["gamma"] for row in rows] == [2, 4]
    assert "[2/2] semi_ar gamma=4 jsonl: S = " in shown
    assert sorted(path.name for path in tmp_path.iterdir()) == ["prompts.jsonl", "results"]
    assert sorted(path.name for path in folder.iterdir()) == [
        "points",
        "summary.csv",
        "sweep.json",
    ]
    summary = read_summary(folder)
    assert list(summary[0])[: len(COLUMNS)] == list(COLUMNS)
    assert {row["status"] for row in summary} == {"finished"}
    assert [point["status"] for point in _states(folder)] == ["finished", "finished"]
    for row in summary:
        point = folder / "points" / row["point_id"]
        assert sorted(path.name for path in point.iterdir()) == [
            "config.yaml",
            "cycles.parquet",
            "environment.json",
            "metrics.json",
            "reliability.csv",
            "requests.parquet",
        ]
        assert (row["drafter_class"], row["drafter_head"]) == ("semi_ar", "vanilla")
        assert int(row["drafter_layers"]) >= 1


def test_records_are_flagged_and_complete(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    rows, _ = _sweep(tiny_overrides(tiny_zoo, tmp_path, "measure.repeats=2"))
    point = tmp_path / "results" / "tiny" / "points" / rows[0]["point_id"]
    cycles = pd.read_parquet(point / "cycles.parquet")
    requests = pd.read_parquet(point / "requests.parquet")
    assert set(cycles["arm"]) == {"baseline", "speculative"}
    timed = requests[~requests["is_warmup"]]
    assert len(timed) == 2 * 2 * 2
    assert set(timed["block"]) == {0, 1, 2, 3}
    emitted = cycles.groupby(["arm", "repeat", "block", "request_id"])["num_emitted"].sum()
    lengths = requests.set_index(["arm", "repeat", "block", "request_id"])["output_tokens"]
    assert emitted.sort_index().tolist() == lengths.map(len).sort_index().tolist()


def test_greedy_points_compare_the_arms_with_a_control(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    rows, _ = _sweep(tiny_overrides(tiny_zoo, tmp_path, "temperature=0"))
    assert rows[0]["lossless_evidence"] in ("exact", "near_tie")
    metrics = _metrics(tmp_path, rows[0])
    assert metrics["lossless"]["comparison"]["num_compared"] == 2
    assert metrics["lossless"]["control"]["num_compared"] == 2


def test_the_model_comes_from_prompts_that_are_not_timed(
    tiny_zoo: TinyZoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every engine's prompts, in order: those of the timed turns are never met elsewhere."""
    served: list[tuple[str, ...]] = []
    steps = Engine.steps

    def spy(
        engine: Engine, requests: Sequence[Request], load: Load, seed: int
    ) -> Iterator[RunResult]:
        served.append(tuple(request.prompt_id for request in requests))
        return steps(engine, requests, load, seed)

    monkeypatch.setattr(Engine, "steps", spy)
    rows, _ = _sweep(tiny_overrides(tiny_zoo, tmp_path, "gamma=3"))
    point = tmp_path / "results" / "tiny" / "points" / rows[0]["point_id"]
    requests = pd.read_parquet(point / "requests.parquet")
    timed = set(requests["prompt_id"])
    turns = [prompts for prompts in served if set(prompts) <= timed]
    others = [prompts for prompts in served if not set(prompts) <= timed]
    assert len(timed) == 2
    assert len(turns) == len(requests.groupby(["arm", "repeat", "block"])), "no turn beside these"
    aside = {prompt for prompts in others for prompt in prompts}
    assert len(aside) == 2 and not aside & timed
    # before and after the turns one run per prompt and length; the last one gives acceptance
    assert served.index(turns[0]) > 0 and set(served[-1]) == aside
    assert rows[0]["speedup_model"] > 0
    assert len(_metrics(tmp_path, rows[0])["positions"]["agreement"]) == 3


def test_without_other_prompts_there_is_no_model(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    rows, _ = _sweep(tiny_overrides(tiny_zoo, tmp_path, "measure.calibration_requests=0"))
    assert rows[0]["speedup_model"] is None


def test_every_drafter_runs_and_none_reads_one(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    base = [o for o in tiny_overrides(tiny_zoo, tmp_path) if not o.startswith("drafter")]
    _sweep([*base, "drafter=parallel", f"drafter.path={tiny_zoo.parallel}"])
    _sweep([*base, "drafter=ar", f"drafter.path={tiny_zoo.ar}"])
    rows, _ = _sweep([*base, "drafter=none", "gamma=2,4"])
    assert len(rows) == 1
    assert rows[0]["accepted_length"] == 1
    assert rows[0]["speedup_model"] is None
    assert len(read_summary(tmp_path / "results" / "tiny")) == 3


def test_larger_batches_run(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    rows, _ = _sweep(tiny_overrides(tiny_zoo, tmp_path, "load.concurrency=1,2"))
    assert [row["concurrency"] for row in rows] == [1, 2]
    assert rows[1]["load.concurrency"] == 2


def test_the_same_command_keeps_finished_points(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    overrides = tiny_overrides(tiny_zoo, tmp_path, "gamma=2,4")
    _sweep(overrides)
    before = _stamps(tmp_path)
    _, shown = _sweep(overrides)
    assert "2 of 2 points were there already" in shown
    assert _stamps(tmp_path) == before
    _sweep(tiny_overrides(tiny_zoo, tmp_path, "gamma=8"))
    assert len(read_summary(tmp_path / "results" / "tiny")) == 3
    _sweep(overrides, fresh=True)
    after = _stamps(tmp_path)
    assert before.keys() < after.keys()
    assert all(after[name] > before[name] for name in before)


def test_points_of_other_code_or_machine_are_marked_stale(
    tiny_zoo: TinyZoo, tmp_path: Path
) -> None:
    """By either alone; as it was written, the point is finished."""
    overrides = tiny_overrides(tiny_zoo, tmp_path)
    rows, _ = _sweep(overrides)
    path = tmp_path / "results" / "tiny" / "points" / rows[0]["point_id"] / "environment.json"
    environment = json.loads(path.read_text())
    for changed in ({"code_hash": "0" * 16}, {"machine_id": "0" * 16}):
        assert environment[next(iter(changed))] != "0" * 16
        path.write_text(json.dumps(environment | changed))
        rows, shown = _sweep(overrides)
        assert rows[0]["status"] == "stale"
        assert "--fresh" in shown
    path.write_text(json.dumps(environment))
    rows, _ = _sweep(overrides)
    assert rows[0]["status"] == "finished"


def test_a_point_that_was_timed_beside_another_run_says_so(
    tiny_zoo: TinyZoo, tmp_path: Path
) -> None:
    with timing_lock():
        rows, shown = _sweep(tiny_overrides(tiny_zoo, tmp_path))
    assert rows[0]["status"] == "timing_invalid"
    assert "timing_invalid: another timed run shared this machine" in shown
    (stored,) = read_summary(tmp_path / "results" / "tiny")
    assert (stored["status"], stored["timing_invalid"]) == ("timing_invalid", "true")


def test_a_users_class_enters_through_config_dir(
    tiny_zoo: TinyZoo, tmp_path: Path, config_dir: Path
) -> None:
    rows, _ = _sweep(_mine(tiny_zoo, tmp_path, "gamma=2"), config_dir)
    assert rows[0]["drafter"] == "mine"
    assert rows[0]["gamma_trained"] == 4
    with pytest.raises(UsageError, match="gamma is 5; valid for drafter=mine: 1 to 4"):
        _sweep(_mine(tiny_zoo, tmp_path, "gamma=5"), config_dir)


def test_a_users_class_may_read_files_of_its_own_format(
    tiny_zoo: TinyZoo, tmp_path: Path, config_dir: Path
) -> None:
    weights = tmp_path / "weights.txt"
    weights.write_text("1")
    overrides = _mine(tiny_zoo, tmp_path, "gamma=2", f"+drafter.path={weights}")
    first, _ = _sweep(overrides, config_dir)
    weights.write_text("2")
    second, _ = _sweep(overrides, config_dir)
    assert first[0]["point_id"] != second[0]["point_id"]
    with pytest.raises(UsageError, match="no such file or folder"):
        _sweep(_mine(tiny_zoo, tmp_path, "+drafter.path=absent"), config_dir)


def test_a_users_class_that_cannot_be_imported_or_called(
    tiny_zoo: TinyZoo, tmp_path: Path, config_dir: Path
) -> None:
    with pytest.raises(UsageError, match="drafter=mine has no key 'wrong'"):
        _sweep(_mine(tiny_zoo, tmp_path, "+drafter.wrong=1"), config_dir)
    mine = config_dir / "drafter" / "mine.yaml"
    mine.write_text(_MINE.replace("tests.plugins", "no_such_module"))
    with pytest.raises(UsageError, match=r"cannot import no_such_module.*PYTHONPATH"):
        _sweep(_mine(tiny_zoo, tmp_path), config_dir)


def test_a_failing_point_does_not_stop_the_others(
    tiny_zoo: TinyZoo, tmp_path: Path, config_dir: Path
) -> None:
    overrides = _mine(tiny_zoo, tmp_path, "gamma=2,3,4", "drafter.fails_at=3")
    overrides.append("measure.calibration_requests=0")
    with pytest.raises(PointsFailedError, match=r"1 of 3 points failed: .*cannot draft 3 tokens"):
        _sweep(overrides, config_dir)
    folder = tmp_path / "results" / "tiny"
    states = {row["gamma"]: row["status"] for row in read_summary(folder)}
    assert states == {"2": "finished", "3": "failed", "4": "finished"}
    failed = next(row for row in read_summary(folder) if row["status"] == "failed")
    error = json.loads((folder / "points" / failed["point_id"] / "error.json").read_text())
    assert error["message"] == "RuntimeError: cannot draft 3 tokens"
    assert "propose" in error["traceback"]


def test_a_failed_point_is_tried_again(
    tiny_zoo: TinyZoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = tiny_overrides(tiny_zoo, tmp_path)
    with monkeypatch.context() as broken:
        broken.setattr(task_module, "run_block", _fail)
        with pytest.raises(PointsFailedError):
            _sweep(overrides)
    rows, _ = _sweep(overrides)
    assert rows[0]["status"] == "finished"


def test_points_over_their_time_limit_fail_by_name_and_finish_without_it(
    tiny_zoo: TinyZoo, tmp_path: Path
) -> None:
    overrides = tiny_overrides(tiny_zoo, tmp_path, "gamma=2,4")
    with pytest.raises(PointsFailedError, match=r"2 of 2 points failed: .*over its time limit"):
        _sweep([*overrides, "measure.time_limit_s=0.001"])
    folder = tmp_path / "results" / "tiny"
    errors = [json.loads(path.read_text()) for path in folder.glob("points/*/error.json")]
    assert {error["type"] for error in errors} == {"TimeLimitError"}
    assert errors[0]["message"] == "over its time limit: measure.time_limit_s is 0.001"
    rows, _ = _sweep([*overrides, "measure.time_limit_s=3600"])
    assert [row["status"] for row in rows] == ["finished", "finished"]
    assert len(list(folder.glob("points/*"))) == 2
    with pytest.raises(UsageError, match=r"measure.time_limit_s is 0.0; valid: above 0"):
        _sweep([*overrides, "measure.time_limit_s=0"])


def test_a_failure_that_cannot_be_written_down_is_still_named(
    tiny_zoo: TinyZoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file in the place of the folder stands for a disk that is gone once measuring begins."""
    points = tmp_path / "results" / "tiny" / "points"

    def lose_the_disk(*_: object) -> None:
        points.rmdir()
        points.write_text("")
        raise RuntimeError("broken")

    monkeypatch.setattr(task_module, "run_block", lose_the_disk)
    with pytest.raises(
        PointsFailedError, match=r"1 of 1 points failed: point \w+: RuntimeError: broken"
    ):
        _sweep(tiny_overrides(tiny_zoo, tmp_path))


def test_an_interrupt_leaves_tables_that_can_be_read(
    tiny_zoo: TinyZoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_module, "run_block", _interrupt)
    with pytest.raises(KeyboardInterrupt):
        _sweep(tiny_overrides(tiny_zoo, tmp_path, "gamma=2,4"))
    folder = tmp_path / "results" / "tiny"
    assert [point["status"] for point in _states(folder)] == ["pending", "pending"]
    assert read_summary(folder) == []


def test_half_written_points_of_killed_runs_are_cleared(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    points = tmp_path / "results" / "tiny" / "points"
    (points / ".aside-0123456789abcdef-999999999").mkdir(parents=True)
    _sweep(tiny_overrides(tiny_zoo, tmp_path))
    assert len(list(points.iterdir())) == 1


def test_a_results_folder_that_cannot_be_written_is_refused_first(
    tiny_zoo: TinyZoo, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultsError, match="cannot write results to"):
        _sweep(tiny_overrides(tiny_zoo, tmp_path, f"results_dir={tmp_path / 'file' / 'x'}"))


def test_a_mistake_that_only_building_finds_is_the_users_too(
    tiny_zoo: TinyZoo, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="'gated' but the checkpoint holds 'vanilla'"):
        _sweep(tiny_overrides(tiny_zoo, tmp_path, "drafter.head=gated"))


def test_run_takes_one_point(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    overrides = tuple(tiny_overrides(tiny_zoo, tmp_path, "gamma=2,4"))
    with pytest.raises(UsageError, match="run takes one point, but gamma has several"):
        run_sweep(SweepRequest(overrides, is_single=True), Console(quiet=True))


def test_the_task_can_be_carried_to_another_process() -> None:
    display = SweepDisplay(Console(quiet=True), 1)
    task = BlockTask((), display, read_environment())
    assert isinstance(pickle.loads(pickle.dumps(task)), BlockTask)


def _fail(*_: object) -> None:
    raise RuntimeError("broken")


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _metrics(folder: Path, row: Row) -> dict[str, dict[str, dict[str, list[float]]]]:
    point = folder / "results" / "tiny" / "points" / row["point_id"]
    loaded: dict[str, dict[str, dict[str, list[float]]]] = json.loads(
        (point / "metrics.json").read_text()
    )
    return loaded


def _states(folder: Path) -> list[dict[str, str]]:
    points: list[dict[str, str]] = json.loads((folder / "sweep.json").read_text())["points"]
    return points


def _stamps(folder: Path) -> dict[str, int]:
    points = (folder / "results" / "tiny" / "points").iterdir()
    return {path.name: (path / "metrics.json").stat().st_mtime_ns for path in points}


def test_a_drafter_of_ones_own_may_draft_more_than_sixteen(
    tiny_zoo: TinyZoo, tmp_path: Path, config_dir: Path
) -> None:
    text = _MINE.replace("max_gamma: 4", "max_gamma: 32")
    (config_dir / "drafter" / "long.yaml").write_text(text)
    overrides = tiny_overrides(tiny_zoo, tmp_path)
    overrides = [o for o in overrides if not o.startswith("drafter")]
    rows, _ = _sweep([*overrides, "drafter=long", "gamma=20"], config_dir)
    assert rows[0]["status"] == "finished"
    assert rows[0]["speedup_model"] is not None


def test_fresh_measures_its_own_points_again_and_keeps_the_others(
    tiny_zoo: TinyZoo, tmp_path: Path
) -> None:
    _sweep(tiny_overrides(tiny_zoo, tmp_path, "gamma=1"))
    _sweep(tiny_overrides(tiny_zoo, tmp_path, "gamma=2"), fresh=True)
    kept = list((tmp_path / "results" / "tiny" / "points").iterdir())
    assert len(kept) == 2


@pytest.mark.parametrize("name", ["../out", "a/b", ".."])
def test_a_name_is_one_folder(tiny_zoo: TinyZoo, tmp_path: Path, name: str) -> None:
    overrides = [o for o in tiny_overrides(tiny_zoo, tmp_path) if not o.startswith("name=")]
    with pytest.raises(UsageError, match=r"name is .* valid: a folder's name"):
        _sweep([*overrides, f"name='{name}'"])


def test_progress_names_every_swept_key(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    _, shown = _sweep(tiny_overrides(tiny_zoo, tmp_path, "temperature=0,1", "gamma=2"))
    assert "semi_ar gamma=2 jsonl temperature=0.0: S" in shown
    assert "semi_ar gamma=2 jsonl temperature=1.0: S" in shown
