"""One length for all."""

from dspark_bench.loads.lengths.fixed import FixedLengths
from dspark_bench.loads.lengths.plan import LengthPlan, capped


def test_everyone_gets_the_cap() -> None:
    assert FixedLengths().plan(3, 8) == LengthPlan((8, 8, 8))


def test_what_is_moved_to_the_cap_is_counted() -> None:
    plan = capped([0, 5, 9, 12], 8, "lengths=any")
    assert plan.tokens == (1, 5, 8, 8)
    assert plan.notes == (
        "lengths=any: 2 of 4 lengths were above max_new_tokens=8 and capped there",
        "lengths=any: 1 of 4 lengths were 0 and became 1",
    )
