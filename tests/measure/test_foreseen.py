"""What is found before any point is measured, rule by rule."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dspark_bench.config.point_config import Component, PointConfig
from dspark_bench.core.errors import UsageError
from dspark_bench.measure.build_scheduler import (
    SchedulerParts,
    build_scheduler,
    check_confidence,
)
from dspark_bench.measure.cost_profiles import NO_PROMPTS
from dspark_bench.measure.foreseen import check_measurable
from tests import tiny
from tests.measure.points import plan
from tests.plugins import UniformDrafter
from tests.tiny_models import TinyZoo

Planner = Callable[..., PointConfig]


@pytest.fixture
def planner(tiny_zoo: TinyZoo, tmp_path: Path) -> Planner:
    """A checked point of these overrides."""
    return lambda *more: plan(tiny_zoo, tmp_path, *more)[0]


def drafter(point: PointConfig, **changes: object) -> PointConfig:
    """The point with other keys of its drafter."""
    component = replace(point.drafter, arguments=point.drafter.arguments | changes)
    return replace(point, drafter=component)


def test_a_sound_point_passes(planner: Planner) -> None:
    for more in ((), ("scheduler=threshold",), ("scheduler=hardware_aware",)):
        check_measurable(planner(*more))


def test_a_key_that_the_drafter_does_not_take_is_named(planner: Planner) -> None:
    point = planner()
    with pytest.raises(UsageError) as caught:
        check_measurable(drafter(point, hed="rnn"))
    assert str(caught.value) == "drafter=semi_ar has no key 'hed'; valid: path, head"
    with pytest.raises(UsageError, match=r"drafter\.head is 7; valid: text"):
        check_measurable(drafter(point, head=7))


class Anything:
    """A user's own, whose constructor takes whatever it is given."""

    def __init__(self, target: object, **keys: object) -> None:
        pass


def test_keys_are_not_judged_for_a_class_that_takes_any(planner: Planner) -> None:
    path = f"{__name__}.Anything"
    check_measurable(replace(planner(), drafter=Component("mine", path, {"hed": "rnn"})))


def test_a_scheduler_that_reads_confidences_needs_a_drafter_that_gives_them(
    planner: Planner, tiny_zoo: TinyZoo, tmp_path: Path
) -> None:
    headless = planner(
        "scheduler=threshold", "drafter=parallel", f"drafter.path={tiny_zoo.parallel}"
    )
    check_measurable(headless)  # a stand-in does
    copy = Path(shutil.copytree(tiny_zoo.semi_ar, tmp_path / "copy"))
    point = planner("scheduler=threshold", f"drafter.path={copy}")
    check_measurable(point)
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"enable_confidence_head": False}))
    check_measurable(point)
    ours = Component("ngram", "dspark_bench.drafters.ngram.NgramDrafter", {})
    check_measurable(replace(point, drafter=ours))
    check_measurable(replace(point, drafter=Component("mine", f"{__name__}.Anything", {})))
    with pytest.raises(UsageError, match="drafter=none has no confidence head"):
        check_measurable(replace(point, drafter=Component("none", None, {})))


def test_confidences_must_be_there_and_of_a_known_kind(planner: Planner) -> None:
    point = planner("scheduler=threshold")
    scheduler = build_scheduler(point, SchedulerParts())
    mine = UniformDrafter(tiny.target(), 4)
    with pytest.raises(UsageError, match="scheduler=threshold needs confidences, but drafter="):
        check_confidence(scheduler, mine, point)
    mine.spec = replace(mine.spec, has_confidence=True)
    check_confidence(scheduler, mine, point)
    mine.spec = replace(mine.spec, confidence_kind="drawn_probability")
    with pytest.raises(UsageError, match="of the kind 'drawn_probability'; valid: head, largest_"):
        check_confidence(scheduler, mine, point)
    check_confidence(scheduler, mine, planner("scheduler=threshold", "tree=best_first"))


def test_a_users_own_drafter_tells_of_its_confidences_when_it_is_built(planner: Planner) -> None:
    mine = Component("mine", f"{__name__}.Anything", {})
    check_measurable(replace(planner("scheduler=threshold"), drafter=mine))


def test_a_cost_that_is_profiled_needs_prompts_set_aside(planner: Planner) -> None:
    none = "measure.calibration_requests=0"
    with pytest.raises(UsageError) as caught:
        check_measurable(planner("scheduler=hardware_aware", none))
    assert str(caught.value) == NO_PROMPTS
    check_measurable(planner("scheduler=hardware_aware", none, "cost=flat"))
    check_measurable(planner("scheduler=threshold", none))  # it reads no cost
    alone = planner("scheduler=goodput", none)
    undrafted = Component("none", None, {})
    check_measurable(replace(alone, drafter=undrafted))


def test_prompts_set_aside_are_those_that_the_workload_has(
    planner: Planner, tmp_path: Path
) -> None:
    """A file of one prompt has none to set aside."""
    one = tmp_path / "one.jsonl"
    one.write_text('{"prompt": "A single line of text"}\n')
    keys = ("num_requests=1", "measure.calibration_requests=0", f"workload.path={one}")
    point = planner("scheduler=hardware_aware", *keys)
    asks = replace(point, measure=replace(point.measure, calibration_requests=2))
    with pytest.raises(UsageError) as caught:
        check_measurable(asks)
    assert str(caught.value) == NO_PROMPTS
