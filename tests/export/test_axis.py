"""What is one traffic at several loads, and what is another traffic."""

from dspark_bench.export.axis import load_axes
from tests.export.answers import answer
from tests.export.folders import point


def _axes(*rows: dict[str, object]) -> list[tuple[str, str, list[int]]]:
    found = load_axes([answer(row) for row in rows])
    return [(made.setting, made.load, [load for load, _ in made.answers]) for made in found]


def test_loads_join_in_rising_order_and_other_traffic_stands_apart() -> None:
    rows = [
        point("a", 1.5, concurrency=16, temperature=0.0),
        point("b", 1.5, concurrency=2, temperature=0.0),
        point("c", 1.5, concurrency=4),
        point("d", 1.5, load="poisson", rate=4.0, concurrency=64),
    ]
    assert _axes(*rows) == [
        ("math, temperature=0", "closed", [2, 16]),
        ("math, temperature=1", "closed", [4]),
        ("math, temperature=1", "poisson", [64]),
    ]


def test_larger_loads_may_be_measured_over_more_prompts_of_the_workload() -> None:
    rows = [point("a", 1.5), point("b", 1.5, concurrency=4, prompts_hash="more")]
    assert _axes(*rows) == [("math", "closed", [1, 4])]


def test_a_load_over_two_sets_of_prompts_makes_two_axes_that_are_told_apart() -> None:
    rows = [
        point("a", 1.5),
        point("b", 1.5, prompts_hash="others"),
        point("c", 1.5, concurrency=4),
    ]
    assert _axes(*rows) == [
        ("math, prompts_hash=prompts", "closed", [1, 4]),
        ("math, prompts_hash=others", "closed", [1]),
    ]
