"""Which point of the results stands for which of the baseline."""

from types import SimpleNamespace
from typing import Any

from dspark_bench.gate.match import _differing


def differing(ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    mine: Any = SimpleNamespace(keys=ours)
    return _differing(mine, SimpleNamespace(keys=theirs))  # type: ignore[arg-type]


def test_a_key_that_one_side_lacks_is_no_difference_unless_it_is_a_tree() -> None:
    chain = {"drafter": "ar", "gamma": 4}
    assert differing(chain, chain | {"acceptance": "exact"}) == []
    assert differing(chain, chain | {"gamma": 8}) == ["gamma"]
    assert differing(chain, chain | {"tree": "none"}) == []
    assert differing(chain | {"tree": "best_first"}, chain) == ["tree"]
    assert differing(chain, chain | {"tree": "best_first"}) == ["tree"]
