"""Counting points before they run, and the name that a command line gives its sweep."""

import pytest

from dspark_bench.config.expand import derived_name, distinct_settings, expand
from dspark_bench.core.errors import UsageError


def test_every_combination_is_a_point() -> None:
    expansion = expand(["drafter=ar,semi_ar", "gamma=2,4,8", "seed=1"])
    assert len(expansion.points) == 6
    assert expansion.points[0] == ("drafter=ar", "gamma=2", "seed=1")
    assert expansion.swept_keys == ("drafter", "gamma")


def test_hydra_choice_and_range_expand_too() -> None:
    assert len(expand(["gamma=range(1,5)"]).points) == 4
    assert len(expand(["temperature=choice(0.0,1.0)"]).points) == 2


def test_no_overrides_is_one_point_named_default() -> None:
    expansion = expand([])
    assert expansion.points == ((),)
    assert expansion.name == "default"


def test_name_is_readable_and_does_not_depend_on_order_or_place() -> None:
    name = derived_name(["drafter=semi_ar", "gamma=2,4,8"])
    assert name == "drafter=semi_ar+gamma=2-4-8"
    assert name == derived_name(["gamma=2,4,8", "results_dir=/x", "drafter=semi_ar"])
    assert name == derived_name(["gamma=2,4,8", "hydra/launcher=basic", "drafter=semi_ar"])


def test_names_that_would_lose_characters_are_told_apart() -> None:
    first, second = derived_name(["target.path=/a/b"]), derived_name(["target.path=/a-b"])
    assert first != second
    assert "/" not in first


def test_long_names_are_cut_and_told_apart() -> None:
    first = derived_name([f"key{n}=1" for n in range(50)])
    second = derived_name([f"key{n}=1" for n in range(51)])
    assert len(first) < 120
    assert first != second


def test_an_explicit_name_wins() -> None:
    assert expand(["name=mine", "gamma=2"]).name == "mine"


def test_what_hydra_cannot_parse_is_one_line() -> None:
    with pytest.raises(UsageError) as caught:
        expand(["gamma=["])
    assert "\n" not in str(caught.value)


def test_a_setting_is_what_not_every_point_has() -> None:
    points = [("a=1", "b=2", "c=3"), ("a=1", "b=4", "c=3"), ("a=1", "b=2")]
    assert distinct_settings(points) == ["b=2 c=3", "b=4 c=3", "b=2"]
    assert distinct_settings([("a=1",)]) == [""]
    assert distinct_settings([]) == []


def test_a_long_name_begins_with_what_is_swept() -> None:
    overrides = ["drafter=semi_ar", "gamma=2,4", "target.path='/models/Qwen 3'", "seed=1"]
    name = derived_name(overrides)
    assert name.startswith("gamma=2-4+drafter=semi_ar+seed=1+target.path=Qwen-3-")
    assert name == derived_name(["target.path=/models/Qwen 3", *overrides[:2], "seed=1"])
    assert name != derived_name([*overrides[:2], "target.path='/other/Qwen 3'", "seed=1"])
