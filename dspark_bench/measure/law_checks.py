"""Whether a drafter and a scheduler leave the target's law as it is.

`scheduler_checks` drives the scheduler with a drafter of known law over three tokens; what is
emitted can then be compared with a joint law written down whole. `check_run` judges a run's own
sampled output, from the drafter at hand on the target at hand. Both take seconds; the second runs
with the first point of a key, and `verify` runs both at a larger size.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

from dspark_bench.config.point_config import PointConfig
from dspark_bench.core.errors import UsageError
from dspark_bench.core.protocols import Acceptance, Drafter, Scheduler, TreePolicy
from dspark_bench.core.records import RunResult
from dspark_bench.core.types import Request, SamplingParams
from dspark_bench.engine.confidence_contract import confidence_contract
from dspark_bench.engine.emitted_law import emitted_law_check
from dspark_bench.engine.engine import Engine, EngineConfig
from dspark_bench.engine.exactness import (
    CheckResult,
    distribution_check,
    example_laws,
    non_anticipation_check,
)
from dspark_bench.engine.forced_contract import forced_contract
from dspark_bench.engine.markov import MarkovDrafter, MarkovTarget
from dspark_bench.engine.rules import is_lossy
from dspark_bench.engine.teacher_forcing import Sequences
from dspark_bench.engine.tree_drafts import TreeDrafts
from dspark_bench.loads.closed import ClosedLoad
from dspark_bench.machine.environment import Environment
from dspark_bench.measure.build import PointObjects, build_acceptance
from dspark_bench.measure.build_scheduler import (
    CLIFF_SURFACE,
    EXAMPLE_SURFACE,
    SchedulerParts,
    build_scheduler,
)
from dspark_bench.measure.build_tree import build_tree
from dspark_bench.measure.identity import Identity
from dspark_bench.measure.predictions import engine_config
from dspark_bench.measure.turns import TurnResult, repeat_seed
from dspark_bench.measure.verdicts import (
    scheduler_verdict_path,
    verdict_path,
    write_verdict,
)
from dspark_bench.metrics.frames import SPECULATIVE
from dspark_bench.reading.verdicts import find_verdict

SHORT_DISTRIBUTION_REQUESTS = 8_000
DISTRIBUTION_LENGTH = 4
DISTRIBUTION_BATCH = 1024
ANTICIPATION_TRIALS = 200
LAWS = SchedulerParts(EXAMPLE_SURFACE)
CLIFF = SchedulerParts(CLIFF_SURFACE)
_BATCH = 8
_MOST_TEXTS = 128
_FIRST_EXTRA_REPEAT = -1_000
"""Repeats whose noise no turn uses."""


def scheduler_checks(point: PointConfig, num_requests: int) -> list[CheckResult]:
    """What the scheduler promises, the joint law of several tokens under it, non-anticipation."""

    def serve(
        target: MarkovTarget, drafter: MarkovDrafter, requests: Sequence[Request], gamma: int
    ) -> RunResult:
        engine = Engine(
            target,
            drafter if tree is None else TreeDrafts(drafter, tree),
            build_scheduler(point, LAWS),
            build_acceptance(point),
            SamplingParams(),
            gamma,
            EngineConfig(DISTRIBUTION_BATCH, 2 * DISTRIBUTION_LENGTH + most),
            lambda: 0.0,
        )
        return engine.run(requests, ClosedLoad(DISTRIBUTION_BATCH), point.seed)

    gamma = max(1, min(point.gamma, DISTRIBUTION_LENGTH))
    tree = _small_tree(point, gamma)
    most = gamma if tree is None else max(gamma, tree.spec.num_nodes)
    law = distribution_check(serve, num_requests, gamma, DISTRIBUTION_LENGTH)
    spec = build_scheduler(point, LAWS).spec
    if spec.needs_hindsight:
        causal = CheckResult("non_anticipation", False, "is told the accepted lengths beforehand")
    else:
        causal = non_anticipation_check(
            lambda: build_scheduler(point, CLIFF), point.gamma, ANTICIPATION_TRIALS, point.seed
        )
    promise = CheckResult(
        "promise",
        spec.is_non_anticipating,
        "promises to look at no later token" if spec.is_non_anticipating else "says it looks ahead",
    )
    return [*_rule_check(build_acceptance(point), point.acceptance.name), promise, law, causal]


def _rule_check(rule: Acceptance, name: str) -> list[CheckResult]:
    """A rule that is lossy fails by its own word, even where its thresholds let nothing through."""
    said = f"acceptance={name} is lossy: what it emits is not meant to have the target's law"
    return [CheckResult("rule", False, said)] if is_lossy(rule) else []


def _small_tree(point: PointConfig, gamma: int) -> TreePolicy | None:
    """The point's tree policy where it can grow over a few tokens; a fixed shape may not fit."""
    policy = build_tree(point)
    if policy is None:
        return None
    is_deep = policy.spec.depth is not None and policy.spec.depth > gamma
    is_wide = policy.spec.num_choices > example_laws()[0].shape[0]
    return None if is_deep or is_wide else policy


def check_run(
    point: PointConfig,
    objects: PointObjects,
    identity: Identity,
    environment: Environment,
    scheduler: Scheduler,
    done: Sequence[TurnResult],
) -> tuple[bool | None, list[CheckResult]]:
    """The verdict on sampled output under these settings: the one on file, or a new one.

    A new one reads the speculative outputs of the run itself, up to `measure.law_tokens` tokens,
    and serves more requests where the run has fewer. Also returns the checks that were run now and
    failed. None, and nothing run, where `measure.law_tokens` is 0. Allocates the drafter's cache
    anew: call it when nothing is left to be timed.
    """
    path = verdict_path(point, identity, environment)
    known = find_verdict(path)
    if known is not None or point.measure.law_tokens == 0:
        return known, []
    results = _scheduler_verdict(point, objects, identity, environment)
    texts = list(_texts(point, objects, scheduler, done))
    results.append(emitted_law_check(objects.target, texts, point.sampling, point.gamma))
    write_verdict(path, results)
    failed = [result for result in results if not result.is_passed]
    return not failed, failed


def broken_contract(point: PointConfig, objects: PointObjects) -> str | None:
    """How a user's drafter answers forced tokens wrongly; None if it does as it must.

    Allocates the drafter's cache: call it before anything is timed. Raises UsageError where an
    acceptance that forces tokens could not work with it.
    """
    drafter = objects.drafter
    if drafter is None or point.drafter.is_own:
        return None
    texts = [(request, request.prompt_tokens[-1:]) for request in objects.prompts.requests]
    found = forced_contract(objects.target, drafter, texts, point.gamma, point.sampling)
    if found.is_passed:
        _check_blind(point, objects, drafter, texts)
        return None
    if objects.acceptance.follows_record:
        raise UsageError(f"acceptance={point.acceptance.name} forces tokens, and {found.detail}")
    return found.detail


def _check_blind(
    point: PointConfig, objects: PointObjects, drafter: Drafter, texts: Sequences
) -> None:
    """Raise UsageError for confidences that have seen the token which they judge, where a scheduler
    reads them.
    """
    if objects.tree is not None or not build_scheduler(point, LAWS).spec.needs_confidence:
        return
    blind = confidence_contract(objects.target, drafter, texts, point.gamma, point.sampling)
    if not blind.is_passed:
        raise UsageError(f"scheduler={point.scheduler.name} reads confidences, and {blind.detail}")


def _scheduler_verdict(
    point: PointConfig, objects: PointObjects, identity: Identity, environment: Environment
) -> list[CheckResult]:
    """Points that differ in the drafter alone share what is known of their scheduler."""
    if objects.drafter is None:
        return []
    path = scheduler_verdict_path(point, identity, environment)
    if find_verdict(path):
        return [CheckResult("scheduler", True, f"checked before: {path.name}")]
    results = scheduler_checks(point, SHORT_DISTRIBUTION_REQUESTS)
    write_verdict(path, results)
    return results


def _texts(
    point: PointConfig, objects: PointObjects, scheduler: Scheduler, done: Sequence[TurnResult]
) -> Iterator[tuple[Request, tuple[int, ...]]]:
    """Sampled texts of the speculative arm, chosen by the lengths that were asked for alone."""
    wanted, room = point.measure.law_tokens, _MOST_TEXTS
    served = (text for item in done if item.turn.arm == SPECULATIVE for text in _of_turn(item))
    for text in itertools.islice(served, room):
        yield text
        wanted, room = wanted - text[0].max_new_tokens, room - 1
        if wanted <= 0:
            return
    more = requests_for(objects.prompts.requests, wanted, room)
    if more:
        yield from serve_texts(point, objects, scheduler, more)


def requests_for(requests: Sequence[Request], num_tokens: int, most: int) -> list[Request]:
    """The requests over and over until they ask for `num_tokens` tokens, at most `most` of them.

    Each has an id, and so noise, of its own.
    """
    found: list[Request] = []
    for place, request in zip(range(most), itertools.cycle(requests), strict=False):
        if num_tokens <= 0:
            break
        found.append(replace(request, request_id=place))
        num_tokens -= request.max_new_tokens
    return found


def _of_turn(item: TurnResult) -> Sequences:
    """Requests of a turn with their outputs, but for those that were not served."""
    by_id = {record.request_id: record.output_tokens for record in item.result.requests}
    pairs = [(request, by_id.get(request.request_id, ())) for request in item.turn.requests]
    return [(request, tokens) for request, tokens in pairs if tokens]


def serve_texts(
    point: PointConfig,
    objects: PointObjects,
    scheduler: Scheduler,
    requests: Sequence[Request],
    sampling: SamplingParams | None = None,
    spare: int = 0,
) -> Sequences:
    """What speculation emits for `requests`, a few at a time, with noise that no turn used.

    spare: cache positions more than the point's own drafts need.
    """
    room = engine_config(point, requests, _BATCH)
    room = replace(room, max_len=room.max_len + spare)
    engine = Engine(
        objects.target,
        objects.speculator,
        scheduler,
        objects.acceptance,
        sampling or point.sampling,
        point.gamma,
        room,
        objects.clock,
    )
    seed = repeat_seed(point.seed, _FIRST_EXTRA_REPEAT)
    result = engine.run(requests, ClosedLoad(_BATCH), seed)
    by_id = {record.request_id: record.output_tokens for record in result.requests}
    return [(request, by_id[request.request_id]) for request in requests]
