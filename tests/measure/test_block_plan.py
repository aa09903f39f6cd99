"""Which points share a baseline."""

from pathlib import Path

import pytest

from dspark_bench.commands.sweep_plan import plan_sweep
from dspark_bench.measure.block import arm_seed
from dspark_bench.measure.block_plan import plan_blocks
from dspark_bench.measure.identity import HashCache
from tests.sweeps import tiny_overrides
from tests.tiny_models import TinyZoo


@pytest.fixture(scope="module")
def hashes() -> HashCache:
    return HashCache()


def _gammas(zoo: TinyZoo, folder: Path, hashes: HashCache, *more: str) -> list[list[str]]:
    """What tells the points of each block apart."""
    _, points = plan_sweep(tiny_overrides(zoo, folder, *more), hashes)
    return [
        [
            f"{p.config.drafter.name} {p.config.gamma} {p.config.scheduler.name} {p.config.seed}"
            for p in block.points
        ]
        for block in plan_blocks(points)
    ]


def test_arms_differ_in_what_speculates_and_nothing_else(
    tiny_zoo: TinyZoo, tmp_path: Path, hashes: HashCache
) -> None:
    found = _gammas(tiny_zoo, tmp_path, hashes, "gamma=2,3", "scheduler=fixed,goodput", "seed=0,1")
    assert found == [
        [f"semi_ar {g} {s} {seed}" for g in (2, 3) for s in ("fixed", "goodput")] for seed in (0, 1)
    ]


@pytest.mark.parametrize(
    "key",
    [
        "load.concurrency=1,2",
        "temperature=0,1",
        "max_new_tokens=4,8",
        "measure.repeats=1,2",
        "num_requests=1,2",
        "engine.threads=1,2",
    ],
)
def test_what_the_baseline_depends_on_makes_another_block(
    tiny_zoo: TinyZoo, tmp_path: Path, hashes: HashCache, key: str
) -> None:
    assert [len(block) for block in _gammas(tiny_zoo, tmp_path, hashes, "gamma=2,3", key)] == [2, 2]


def test_no_drafter_is_one_arm_whatever_gamma(
    tiny_zoo: TinyZoo, tmp_path: Path, hashes: HashCache
) -> None:
    overrides = [o for o in tiny_overrides(tiny_zoo, tmp_path) if not o.startswith("drafter")]
    _, points = plan_sweep([*overrides, "drafter=none", "gamma=2,3"], hashes)
    (block,) = plan_blocks(points)
    assert len(points) == 2 and len(block.points) == 1


def test_too_many_arms_are_split_evenly_and_a_block_is_known_by_its_arms(
    tiny_zoo: TinyZoo, tmp_path: Path, hashes: HashCache
) -> None:
    overrides = tiny_overrides(tiny_zoo, tmp_path, "gamma=1,2,3,4,5", "measure.max_arms=2")
    _, points = plan_sweep(overrides, hashes)
    blocks = plan_blocks(points)
    assert sorted(len(block.points) for block in blocks) == [1, 2, 2]
    assert [p for block in blocks for p in block.points] == points
    assert len({block.block_id for block in blocks}) == 3
    assert plan_blocks(points[::-1])[0].block_id != blocks[0].block_id
    (again,) = plan_blocks(blocks[1].points[::-1])
    assert again.block_id == blocks[1].block_id  # in whatever order


def test_copies_are_points_of_their_own_in_one_block(
    tiny_zoo: TinyZoo, tmp_path: Path, hashes: HashCache
) -> None:
    """With the same noise, or each with its own."""
    overrides = tiny_overrides(tiny_zoo, tmp_path, "measure.copies=3")
    plan, points = plan_sweep(overrides, hashes)
    assert len({point.point_id for point in points}) == 3 and plan.swept_keys == ("measure.copy",)
    (block,) = plan_blocks(points)
    assert len(block.points) == 3
    assert {arm_seed(point.config) for point in points} == {0}
    _, own = plan_sweep([*overrides, "measure.copy_noise=own", "seed=5"], hashes)
    assert len({arm_seed(point.config) for point in own}) == 3
    assert arm_seed(own[0].config) == 5
