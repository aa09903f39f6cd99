from collections import Counter
from itertools import pairwise

import pytest

from dspark_bench.measure.williams import orders


@pytest.mark.parametrize("num_arms", range(2, 10))
def test_places_and_predecessors_are_balanced(num_arms: int) -> None:
    rows = orders(num_arms)
    assert len(rows) == num_arms * (1 + num_arms % 2)
    assert all(sorted(row) == list(range(num_arms)) for row in rows)

    places = Counter((place, arm) for row in rows for place, arm in enumerate(row))
    assert len(places) == num_arms**2
    assert set(places.values()) == {len(rows) // num_arms}

    neighbours = Counter(pair for row in rows for pair in pairwise(row))
    assert len(neighbours) == num_arms * (num_arms - 1)
    assert set(neighbours.values()) == {len(rows) // num_arms}


@pytest.mark.parametrize("num_arms", range(2, 10))
def test_no_place_is_favoured_within_a_square(num_arms: int) -> None:
    rows = orders(num_arms)
    for end in range(1, num_arms + 1):
        places = Counter((place, arm) for row in rows[:end] for place, arm in enumerate(row))
        assert max(places.values()) == 1


def test_two_arms_take_turns_as_they_always_did() -> None:
    assert orders(2) == ((0, 1), (1, 0))
    assert orders(1) == ((0,),)


def test_no_arms_are_refused() -> None:
    with pytest.raises(ValueError, match="num_arms is 0; valid: 1 or more"):
        orders(0)
