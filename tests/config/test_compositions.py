"""What tests compose is what is composed, and from one reading of the files per choice."""

from collections.abc import Sequence

import pytest

from dspark_bench.config import compose_many
from dspark_bench.config.compose import Composed, compose_point, hydra_session
from dspark_bench.core.errors import UsageError
from tests import compositions

POINTS = [
    ("drafter=ar", "gamma=2", "engine=cpu", "measure.repeats=1"),
    ("drafter=ar", "gamma=5", "engine=cpu", "load.concurrency=${gamma}"),
    ("drafter=ar", "drafter=parallel", "gamma=3"),
    ("scheduler=threshold", "drafter.path=a", "workload=jsonl", "workload.path=b"),
    ("+drafter.extra=1", "gamma=3"),
]


def test_points_are_what_they_are_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    slow: list[Sequence[str]] = []

    def counted(overrides: Sequence[str]) -> Composed:
        slow.append(overrides)
        return compose_point(overrides)

    bases: list[tuple[str, ...]] = []

    class Counted(compose_many._Base):
        def __init__(self, chosen: Sequence[str]) -> None:
            bases.append(tuple(chosen))
            super().__init__(chosen)

    monkeypatch.setattr(compositions, "compose_point", counted)
    monkeypatch.setattr(compose_many, "_Base", Counted)
    compose = compositions.keeping()
    with hydra_session():
        expected = [compose_point(point) for point in POINTS]
        for _ in range(2):
            assert compose(POINTS) == expected
    assert len(bases) == 3 and slow == [POINTS[1], POINTS[-1]] * 2


@pytest.mark.parametrize("point", [("drafter=nope",), ("gamma=two",), ("drafter=ar", "name=${x}")])
def test_refusals_are_what_they_are_alone(point: tuple[str, ...]) -> None:
    compose = compositions.keeping()
    with hydra_session():
        said = []
        for make in (
            lambda: compose([point]),
            lambda: compose([point]),
            lambda: compose_point(point),
        ):
            with pytest.raises(UsageError) as caught:
                make()
            said.append(str(caught.value))
    assert len(set(said)) == 1
