"""What a prediction rests on: other prompts than the run's, decode cycles, and both looks."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from dspark_bench.core.records import RunResult
from dspark_bench.core.types import Request
from dspark_bench.drafters.ngram import NgramDrafter
from dspark_bench.measure import predictions
from dspark_bench.measure.predictions import (
    agreement_curve,
    can_predict,
    costs_now,
    depth_survival,
    of_lengths,
    predict,
)
from dspark_bench.measure.turns import Turn, TurnResult
from dspark_bench.metrics.theory import CostProfile
from dspark_bench.schedulers.fixed import FixedScheduler
from dspark_bench.schedulers.goodput import GoodputScheduler
from dspark_bench.trees.best_first import BestFirstTree
from tests.cycles import cycle_record
from tests.engine.test_surface import finished
from tests.measure.points import Built, built
from tests.schedulers.test_schedulers import Linear
from tests.tiny_models import TinyZoo


@pytest.fixture(scope="module")
def one(tiny_zoo: TinyZoo, tmp_path_factory: pytest.TempPathFactory) -> Built:
    return built(tiny_zoo, tmp_path_factory.mktemp("point"), "gamma=2")


def profile(scale: float) -> CostProfile:
    """Costs of which no two are equal."""
    curve = (1.0 * scale, 2.0 * scale, 3.0 * scale)
    return CostProfile(
        4.0 * scale, curve, tuple(10 * c for c in curve), tuple(100 * c for c in curve),
        5.0 * scale, 6.0 * scale,
    )  # fmt: skip


def test_costs_come_from_prompts_that_the_run_does_not_serve(
    one: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Request] = []

    def spy(
        serve: object, prompts: Sequence[Request], gammas: Sequence[int], seed: int
    ) -> CostProfile:
        asked.extend(prompts)
        return profile(1.0)

    monkeypatch.setattr(predictions, "profile_costs", spy)
    costs_now(one.point, one.objects)
    assert asked == list(one.objects.prompts.calibration)
    served = {request.prompt_tokens for request in one.objects.prompts.requests}
    assert not served & {request.prompt_tokens for request in asked}


def test_acceptance_comes_from_their_decode_cycles_and_costs_from_both_looks(
    one: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three cycles that verified two drafts, of which 2, 1 and 0 stood; one that verified one."""
    calibration = one.objects.prompts.calibration
    asked: list[Request] = []

    def spy(
        point: object, objects: object, requests: Sequence[Request], concurrency: int,
        is_speculative: bool,
    ) -> RunResult:  # fmt: skip
        asked.extend(requests)
        assert is_speculative
        lengths = ((2, 2), (2, 1), (2, 0), (1, 1))
        cycles = [
            cycle_record(num_drafted=2, verify_len=length, num_accepted=accepted)
            for length, accepted in lengths
        ]
        prompt = cycle_record(is_prefill=True, has_prefill=True, verify_len=2, num_accepted=0)
        outputs = [finished(calibration[0], range(3)), finished(calibration[1], range(10))]
        return RunResult(outputs, [prompt, *cycles, prompt])

    monkeypatch.setattr(predictions, "run_untimed", spy)
    found = predict(one.point, one.objects, [profile(1.0), profile(4.0)])
    assert asked == list(calibration)
    assert found.survival == pytest.approx((3 / 4, 1 / 3))
    assert found.mean_output_tokens == 6.5
    assert found.profile == profile(2.5)


def test_a_draft_that_was_never_verified_predicts_nothing(
    one: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = RunResult(
        [finished(one.objects.prompts.calibration[0], range(3))],
        [cycle_record(num_drafted=2, verify_len=1, num_accepted=1)],
    )
    monkeypatch.setattr(predictions, "run_untimed", lambda *_, **__: result)
    assert predict(one.point, one.objects, [profile(1.0)]).survival is None


def test_a_drafter_that_falls_short_is_predicted_with_what_it_finds(
    one: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five cycles draft 2, 2, 1, 0 and 0: the second draft stands in one of the two."""
    drafted = ((2, 2), (2, 1), (1, 1), (0, 0), (0, 0))
    cycles = [
        cycle_record(num_drafted=n, verify_len=n, num_accepted=accepted) for n, accepted in drafted
    ]
    outputs = [finished(one.objects.prompts.calibration[0], range(3))]
    monkeypatch.setattr(predictions, "run_untimed", lambda *_, **__: RunResult(outputs, cycles))
    objects = replace(one.objects, drafter=NgramDrafter(one.objects.target))
    found = predict(one.point, objects, [profile(1.0)])
    assert found.survival == pytest.approx((3 / 5, 1 / 5))
    assert found.profile is not None
    assert found.profile.verify_s == pytest.approx((1.0, 2.0, (3 + 3 + 2 + 1 + 1) / 5))
    assert found.profile.draft_s == pytest.approx((10.0, 20.0, (30 + 30 + 20 + 20 + 20) / 5))
    assert found.profile.overhead_s[2] == pytest.approx((300 + 300 + 200 + 200 + 200) / 5)


def test_lengths_that_were_not_measured_lie_between_those_that_were() -> None:
    nan = float("nan")
    known = CostProfile(1.0, (1.0, 2.0, nan, 4.0), (0.0, 1.0, nan, 3.0), (0.0, 1.0, nan, 1.0), 1, 1)
    found = of_lengths(known, [2, 2, 0], 3)
    assert found.verify_s[3] == pytest.approx((3 + 3 + 1) / 3)
    assert found.draft_s[3] == pytest.approx((2 + 2 + 1) / 3)
    assert of_lengths(known, [], 3) is known


def test_costs_of_a_drafter_that_falls_short_cover_its_lengths(one: Built) -> None:
    objects = replace(one.objects, drafter=NgramDrafter(one.objects.target))
    costs = costs_now(replace(one.point, gamma=3), objects)
    for curve in (costs.verify_s, costs.draft_s, costs.overhead_s):
        known = [width for width, seconds in enumerate(curve) if math.isfinite(seconds)]
        assert known == [0, 1, 3]


def test_only_points_that_verify_everything_one_request_at_a_time_are_predicted(
    one: Built, tiny_zoo: TinyZoo, tmp_path: Path
) -> None:
    fixed, objects = FixedScheduler(), one.objects
    assert can_predict(one.point, objects, fixed)
    assert not can_predict(one.point, objects, GoodputScheduler(Linear(1.0, 1.0)))
    assert not can_predict(one.point, replace(objects, drafter=None), fixed)
    bare = replace(objects, prompts=replace(objects.prompts, calibration=()))
    assert not can_predict(one.point, bare, fixed)
    short = replace(objects, tree=BestFirstTree(4), drafter=NgramDrafter(objects.target))
    assert not can_predict(one.point, short, fixed)
    assert can_predict(one.point, replace(objects, tree=BestFirstTree(4)), fixed)
    several = built(tiny_zoo, tmp_path, "gamma=2", "load.concurrency=2")
    assert not can_predict(several.point, several.objects, fixed)


def test_a_tree_is_predicted_from_its_depths_and_its_own_costs(
    tiny_zoo: TinyZoo, tmp_path: Path
) -> None:
    tree = built(tiny_zoo, tmp_path, "gamma=2", "tree=best_first", "tree.nodes=24")
    costs = costs_now(tree.point, tree.objects)
    assert all(math.isfinite(curve[2]) for curve in (costs.verify_s, costs.draft_s))
    found = predict(tree.point, tree.objects, [costs])
    assert found.survival is not None and len(found.survival) == 2
    assert 1 >= found.survival[0] >= found.survival[1] >= 0


def test_survival_of_depths_by_hand() -> None:
    """Depths of 0, 2, 1 and 2 of 3; what a prompt's cycle did does not count."""
    cycles = [cycle_record(num_accepted=depth, num_drafted=9) for depth in (0, 2, 1, 2)]
    cycles.append(cycle_record(num_accepted=0, is_prefill=True))
    assert depth_survival(RunResult(cycles=cycles), 3) == (0.75, 0.5, 0.0)
    assert depth_survival(RunResult(), 3) is None


def test_agreement_is_measured_along_timed_outputs_of_the_baseline(
    one: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not along the warm-up's or the speculative arm's, and not along an output of one token."""
    first, second = one.objects.prompts.requests[:2]
    seen: list[tuple[Request, tuple[int, ...]]] = []

    def spy(
        target: object,
        drafter: object,
        sequences: list[tuple[Request, tuple[int, ...]]],
        *_: object,
    ) -> tuple[object, object]:
        seen.extend(sequences)
        return (), ()

    def turn(arm: str, is_warmup: bool, output: Sequence[int], request: Request) -> TurnResult:
        made = Turn(arm, 0, 0, (request,), 0, is_warmup)
        return TurnResult(made, RunResult([finished(request, output)]))

    monkeypatch.setattr(predictions, "measure_agreement", spy)
    done = [
        turn("baseline", True, (9, 9), first),
        turn("speculative", False, (8, 8), first),
        turn("baseline", False, (7, 6, 5), first),
        turn("baseline", False, (4, 4), first),
        turn("baseline", False, (3,), second),
    ]
    agreement_curve(one.point, one.objects, done, num_requests=2)
    assert seen == [(first, (7, 6, 5))]
