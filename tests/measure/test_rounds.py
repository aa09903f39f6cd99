"""What each round serves."""

from dataclasses import replace
from pathlib import Path

import pytest

from dspark_bench.core.types import Request
from dspark_bench.measure.rounds import Style, most_served, plan_rounds
from tests.measure.points import plan
from tests.tiny_models import TinyZoo

_MANY = [Request(n, f"p{n}", "math", (1, 2), 4) for n in range(100)]


def _ids(rounds: tuple[tuple[Request, ...], ...]) -> list[list[int]]:
    return [[request.request_id for request in one] for one in rounds]


def test_without_precision_all_requests_are_served_again(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    point, _ = plan(tiny_zoo, tmp_path, "measure.precision=null", "measure.repeats=2")
    found = plan_rounds(point, _MANY[:3], 1)
    assert _ids(found.rounds) == [[0, 1, 2]] * 2 and found.style is Style.ONE_BY_ONE
    assert found.first_block(1) == 3 and found.num_sets == 6 and found.round_units == (3, 3)
    assert most_served(replace(point, num_requests=3), 1) == 6


def test_one_user_meets_new_prompts_in_every_round(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    point, _ = plan(tiny_zoo, tmp_path, "measure.precision=0.05")
    found = plan_rounds(point, _MANY[:30], 1)
    assert _ids(found.rounds) == [list(range(12)), list(range(12, 24)), list(range(24, 30))]
    assert found.round_units == (12, 12, 6)
    short, _ = plan(tiny_zoo, tmp_path, "measure.precision=0.05", "measure.max_rounds=2")
    assert _ids(plan_rounds(short, _MANY, 1).rounds) == [list(range(12)), list(range(12, 24))]
    assert most_served(replace(short, num_requests=100), 1) == 24
    assert most_served(replace(short, num_requests=5), 1) == 5


def test_more_users_meet_new_prompts_while_there_are_some(
    tiny_zoo: TinyZoo, tmp_path: Path
) -> None:
    more = ("measure.precision=0.05", "load.concurrency=8", "measure.max_rounds=6")
    point, _ = plan(tiny_zoo, tmp_path, *more)
    found = plan_rounds(point, _MANY[:60], 8)
    assert found.style is Style.TOGETHER and found.round_units == (1,) * 6
    assert _ids(found.rounds)[:3] == [
        list(range(24)),
        list(range(24, 48)),
        [*range(48, 60), *range(12)],
    ]
    assert all(len(set(ids)) == 24 for ids in _ids(found.rounds))
    said = "rounds may repeat prompts: the result is for these 60 prompts only"
    assert found.notes[-1] == said
    few = plan_rounds(point, _MANY[:5], 8)
    assert _ids(few.rounds) == [[0, 1, 2, 3, 4]] * 6


@pytest.mark.parametrize("load", ["poisson", "trace"])
def test_open_loops_serve_whole_sets_with_the_same_arrivals(
    tiny_zoo: TinyZoo, tmp_path: Path, load: str
) -> None:
    point, _ = plan(tiny_zoo, tmp_path, "measure.precision=0.05")
    open_loop = replace(point, load=replace(point.load, name=load))
    found = plan_rounds(open_loop, _MANY[:4], 16)
    assert found.style is Style.WHOLE_SETS
    assert _ids(found.rounds) == [[0, 1, 2, 3]] * 12


def test_repeats_that_count_for_nothing_are_named(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    point, _ = plan(tiny_zoo, tmp_path, "measure.precision=0.05", "measure.repeats=5")
    (note,) = plan_rounds(point, _MANY, 1).notes
    assert note == "measure.repeats=5 counts with measure.precision=null alone"
