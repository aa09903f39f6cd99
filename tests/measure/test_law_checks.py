"""A verdict speaks for what it checked alone: what is judged, and what makes another key."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dspark_bench.config.point_config import Component, PointConfig
from dspark_bench.core.types import Request, SamplingParams
from dspark_bench.engine.exactness import CheckResult
from dspark_bench.machine.environment import Environment
from dspark_bench.measure import law_checks
from dspark_bench.measure.identity import Identity
from dspark_bench.measure.turns import Order, Turn, TurnResult, plan_round, plan_warmup
from dspark_bench.measure.verdicts import (
    scheduler_verdict_path,
    verdict_path,
    write_verdict,
)
from dspark_bench.metrics.frames import BASELINE, SPECULATIVE
from dspark_bench.reading.verdicts import find_verdict
from tests import tiny
from tests.measure.points import plan
from tests.tiny_models import TinyZoo

Parts = tuple[PointConfig, Identity, Environment]
OTHER = Component("other", "somewhere.Other", {})
HERE = {"code_hash": "code", "machine_id": "machine", "torch_build": "torch"}


@pytest.fixture(scope="module")
def parts(tiny_zoo: TinyZoo, tmp_path_factory: pytest.TempPathFactory) -> Parts:
    point, identity = plan(tiny_zoo, tmp_path_factory.mktemp("point"), "gamma=2")
    environment = SimpleNamespace(**HERE)
    return point, identity, cast(Environment, environment)


def of_point(name: str, value: object) -> Callable[[Parts], Parts]:
    changed: dict[str, Any] = {name: value}
    return lambda parts: (replace(parts[0], **changed), *parts[1:])


def of_engine(name: str, value: object) -> Callable[[Parts], Parts]:
    changed: dict[str, Any] = {name: value}
    return lambda parts: (
        replace(parts[0], engine=replace(parts[0].engine, **changed)),
        *parts[1:],
    )


def of_identity(name: str, value: object) -> Callable[[Parts], Parts]:
    changed: dict[str, Any] = {name: value}
    return lambda parts: (parts[0], replace(parts[1], **changed), parts[2])


def of_environment(name: str) -> Callable[[Parts], Parts]:
    def change(parts: Parts) -> Parts:
        known = HERE | {name: "other"}
        return (*parts[:2], cast(Environment, SimpleNamespace(**known)))

    return change


SCHEDULING = [
    of_environment("code_hash"),
    of_environment("machine_id"),
    of_environment("torch_build"),
    of_identity("plugin_hashes", ("edited",)),
    of_point("gamma", 3),
    of_point("scheduler", OTHER),
    of_point("cost", OTHER),
    of_point("calibrator", OTHER),
    of_point("acceptance", OTHER),
]
MODELS = [
    of_point(
        "load", Component("closed", "dspark_bench.loads.closed.ClosedLoad", {"concurrency": 8})
    ),
    of_identity("target_hash", "other"),
    of_identity("drafter_hash", "other"),
    of_identity("temperatures", (1.5, 1.2)),
    of_point("drafter", OTHER),
    of_engine("dtype", "bfloat16"),
    of_engine("device", "cuda"),
    of_engine("kernels", "torch"),
    of_engine("prefill_tokens", None),
    of_point("sampling", SamplingParams(0.31)),
    of_point("sampling", SamplingParams(1.0, top_p=0.9)),
]


@pytest.mark.parametrize("change", [*SCHEDULING, *MODELS])
def test_every_part_makes_another_key(parts: Parts, change: Callable[[Parts], Parts]) -> None:
    assert digest(verdict_path(*change(parts))) != digest(verdict_path(*parts))


@pytest.mark.parametrize("change", SCHEDULING)
def test_a_scheduler_s_key_has_what_decides_about_it(
    parts: Parts, change: Callable[[Parts], Parts]
) -> None:
    assert digest(scheduler_verdict_path(*change(parts))) != digest(scheduler_verdict_path(*parts))


@pytest.mark.parametrize("change", MODELS)
def test_drafters_share_what_is_known_of_their_scheduler(
    parts: Parts, change: Callable[[Parts], Parts]
) -> None:
    assert scheduler_verdict_path(*change(parts)) == scheduler_verdict_path(*parts)


def digest(path: Path) -> str:
    """The name also says which plug-ins: that alone must not tell keys apart."""
    return path.stem.rpartition("-")[2]


@pytest.mark.parametrize("known", [True, False])
def test_only_a_scheduler_that_passed_is_taken_as_checked(
    parts: Parts, known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two drafters share a scheduler that is not exact: neither may be called verified."""
    point, identity, environment = parts
    path = scheduler_verdict_path(point, identity, environment)
    write_verdict(path, [CheckResult("distribution", known, "")])
    calls = []

    def checked(*arguments: object) -> list[CheckResult]:
        calls.append(arguments)
        return [CheckResult("distribution", False, "biased")]

    def passed(*arguments: object) -> CheckResult:
        return CheckResult("emitted law", True, "")

    monkeypatch.setattr(law_checks, "scheduler_checks", checked)
    monkeypatch.setattr(law_checks, "emitted_law_check", passed)
    monkeypatch.setattr(law_checks, "_texts", lambda *arguments: ())
    judged = replace(point, measure=replace(point.measure, law_tokens=16))
    objects: Any = SimpleNamespace(drafter=object(), target=None)
    scheduler: Any = None
    own = verdict_path(judged, identity, environment)
    own.unlink(missing_ok=True)
    verdict, failed = law_checks.check_run(judged, objects, identity, environment, scheduler, [])
    assert verdict is known
    assert find_verdict(own) is known
    assert bool(calls) is bool(failed) is not known


def test_extra_texts_have_noise_that_no_turn_used(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A text that is drawn twice with one noise would count twice, and fail an exact drafter."""
    seeds: list[int] = []
    requests = tiny.requests(2, 4)

    class Recorder:
        def __init__(self, *arguments: object) -> None:
            pass

        def run(self, requests: list[Request], load: object, seed: int) -> SimpleNamespace:
            seeds.append(seed)
            served = [
                SimpleNamespace(request_id=r.request_id, output_tokens=(1,)) for r in requests
            ]
            return SimpleNamespace(requests=served)

    monkeypatch.setattr(law_checks, "Engine", Recorder)
    objects: Any = SimpleNamespace(target=None, speculator=None, acceptance=None, clock=None)
    scheduler: Any = None
    law_checks.serve_texts(parts[0], objects, scheduler, requests)
    seed = parts[0].seed
    order = Order(((BASELINE, SPECULATIVE),), {BASELINE: seed, SPECULATIVE: seed})
    turns = [turn for n in range(1_000) for turn in plan_round(n, [requests], order, n)]
    turns += plan_warmup(requests, 1, order)
    assert not set(seeds) & {turn.seed for turn in turns}


def test_what_is_judged_is_the_speculative_arm_s(parts: Parts) -> None:
    """Each request with its own output; one that was not served is no text."""
    requests = tuple(tiny.requests(3, 4))

    def turn(arm: str, outputs: dict[int, tuple[int, ...]]) -> TurnResult:
        served = [
            SimpleNamespace(request_id=key, output_tokens=value) for key, value in outputs.items()
        ]
        result: Any = SimpleNamespace(requests=served)
        return TurnResult(Turn(arm, 0, 0, requests, 0, is_warmup=False), result)

    done = [turn(BASELINE, {0: (9,), 1: (9,), 2: (9,)}), turn(SPECULATIVE, {2: (6, 5), 0: (7,)})]
    point = replace(parts[0], measure=replace(parts[0].measure, law_tokens=8))
    nothing: Any = None
    found = list(law_checks._texts(point, nothing, nothing, done))
    assert found == [(requests[0], (7,)), (requests[2], (6, 5))]


def test_a_lossy_rule_fails_by_its_own_word(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    """Whatever its thresholds: at these no draft ever stands, and the law is the target's."""
    more = ("acceptance=typical", "acceptance.epsilon=1", "acceptance.delta=9")
    point, _ = plan(tiny_zoo, tmp_path, "gamma=2", *more)
    results = law_checks.scheduler_checks(point, 200)
    assert [result.name for result in results if not result.is_passed] == ["rule"]
    assert "acceptance=typical is lossy" in results[0].detail
