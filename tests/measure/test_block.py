"""One baseline and several arms: each arm as if it were alone, and all beside the same baseline."""

import time
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from dspark_bench.commands.sweep import run_sweep
from dspark_bench.commands.sweep_plan import SweepRequest
from dspark_bench.core.errors import PointsFailedError
from dspark_bench.drafters.semi_ar import SemiAutoregressiveDrafter
from dspark_bench.engine.engine import EngineConfig
from dspark_bench.measure import block as block_module
from dspark_bench.measure.arm import Arm, Worker
from dspark_bench.measure.williams import orders
from dspark_bench.metrics.frames import BASELINE, SPECULATIVE
from dspark_bench.reading.rows import Row
from tests.sweeps import read_summary, tiny_overrides
from tests.tiny_models import TinyZoo

_COUNTS = ["repeat", "block", "cycle", "request_id", "num_drafted", "num_accepted", "num_emitted"]


def _rows(zoo: TinyZoo, folder: Path, *more: str) -> dict[int, Row]:
    folder.mkdir(exist_ok=True)
    overrides = tiny_overrides(zoo, folder, "measure.calibration_requests=0", *more)
    rows = run_sweep(SweepRequest(tuple(overrides)), Console(quiet=True))
    return {int(row["gamma"]): row for row in rows}


def _records(folder: Path, row: Row, arm: str, kind: str = "cycles") -> pd.DataFrame:
    path = folder / "results" / "tiny" / "points" / row["point_id"] / f"{kind}.parquet"
    frame = pd.read_parquet(path)
    return frame[(frame["arm"] == arm) & ~frame["is_warmup"]].reset_index(drop=True)


@pytest.mark.parametrize("concurrency", [1, 2])
def test_an_arm_emits_what_it_emits_alone_and_shares_the_baseline(
    tiny_zoo: TinyZoo, tmp_path: Path, concurrency: int
) -> None:
    """With three arms in turn, side by side where requests share a batch."""
    more = (f"load.concurrency={concurrency}", "num_requests=3", "measure.repeats=2")
    together = _rows(tiny_zoo, tmp_path / "a", "gamma=2,3,4", *more)
    alone = _rows(tiny_zoo, tmp_path / "b", "gamma=3", *more)
    assert len({row["block_id"] for row in together.values()}) == 1
    assert {row["num_arms"] for row in together.values()} == {3}
    assert alone[3]["block_id"] != together[3]["block_id"]
    for arm in (BASELINE, SPECULATIVE):
        mine, other = (
            _records(tmp_path / "a", together[3], arm),
            _records(tmp_path / "b", alone[3], arm),
        )
        pd.testing.assert_frame_equal(mine[_COUNTS], other[_COUNTS])
        texts = [
            _records(tmp_path / part, row, arm, "requests")["output_tokens"].map(list)
            for part, row in (("a", together[3]), ("b", alone[3]))
        ]
        assert texts[0].equals(texts[1])
    first, *others = (_records(tmp_path / "a", row, BASELINE) for row in together.values())
    for other in others:  # down to the times
        pd.testing.assert_frame_equal(first, other)


def test_the_arms_of_every_prompt_follow_a_williams_square(
    tiny_zoo: TinyZoo, tmp_path: Path
) -> None:
    rows = _rows(tiny_zoo, tmp_path, "gamma=2,3,4", "num_requests=8")
    labels = {0: _records(tmp_path, rows[2], BASELINE)} | {
        place: _records(tmp_path, rows[gamma], SPECULATIVE)
        for place, gamma in enumerate((2, 3, 4), 1)
    }
    turns = {int(t): place for place, frame in labels.items() for t in frame["turn"]}
    order = [turns[number] for number in range(4 * 8)]
    assert order == [place for row in orders(4) * 2 for place in row]


def test_an_arm_that_fails_leaves_the_others_and_forms_a_new_block(
    tiny_zoo: TinyZoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Raising in its second turn, it costs the others nothing."""
    with monkeypatch.context() as broken:
        propose, calls = SemiAutoregressiveDrafter.propose, []

        def fails(self: SemiAutoregressiveDrafter, batch: object) -> object:
            calls.append(max(batch.draft_lens))  # type: ignore[attr-defined]
            if calls[-1] == 3 and calls.count(3) > 4:
                raise RuntimeError("broken")
            return propose(self, batch)  # type: ignore[arg-type]

        broken.setattr(SemiAutoregressiveDrafter, "propose", fails)
        with pytest.raises(PointsFailedError, match=r"1 of 3 points failed: gamma=3: .*broken"):
            _rows(tiny_zoo, tmp_path, "gamma=2,3,4", "num_requests=4")
    folder = tmp_path / "results" / "tiny"
    states = {row["gamma"]: row for row in read_summary(folder)}
    assert [states[g]["status"] for g in "234"] == ["finished", "failed", "finished"]
    assert states["2"]["block_id"] == states["4"]["block_id"]
    again = _rows(tiny_zoo, tmp_path, "gamma=2,3,4", "num_requests=4")
    assert again[3]["status"] == "finished"
    assert again[3]["block_id"] not in ("", states["2"]["block_id"])
    assert again[2]["block_id"] == states["2"]["block_id"]


def test_an_arm_without_room_for_its_caches_leaves_the_others(
    tiny_zoo: TinyZoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = block_module.arm_worker

    def no_room(arm: Arm, room: EngineConfig) -> Worker:
        if arm.planned.config.gamma == 3:
            raise MemoryError("no room")
        return build(arm, room)

    monkeypatch.setattr(block_module, "arm_worker", no_room)
    with pytest.raises(PointsFailedError, match=r"1 of 3 points failed: gamma=3: .*no room"):
        _rows(tiny_zoo, tmp_path, "gamma=2,3,4")
    states = {row["gamma"]: row for row in read_summary(tmp_path / "results" / "tiny")}
    assert [states[g]["status"] for g in "234"] == ["finished", "failed", "finished"]
    assert float(states["4"]["speedup"]) > 0


def test_what_a_block_needs_once_is_charged_to_all_of_its_points(
    tiny_zoo: TinyZoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    control, calls = block_module.greedy_control, []

    def slow(arm: Arm) -> pd.DataFrame:
        calls.append(arm)
        time.sleep(0.6)
        return control(arm)

    monkeypatch.setattr(block_module, "greedy_control", slow)
    rows = _rows(tiny_zoo, tmp_path, "gamma=2,3", "temperature=0")
    assert len(calls) == 1
    assert all(row["lossless_evidence"] == "exact" for row in rows.values())
    assert all(row["spent_checks_s"] > 0.3 for row in rows.values())
