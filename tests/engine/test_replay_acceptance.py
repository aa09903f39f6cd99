"""Along a record of the target's own output, a drafter meets the exact law of speculation."""

from dataclasses import replace

import pytest
import torch

from dspark_bench.core.errors import UsageError
from dspark_bench.core.sampling import Verdict
from dspark_bench.core.types import Proposal, Recorded, Request, SamplingParams
from dspark_bench.engine.acceptance import ExactAcceptance
from dspark_bench.engine.engine import Engine, EngineConfig
from dspark_bench.engine.exactness import P_MIN, chi_square, example_laws
from dspark_bench.engine.markov import MarkovDrafter, MarkovTarget
from dspark_bench.engine.replay_acceptance import ReplayAcceptance
from dspark_bench.loads.closed import ClosedLoad
from dspark_bench.schedulers.fixed import FixedScheduler
from tests import tiny

NUM_REQUESTS = 5000
GAMMA = 2
TARGET_LAW, DRAFT_LAW, REVEALING = example_laws()
SIZE = TARGET_LAW.shape[0]


def markov_run(requests, acceptance, seed: int, is_speculative: bool = True, law=DRAFT_LAW):
    drafter = MarkovDrafter(law, REVEALING, GAMMA) if is_speculative else None
    engine = Engine(
        MarkovTarget(TARGET_LAW),
        drafter,
        FixedScheduler(),
        acceptance,
        SamplingParams(),
        GAMMA,
        EngineConfig(1024, 24),
        lambda: 0.0,
    )
    return engine.run(requests, ClosedLoad(1024), seed)


def with_records(requests: list[Request], model=None, extra: int = GAMMA) -> list[Request]:
    """Requests with outputs that the target itself draws, from a random stream of its own."""
    longer = [replace(r, max_new_tokens=r.max_new_tokens + extra) for r in requests]
    if model is None:
        made = markov_run(longer, ExactAcceptance(), 77, is_speculative=False)
    else:
        made = tiny.serve(longer, None, concurrency=8, seed=77, temperature=model)
    outputs = tiny.outputs(made)
    return [replace(r, continuation=outputs[r.request_id]) for r in requests]


@pytest.fixture(scope="module")
def recorded() -> list[Request]:
    return with_records([Request(i, str(i), "", (0,), 5) for i in range(NUM_REQUESTS)])


def first_cycle_law() -> dict[tuple[int, ...], float]:
    """P(first token, drafts accepted, tokens up to the bonus) of exact speculation, gamma 2."""
    law: dict[tuple[int, ...], float] = {}
    both = torch.minimum(TARGET_LAW, DRAFT_LAW)
    for first in range(SIZE):
        start = float(TARGET_LAW[0, first])
        for x in range(SIZE):
            law[first, 0, x] = start * float(TARGET_LAW[first, x] - both[first, x])
            one = start * float(both[first, x])
            for y in range(SIZE):
                law[first, 1, x, y] = one * float(TARGET_LAW[x, y] - both[x, y])
                for z in range(SIZE):
                    law[first, 2, x, y, z] = one * float(both[x, y] * TARGET_LAW[y, z])
    return law


def first_cycles(result) -> dict[tuple[int, ...], int]:
    accepted: dict[int, int] = {}
    for cycle in reversed(result.cycles):  # the earliest decode cycle of each request remains
        if not cycle.is_prefill:
            accepted[cycle.request_id] = cycle.num_accepted
    seen: dict[tuple[int, ...], int] = {}
    for record in result.requests:
        count = accepted[record.request_id]
        key = (record.output_tokens[0], count, *record.output_tokens[1 : count + 2])
        seen[key] = seen.get(key, 0) + 1
    return seen


def compare(seen: dict[tuple[int, ...], int]) -> float:
    law = {key: value for key, value in first_cycle_law().items() if value > 1e-12}
    assert set(seen) <= set(law)
    counts = torch.tensor([float(seen.get(key, 0)) for key in law], dtype=torch.float64)
    probs = torch.tensor(list(law.values()), dtype=torch.float64)
    assert float(probs.sum()) == pytest.approx(1)
    return chi_square(counts, probs)[1]


def test_replay_has_the_exact_joint_law_of_tokens_and_acceptance(recorded) -> None:
    result = markov_run(recorded, ReplayAcceptance(), seed=3)
    assert compare(first_cycles(result)) >= P_MIN


def test_the_law_test_sees_a_drafter_judged_along_other_tokens(recorded) -> None:
    """Records that lean away from the target's law must fail, or the test above says nothing."""
    leaning = [r if r.request_id % 10 else replace(r, continuation=(0,) * 9) for r in recorded]
    assert compare(first_cycles(markov_run(leaning, ReplayAcceptance(), seed=3))) < P_MIN


def test_expected_acceptance_is_the_overlap_and_acceptance_agrees_with_it(recorded) -> None:
    result = markov_run(recorded[:3000], ReplayAcceptance(), seed=3)
    cycles = [c for c in result.cycles if not c.is_prefill]
    both = torch.minimum(TARGET_LAW, DRAFT_LAW).sum(-1)
    values = sorted({round(v, 5) for c in cycles for v in c.expected_acceptance})
    assert values == pytest.approx(sorted(both.tolist()), abs=1e-4)
    expected = sum(c.expected_acceptance[0] for c in cycles)
    accepted = sum(c.num_accepted >= 1 for c in cycles)
    variance = sum(c.expected_acceptance[0] * (1 - c.expected_acceptance[0]) for c in cycles)
    assert abs(accepted - expected) < 4 * variance**0.5


def test_outputs_are_the_record_and_equal_runs_give_equal_counts(recorded) -> None:
    chosen = recorded[:500]
    first, again = (markov_run(chosen, ReplayAcceptance(), seed=3) for _ in range(2))
    other = markov_run(chosen, ReplayAcceptance(seed=1), seed=3)
    for request in chosen:
        assert tiny.outputs(first)[request.request_id] == request.continuation[:5]
    counts = [[(c.request_id, c.num_accepted) for c in run.cycles] for run in (first, again, other)]
    assert counts[0] == counts[1]
    assert counts[0] != counts[2]


def test_the_draw_of_a_place_does_not_depend_on_the_drafter(recorded) -> None:
    """A drafter equal to the target accepts all; one that is better nowhere accepts a subset."""
    chosen = recorded[:200]
    perfect = markov_run(chosen, ReplayAcceptance(), seed=3, law=TARGET_LAW)
    decoding = [c for c in perfect.cycles if not c.is_prefill]
    assert all(c.num_accepted == c.verify_len for c in decoding)
    first = {
        scale: {
            c.request_id
            for c in reversed(
                markov_run(
                    chosen,
                    ReplayAcceptance(),
                    seed=3,
                    law=TARGET_LAW * (1 - scale) + scale * torch.tensor([0.0, 0.0, 1.0]),
                ).cycles
            )
            if c.cycle == 1 and c.num_accepted >= 1
        }
        for scale in (0.2, 0.4)
    }
    # tokens 0 and 1 get less from the second drafter than from the first, token 2 gets more
    zero_or_one = {r.request_id for r in chosen if r.continuation[1] != 2}
    assert first[0.4] & zero_or_one < first[0.2] & zero_or_one


@pytest.mark.parametrize("name", tiny.DRAFTERS)
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_every_drafter_follows_the_record_alone_and_in_a_batch(
    name: str, temperature: float
) -> None:
    chosen = with_records(tiny.requests(6), temperature, extra=5)
    runs = []
    for concurrency in (1, 6):
        engine = Engine(
            tiny.target(),
            tiny.drafter(name),
            FixedScheduler(),
            ReplayAcceptance(),
            SamplingParams(temperature),
            4,
            EngineConfig(concurrency, 128),
            lambda: 0.0,
        )
        runs.append(engine.run(chosen, ClosedLoad(concurrency), 3))
    for result in runs:
        for request in chosen:
            known = tiny.outputs(result)[request.request_id]
            assert known == request.continuation[: len(known)]
            assert len(known) == min(24, len(request.continuation))
    per_request = [
        {r.request_id: [c.num_accepted for c in run.cycles if c.request_id == r.request_id]}
        for run in runs
        for r in chosen
    ]
    alone, together = per_request[:6], per_request[6:]
    assert sum(a == b for a, b in zip(alone, together, strict=True)) >= 5  # one near-tie at most


def test_greedy_replay_counts_what_greedy_speculation_counts() -> None:
    drafter = tiny.drafter("semi_ar_vanilla")
    exact = tiny.serve(tiny.requests(6), drafter, temperature=0.0)
    chosen = with_records(tiny.requests(6), 0.0, extra=5)
    engine = Engine(
        tiny.target(),
        drafter,
        FixedScheduler(),
        ReplayAcceptance(),
        SamplingParams(0.0),
        4,
        EngineConfig(1, 128),
        lambda: 0.0,
    )
    replayed = engine.run(chosen, ClosedLoad(1), 3)
    assert [c.num_accepted for c in replayed.cycles] == [c.num_accepted for c in exact.cycles]
    assert [r.margins for r in replayed.requests] == [r.margins for r in exact.requests]


def test_without_a_record_replay_is_exact() -> None:
    drafter = tiny.drafter("ar")
    engine = Engine(
        tiny.target(),
        drafter,
        FixedScheduler(),
        ReplayAcceptance(),
        SamplingParams(),
        4,
        EngineConfig(1, 128),
        lambda: 0.0,
    )
    result = engine.run(tiny.requests(3), ClosedLoad(1), 1)
    assert tiny.outputs(result) == tiny.outputs(tiny.serve(tiny.requests(3), drafter))


def test_records_for_some_requests_only_or_too_short_are_refused() -> None:
    chosen = [Request(i, f"p{i}", "", (0,), 5, (0, 1, 2, 0, 1, 2, 0)) for i in range(2)]
    with pytest.raises(UsageError, match="1 of 2 requests have no recorded"):
        markov_run([chosen[0], replace(chosen[1], continuation=())], ReplayAcceptance(), 1)
    with pytest.raises(UsageError, match="p1 has 3 tokens; valid: 7 or more"):
        markov_run([chosen[0], replace(chosen[1], continuation=(0, 1, 2))], ReplayAcceptance(), 1)
    with pytest.raises(UsageError, match="seed is -1"):
        ReplayAcceptance(seed=-1)


class OwnTokens(MarkovDrafter):
    """Ignores what it is told to score."""

    def propose(self, batch):
        return super().propose(replace(batch, forced=None))


def test_a_drafter_that_ignores_forced_tokens_is_named(recorded) -> None:
    engine = Engine(
        MarkovTarget(TARGET_LAW),
        OwnTokens(DRAFT_LAW, REVEALING, GAMMA),
        FixedScheduler(),
        ReplayAcceptance(),
        SamplingParams(),
        GAMMA,
        EngineConfig(64, 24),
        lambda: 0.0,
    )
    with pytest.raises(UsageError, match=r"OwnTokens\.propose drew tokens of its own"):
        engine.run(recorded[:64], ClosedLoad(64), 1)


def test_a_tree_is_walked_along_the_record() -> None:
    """At depth k a child stands if it carries the k-th recorded token; the rest is not looked at.

    The second request's record begins with what no child carries; the third has no draft.
    """
    proposal = Proposal(
        torch.tensor([[1, 0, 2, 1], [0, 1, 1, 0]]),
        None,
        None,
        draft_lens=(4, 2),
        parents=((-1, -1, 1, 2), (-1, 0)),
    )
    known = torch.tensor([[0, 2, 1, 2], [2, 1, 0, 0], [1, 0, 0, 0]])
    recorded = Recorded(known, (5, 6, 7), (0, 0, 0))
    logits = torch.zeros(5 + 3 + 1, 3)
    rule, lens = ReplayAcceptance(), [4, 2, 0]
    for temperature in (0.0, 1.0):
        sampling = SamplingParams(temperature)
        decision = rule.decide(logits, proposal, lens, None, sampling, recorded)  # type: ignore[arg-type]
        expected = Verdict([3, 0, 0], [False, True, False], [2, 2, 1], [[1, 2, 3], []])
        assert decision.verdict == expected
    found = decision.findings().expected_acceptance
    thirds = [[2 / 3, 1 / 3, 1 / 3, 0.0], [1 / 3, 0.0, 0.0, 0.0]]
    torch.testing.assert_close(found, torch.tensor(thirds))
