"""A round on record is the round that was measured, record by record."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from dspark_bench.commands.blocks_left import blocks_left
from dspark_bench.commands.sweep import run_sweep
from dspark_bench.commands.sweep_plan import SweepRequest, plan_sweep
from dspark_bench.config.point_config import PointConfig
from dspark_bench.core.records import CycleRecord, RequestRecord, RunResult
from dspark_bench.machine.environment import read_environment
from dspark_bench.machine.gpu_process import GpuTelemetry
from dspark_bench.measure import block as block_module
from dspark_bench.measure import round_loop as loop_module
from dspark_bench.measure.arm import Arm
from dspark_bench.measure.identity import HashCache
from dspark_bench.measure.round_records import (
    NoLog,
    RoundRecords,
    recorded_turns,
    round_records,
)
from dspark_bench.measure.rounds import RoundPlan, Style
from dspark_bench.measure.turns import Order, TurnResult, plan_round
from dspark_bench.metrics.machine import Reading, Window
from dspark_bench.reading.rows import Row
from dspark_bench.store.point_store import PointStore
from dspark_bench.store.round_store import BLOCKS, RoundStore, forget_foreign
from tests import tiny
from tests.cycles import cycle_record
from tests.sweeps import read_summary, tiny_overrides
from tests.tiny_models import TinyZoo

_ORDER = Order((("baseline", "x"),), {"baseline": 1, "x": 1})


def _round() -> tuple[list[TurnResult], list[Window]]:
    """Two turns; the second one's request was drafted for, the first one's got no token."""
    turns = plan_round(0, [tiny.requests(1)], _ORDER, 0)
    nan = float("nan")
    unserved = RequestRecord(0, "p0", "math", 2, (), "not_sent", 0.5, nan, nan, nan)
    served = RequestRecord(0, "p0", "math", 2, (5, 6, 7), "eos", 0.5, 1.0, 1.5, 2.0, (0.1, -0.2))
    cycles = [
        cycle_record(cycle=0, num_emitted=1),
        cycle_record(cycle=1, num_drafted=2, verify_len=2, num_emitted=2, confidence=(0.5, 0.25)),
    ]
    results = [RunResult([unserved], [], 0.25), RunResult([served], cycles, 2.0)]
    windows = [
        Window(t.arm, 0, 0, False, Reading(1.0, 0.5), Reading(2.0, 0.75, 3.0)) for t in turns
    ]
    return [TurnResult(t, r) for t, r in zip(turns, results, strict=True)], windows


def test_records_come_back_as_they_were(tmp_path: Path) -> None:
    done, windows = _round()
    store = RoundStore(tmp_path, "ab", read_environment())
    store.append(round_records(done, windows))
    (records,) = store.load()
    turns = plan_round(0, [tiny.requests(1)], _ORDER, 0)
    found, seen = recorded_turns(records, turns)
    assert [item.turn for item in found] == turns and seen == windows
    assert found[1].result == done[1].result
    assert repr(found[0].result) == repr(done[0].result)  # NaN is not equal to itself
    fields = (found[1].result.cycles[1], found[1].result.requests[0])
    assert [type(v) for record in fields for v in _values(record)] == [
        type(v)
        for record in (done[1].result.cycles[1], done[1].result.requests[0])
        for v in _values(record)
    ]


def _values(record: CycleRecord | RequestRecord) -> list[object]:
    return [getattr(record, name) for name in record.__dataclass_fields__]


def test_a_damaged_round_ends_what_can_be_taken_over(tmp_path: Path) -> None:
    store = RoundStore(tmp_path, "ab", read_environment())
    for _ in range(3):
        store.append(round_records(*_round()))
    (damaged,) = (tmp_path / BLOCKS).glob("*/0001/cycles.parquet")
    damaged.write_bytes(b"PAR1")
    assert len(store.load()) == 1
    store.append(round_records(*_round()))
    assert len(store.load()) == 2


def test_rounds_of_other_code_or_another_machine_are_not_taken_over(tmp_path: Path) -> None:
    here = read_environment()
    RoundStore(tmp_path, "ab", here).append(round_records(*_round()))
    for other in (replace(here, code_hash="f" * 16), replace(here, cpu_model="another")):
        assert RoundStore(tmp_path, "ab", other).load() == []
    assert RoundStore(tmp_path, "cd", here).load() == []
    forget_foreign(tmp_path, here)
    assert len(RoundStore(tmp_path, "ab", here).load()) == 1
    forget_foreign(tmp_path, replace(here, code_hash="f" * 16))
    assert not (tmp_path / BLOCKS).exists()


def _sweep(zoo: TinyZoo, folder: Path, *more: str) -> list[Row]:
    folder.mkdir(exist_ok=True)
    return run_sweep(SweepRequest((*_overrides(zoo, folder), *more)), Console(quiet=True))


def _overrides(zoo: TinyZoo, folder: Path) -> list[str]:
    return tiny_overrides(zoo, folder, "gamma=2,3", "measure.repeats=3")


def _cycles(folder: Path, row: Row) -> pd.DataFrame:
    path = folder / "results" / "tiny" / "points" / row["point_id"] / "cycles.parquet"
    frame = pd.read_parquet(path)
    return frame[~frame["is_warmup"]].reset_index(drop=True)


def test_an_interrupted_block_shows_its_whole_rounds_and_goes_on_at_the_next(
    tiny_zoo: TinyZoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve = loop_module.Rounds.serve_next

    def stops_in_the_third(self: loop_module.Rounds) -> RoundRecords:
        if self.num_whole == 2:
            raise KeyboardInterrupt
        return serve(self)

    with monkeypatch.context() as patched:
        patched.setattr(loop_module.Rounds, "serve_next", stops_in_the_third)
        with pytest.raises(KeyboardInterrupt):
            _sweep(tiny_zoo, tmp_path / "a")
    folder = tmp_path / "a" / "results" / "tiny"
    cut = {row["gamma"]: row for row in read_summary(folder)}
    assert [cut[g]["status"] for g in "23"] == ["interrupted", "interrupted"]
    assert all(row["num_rounds"] == "2" and float(row["speedup"]) > 0 for row in cut.values())
    before = {g: _cycles(tmp_path / "a", row) for g, row in cut.items()}
    rows = _sweep(tiny_zoo, tmp_path / "a")
    whole = _sweep(tiny_zoo, tmp_path / "b")
    assert [row["status"] for row in rows] == ["finished", "finished"]
    assert not list((folder / BLOCKS).glob("*"))
    columns = ["arm", "repeat", "block", "turn", "cycle", "num_drafted", "num_accepted"]
    for row, other in zip(rows, whole, strict=True):
        mine = _cycles(tmp_path / "a", row)
        pd.testing.assert_frame_equal(mine[columns], _cycles(tmp_path / "b", other)[columns])
        kept = before[str(row["gamma"])]  # down to the times: nothing was measured again
        pd.testing.assert_frame_equal(
            mine[mine["repeat"] < 2].reset_index(drop=True).drop(columns="calibrated"),
            kept.drop(columns="calibrated"),
        )
        assert set(mine["repeat"]) == {0, 1, 2}


def test_without_a_whole_round_there_are_no_figures_and_fresh_takes_no_round_over(
    tiny_zoo: TinyZoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve = loop_module.Rounds.serve_next

    def stops_in_the_second(self: loop_module.Rounds) -> RoundRecords:
        if self.num_whole == 1:
            raise KeyboardInterrupt
        return serve(self)

    folder = tmp_path / "a" / "results" / "tiny"
    monkeypatch.setattr(loop_module.Rounds, "serve_next", stops_in_the_second)
    with pytest.raises(KeyboardInterrupt):
        _sweep(tiny_zoo, tmp_path / "a")
    assert len(list((folder / BLOCKS).glob("*/0*"))) == 1
    monkeypatch.setattr(loop_module.Rounds, "serve_next", _interrupt)
    request = tiny_overrides(tiny_zoo, tmp_path / "a", "gamma=2,3", "measure.repeats=3")
    with pytest.raises(KeyboardInterrupt):
        run_sweep(SweepRequest(tuple(request), is_fresh=True), Console(quiet=True))
    assert not (folder / BLOCKS).exists() and read_summary(folder) == []


def _interrupt(self: object) -> RoundRecords:
    raise KeyboardInterrupt


def _forbidden(self: object) -> RoundRecords:
    raise AssertionError("a round is served again")


def test_a_block_that_was_half_stored_is_finished_from_its_rounds(
    tiny_zoo: TinyZoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between its two points: no round is served again, and they still are a pair."""
    save = PointStore.save_result
    names: list[str] = []

    def killed_at_the_second(self: PointStore, config: PointConfig, *more: object) -> None:
        names.append(str(config.gamma))
        if len(names) == 2:
            raise KeyboardInterrupt
        save(self, config, *more)

    with monkeypatch.context() as patched:
        patched.setattr(PointStore, "save_result", killed_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            _sweep(tiny_zoo, tmp_path)
    folder = tmp_path / "results" / "tiny"
    (first,) = (folder / "points").glob("*/metrics.json")
    stamp = first.stat().st_mtime_ns
    _, planned = plan_sweep(_overrides(tiny_zoo, tmp_path), HashCache())
    (block,) = blocks_left(planned, folder, read_environment())
    assert len(block.points) == 2
    with monkeypatch.context() as patched:
        patched.setattr(loop_module.Rounds, "serve_next", _forbidden)
        finish, finished = block_module.finish_point, list[Arm]()
        patched.setattr(
            block_module,
            "finish_point",
            lambda arm, *more: finished.append(arm) or finish(arm, *more),
        )
        rows = _sweep(tiny_zoo, tmp_path)
    assert [str(arm.planned.config.gamma) for arm in finished] == names[1:]
    assert [row["status"] for row in rows] == ["finished", "finished"]
    assert len({row["block_id"] for row in rows}) == 1 and first.stat().st_mtime_ns == stamp
    ours, theirs = (_cycles(tmp_path, row) for row in rows)
    columns = ["repeat", "block", "cycle", "t_verify_s"]
    pd.testing.assert_frame_equal(
        *(f.loc[f["arm"] == "baseline", columns].reset_index(drop=True) for f in (ours, theirs))
    )
    assert not (folder / BLOCKS).exists()


def test_an_arm_that_is_missing_on_record_has_fallen_out() -> None:
    """It failed before the interruption: what it did not serve cannot be made up for."""
    arms = ("baseline", "x", "y")
    order = Order((arms,), dict.fromkeys(arms, 1))
    requests = tuple(tiny.requests(1))
    plan = RoundPlan(Style.WHOLE_SETS, 1, (requests, requests))
    served = RequestRecord(0, "p0", "math", 2, (5, 6), "length", 0.0, 0.0, 0.5, 1.0)
    result = RunResult([served], [cycle_record(cycle=0, num_emitted=2)], 1.0)
    turns = plan_round(0, plan.sets(0), order, 0)
    kept = [TurnResult(turn, result) for turn in turns if turn.arm != "x"]

    class Log(NoLog):
        def load(self) -> list[RoundRecords]:
            return [round_records(kept, [])]

    class Worker:
        num_turns = 0

        def run(self, requests: object, seed: int) -> RunResult:
            self.num_turns += 1
            return result

        def steps(self, requests: object, seed: int) -> Iterator[RunResult]:
            yield self.run(requests, seed)

    class Watcher:
        def on_turn(self, item: TurnResult) -> None: ...

        def on_standing(self, standing: object, is_look: bool) -> None: ...

    workers = {arm: Worker() for arm in arms}
    rounds = loop_module.Rounds(plan, order, workers, None, Watcher(), {})
    rounds.take_over(Log())
    rounds.serve_next()
    assert [worker.num_turns for worker in workers.values()] == [1, 0, 1]
    found = rounds.turns(GpuTelemetry("none"))
    assert list(found.errors) == ["x"] and found.num_rounds == 2
