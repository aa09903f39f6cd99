"""Points composed together are what each is composed alone, refusals included."""

from pathlib import Path

import pytest

from dspark_bench.config import compose_many
from dspark_bench.config.compose import Composed, compose_point, hydra_session, search_path_override
from dspark_bench.config.compose_many import compose_points
from dspark_bench.core.errors import UsageError

_CHOICES = [(), ("drafter=ar", "load=poisson"), ("experiment=math_greedy",)]
_ACCEPTED = [
    ("gamma='7'", "temperature=0", "name=null", "results_dir=${name}", "load.concurrency=${gamma}"),
    ("temperature=1e-1", "name='a b'", "top_k=007", "measure.max_turn_s=null", "load.think_s=''"),
    ("temperature=.5", 'name="it\'s"', "seed=1_000", "target.path=7", "load.concurrency=[1,2]"),
    ("temperature=nan", "name='a\\'b'", "seed=-3", "measure={repeats: 5}", "slo.ttft_s=1"),
    (
        "temperature=inf",
        "name=a\\,b",
        "load={concurrency: 3}",
        "target.path='~/x'",
        "train.steps=3",
    ),
    ("top_p='0.5'", "name=x${seed}", "results_dir='${gamma}/x'", "drafter.path=a", "gamma=2"),
    ("++gamma=9", "~load.think_s", "+drafter.extra={a: 1}", "hydra.job.name=x", "gamma=3"),
    ("gamma=3", "results_dir=''", "results_dir=/a/b", "load.think_s=0.5", "load.concurrency=many"),
]
_REFUSED = [
    *("gamma=two", "gamma=null", "gamma=1.0", "gamma=[1]", "gama=1", "max_new_tokens=1e2"),
    *("measure.repeat=2", "measure.repeats=x", "load.rate=1", "drafter.gama=1", "results_dir=[a"),
    *("+gamma=9", "~gamma", "drafter@x=ar", "drafter=nope", "workload.path=a=b", "name=${absent}"),
]


def _maker(choice: tuple[str, ...]) -> compose_many.Compose:
    """How points of a choice are composed once one of them has been seen."""
    found = compose_many.split(choice)
    assert found is not None
    made = compose_many._maker(found, compose_point(choice))
    assert made is not compose_point
    return made


def _outcome(compose: compose_many.Compose, point: tuple[str, ...]) -> str:
    """Text, because NaN is unequal to itself."""
    try:
        return repr(compose(point))
    except UsageError as error:
        return f"refused: {error}"


@pytest.mark.parametrize(
    "choice", [_CHOICES[0], pytest.param(_CHOICES[1], marks=pytest.mark.slow)], ids=str
)
def test_values_are_what_they_are_alone(choice: tuple[str, ...]) -> None:
    with hydra_session():
        points = [(*choice, f"seed={n}") for n in range(2)] + [(*choice, *p) for p in _ACCEPTED]
        points = [p for p in points if "load.think_s" not in " ".join(p) or not choice]
        points = [p for p in points if "concurrency" not in " ".join(p) or not choice]
        assert [repr(c) for c in compose_points(points)] == [repr(compose_point(p)) for p in points]


def test_refusals_are_what_they_are_alone() -> None:
    with hydra_session():
        fast = _maker(())
        for override in ("gamma=two", "measure.repeat=2", "name=${absent}"):
            assert _outcome(fast, (override,)) == _outcome(compose_point, (override,))
            assert _outcome(fast, (override,)).startswith("refused: ")


@pytest.mark.slow
@pytest.mark.parametrize("choice", _CHOICES, ids=str)
def test_every_override_has_the_same_outcome_as_alone(choice: tuple[str, ...]) -> None:
    overrides = [o for point in _ACCEPTED for o in point] + _REFUSED
    with hydra_session():
        fast = _maker(choice)
        for override in overrides:
            for point in ((*choice, override), (*choice, "gamma=5", override, "seed=2")):
                found = _split_or_none(point)
                made = fast if found is not None and found.chosen == choice else compose_point
                assert _outcome(made, point) == _outcome(compose_point, point), point


def _split_or_none(point: tuple[str, ...]) -> compose_many.Split | None:
    try:
        return compose_many.split(point)
    except UsageError:
        return None


def test_what_is_another_keys_value_has_its_type() -> None:
    """The name that is gamma's was text behind a point whose name was typed."""
    points = [(f"seed={n}", "name=x") for n in range(4)] + [("gamma=5", "name=${gamma}")]
    with hydra_session():
        assert repr(compose_points(points)) == repr([compose_point(point) for point in points])


def test_values_of_one_point_do_not_leak_into_the_next() -> None:
    points = [(f"gamma={n}", f"load.concurrency={n}", f"name=n{n}") for n in range(1, 4)]
    with hydra_session():
        assert compose_points(points) == [compose_point(point) for point in points]


def test_many_points_are_composed_a_few_times_only(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def counted(overrides: list[str]) -> Composed:
        calls.append(overrides)
        return compose_point(overrides)

    monkeypatch.setattr(compose_many, "compose_point", counted)
    with hydra_session():
        made = compose_points(
            [(f"drafter={d}", f"seed={n}") for d in ("ar", "none") for n in range(50)]
        )
    assert len(calls) == 2
    assert [one.values["seed"] for one in made] == [*range(50), *range(50)]
    assert {one.choices["drafter"] for one in made} == {"ar", "none"}


def test_a_users_interpolations_and_types_are_kept(tmp_path: Path) -> None:
    (tmp_path / "load").mkdir()
    (tmp_path / "load" / "mine.yaml").write_text(
        "rate: ${gamma}\nname: ${name}/${seed}\nlist: [1]\n"
    )
    found = search_path_override(tmp_path)
    points = [("load=mine", f"gamma={n}", f"load.list=[{n}]", *found) for n in range(1, 7)]
    with hydra_session():
        assert compose_points(points) == [compose_point(point) for point in points]
