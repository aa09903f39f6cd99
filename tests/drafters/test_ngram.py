"""Prompt look-up: which tokens it proposes, and that what is emitted keeps the target's law."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from dspark_bench.core.clock import device_clock
from dspark_bench.core.errors import UsageError
from dspark_bench.core.protocols import Scheduler
from dspark_bench.core.sampling import token_probs
from dspark_bench.core.types import ContextUpdate, DraftBatch, Proposal, Request, SamplingParams
from dspark_bench.drafters.ngram import NgramDrafter
from dspark_bench.engine.acceptance import ExactAcceptance
from dspark_bench.engine.agreement import measure_agreement
from dspark_bench.engine.engine import Engine, EngineConfig
from dspark_bench.engine.exactness import P_MIN, chi_square, example_laws, tilt_check
from dspark_bench.engine.forced_acceptance import ForcedAcceptance
from dspark_bench.engine.forced_contract import forced_contract
from dspark_bench.engine.markov import MarkovTarget, count_sequences
from dspark_bench.engine.replay_acceptance import ReplayAcceptance
from dspark_bench.loads.closed import ClosedLoad
from dspark_bench.schedulers.batch_size import BatchSizeScheduler
from dspark_bench.schedulers.fixed import FixedScheduler
from tests import tiny

GREEDY = SamplingParams(temperature=0.0)
ANSWER = 24


def drafter(n_min: int = 2, n_max: int = 4) -> NgramDrafter:
    """On the tiny target, whose end of text is token 0."""
    built = NgramDrafter(tiny.target(), n_min, n_max)
    built.allocate(4, 256)
    return built


def tell(told: NgramDrafter, row: int, start: int, tokens: Sequence[int]) -> None:
    """Make tokens the context of a row."""
    ids = torch.tensor(list(tokens))
    told.extend(ContextUpdate((row,), (start,), (len(tokens),), ids, ids, torch.empty(len(ids), 0)))


def ask(
    asked: NgramDrafter,
    anchors: dict[int, int],
    lens: Sequence[int],
    sampling: SamplingParams = GREEDY,
    forced: torch.Tensor | None = None,
) -> Proposal:
    """Drafts after `anchors` by row."""
    shape = (len(anchors), max(lens))
    batch = DraftBatch(
        rows=tuple(anchors),
        context_lens=(0,) * len(anchors),
        anchors=torch.tensor(list(anchors.values())),
        draft_lens=tuple(lens),
        sampling=sampling,
        uniform=torch.zeros(shape, dtype=torch.float64),
        forced=forced,
    )
    return asked.propose(batch)


def drafted(text: Sequence[int], most: int, n_min: int = 2, n_max: int = 4) -> list[int]:
    """The draft behind `text`, whose last token is the anchor."""
    told = drafter(n_min, n_max)
    tell(told, 0, 0, text[:-1])
    found = ask(told, {0: text[-1]}, (most,))
    assert found.draft_lens is not None
    return found.token_ids[0, : found.draft_lens[0]].tolist()


def looked_up(text: Sequence[int], most: int, n_min: int, n_max: int) -> list[int]:
    """The same by its definition: the longest n-gram first, its earliest place."""
    for size in range(min(n_max, len(text) - 1), n_min - 1, -1):
        for start in range(len(text) - size):
            if text[start : start + size] == text[len(text) - size :]:
                return list(text[start + size : start + size + most])
    return []


@pytest.mark.parametrize(
    ("text", "most", "expected"),
    [
        ([1, 2, 3, 4, 2, 3], 4, [4, 2, 3]),
        ([1, 2, 3, 4, 2, 3], 2, [4, 2]),
        ([5, 6, 7, 9, 5, 6, 8, 9, 5, 6], 3, [8, 9, 5]),
        ([5, 6, 7, 5, 6, 8, 5, 6], 2, [7, 5]),
        ([3, 3, 3], 4, [3]),
        ([1, 2, 3, 4, 5, 3], 4, []),
        ([1], 4, []),
        ([1, 2, 0, 4, 1, 2], 4, [0]),
    ],
    ids=[
        "up to the newest token",
        "as many as asked",
        "the longest match",
        "the earliest place",
        "overlapping itself",
        "shorter than n_min",
        "nothing before",
        "up to an end of text",
    ],
)
def test_what_it_proposes(text: list[int], most: int, expected: list[int]) -> None:
    assert drafted(text, most) == expected


@pytest.mark.parametrize(("n_min", "n_max"), [(1, 1), (1, 3), (2, 4), (3, 3)])
def test_it_is_the_look_up_of_the_definition(n_min: int, n_max: int) -> None:
    generator = torch.Generator().manual_seed(n_min)
    for _ in range(100):
        length = int(torch.randint(1, 40, (1,), generator=generator))
        text = torch.randint(1, 4, (length,), generator=generator).tolist()
        expected = looked_up(text, 5, n_min, n_max)
        assert drafted(text, 5, n_min, n_max) == expected, text


def test_told_in_pieces_is_told_at_once() -> None:
    text = torch.randint(1, 5, (60,), generator=torch.Generator().manual_seed(0)).tolist()
    told = drafter()
    known = 0
    for count in (1, 7, 2, 1, 30, 5):
        tell(told, 0, known, text[known : known + count])
        known += count
        found = ask(told, {0: text[known]}, (6,))
        assert found.draft_lens is not None
        ours = found.token_ids[0, : found.draft_lens[0]].tolist()
        assert ours == looked_up(text[: known + 1], 6, 2, 4)


def test_it_does_as_the_look_up_of_transformers() -> None:
    """n_min 1 is theirs; tokens without an end of text, which they cut off before, we after."""
    from transformers.generation.candidate_generator import PromptLookupCandidateGenerator

    theirs = PromptLookupCandidateGenerator(None, 5, 3, 1000)
    generator = torch.Generator().manual_seed(3)
    for _ in range(50):
        text = torch.randint(1, 6, (30,), generator=generator)
        found = theirs.get_candidates(text.unsqueeze(0))[0][0, 30:].tolist()
        assert drafted(text.tolist(), 5, 1, 3) == found


def test_a_row_forgets_its_request_when_the_next_begins() -> None:
    told = drafter()
    tell(told, 0, 0, [1, 2, 3, 4])
    tell(told, 0, 0, [9, 8, 1])
    assert ask(told, {0: 2}, (3,)).draft_lens == (0,)
    told.allocate(4, 256)
    tell(told, 0, 0, [1])
    assert ask(told, {0: 2}, (3,)).draft_lens == (0,)


def test_rows_have_texts_and_lengths_of_their_own() -> None:
    told = drafter()
    tell(told, 2, 0, [1, 2, 3, 4, 1])
    tell(told, 0, 0, [1, 2, 9, 1])
    tell(told, 3, 0, [1, 7, 1])
    found = ask(told, {2: 2, 0: 2, 3: 2}, (1, 3, 3))
    assert found.draft_lens == (1, 3, 0)
    assert found.token_ids[0, 0] == 3
    assert found.token_ids[1].tolist() == [9, 1, 2]


def test_forced_tokens_come_back_and_the_look_up_stays() -> None:
    told = drafter()
    tell(told, 0, 0, [1, 2, 3, 4, 1])
    forced = torch.tensor([[7, 7, 7]])
    found = ask(told, {0: 2}, (3,), SamplingParams(), forced)
    assert found.token_ids.tolist() == [[7, 7, 7]]
    assert found.certain is not None and found.certain.tolist() == [[3, 4, 1]]
    assert found.is_deterministic and found.probs is None and found.confidence is None


@pytest.mark.parametrize(
    ("n_min", "n_max", "said"), [(0, 4, "n_min is 0"), (3, 2, "n_min is 3 and drafter.n_max is 2")]
)
def test_sizes_that_make_no_sense_are_refused(n_min: int, n_max: int, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        drafter(n_min, n_max)


def repetitive(count: int, max_new_tokens: int = ANSWER) -> list[Request]:
    """Prompts that hold every pair of a few tokens, so that look-ups find something."""
    generator = torch.Generator().manual_seed(8)
    made = []
    for index in range(count):
        tokens = torch.randint(1, 6, (30 + index,), generator=generator).tolist()
        made.append(Request(index, f"p{index}", "test", tuple(tokens), max_new_tokens))
    return made


def loops(count: int) -> list[Request]:
    """Prompts behind which the target's own greedy output stands, so that it is met again."""
    plain = tiny.requests(count)
    written = tiny.outputs(tiny.serve(plain, None, temperature=0.0))
    return [
        replace(r, prompt_tokens=r.prompt_tokens + written[r.request_id] + r.prompt_tokens)
        for r in plain
    ]


@pytest.mark.parametrize("gamma", [1, 4, 9])
@pytest.mark.parametrize("concurrency", [1, 5])
def test_greedy_output_is_the_baselines(gamma: int, concurrency: int) -> None:
    served = [*loops(6), *(replace(r, request_id=20 + r.request_id) for r in repetitive(6))]
    plain = tiny.outputs(tiny.serve(served, None, temperature=0.0, max_len=256))
    found = tiny.serve(
        served, drafter(1, 3), gamma, concurrency, temperature=0.0, max_len=256, prefill_tokens=16
    )
    assert tiny.outputs(found) == plain
    decoding = [cycle for cycle in found.cycles if not cycle.is_prefill]
    assert {cycle.num_drafted for cycle in decoding} >= {0, gamma}
    assert sum(cycle.num_accepted for cycle in decoding) > 0
    assert all(cycle.verify_len <= cycle.num_drafted <= gamma for cycle in decoding)


def test_what_is_sampled_does_not_depend_on_who_shares_the_batch() -> None:
    served = repetitive(8)
    alone = tiny.outputs(tiny.serve(served, drafter(1, 3), max_len=256))
    together = tiny.outputs(tiny.serve(served, drafter(1, 3), concurrency=8, max_len=256))
    assert alone == together


PROMPT = (1, 0, 2, 0, 0, 1, 1, 2, 2, 1, 0, 1, 0)
"""Every token, and every pair but one, stands in it: most cycles have a draft."""


def law_p(
    sampling: SamplingParams,
    gamma: int = 3,
    scheduler: Scheduler | None = None,
    num_requests: int = 5_000,
) -> float:
    """p of the joint law of four emitted tokens; the target's law, filtered, written down whole."""
    target = MarkovTarget(example_laws()[0])
    drafting = NgramDrafter(target, 1, 3)
    engine = Engine(
        target,
        drafting,
        scheduler or FixedScheduler(),
        ExactAcceptance(),
        sampling,
        gamma,
        EngineConfig(1024, 32),
        device_clock(tiny.CPU),
    )
    requests = [Request(i, str(i), "", PROMPT, 4) for i in range(num_requests)]
    result = engine.run(requests, ClosedLoad(1024), 3)
    assert sum(cycle.is_rejected for cycle in result.cycles) > num_requests / 4
    counts = count_sequences([record.output_tokens for record in result.requests], 3, 4)
    filtered = MarkovTarget(token_probs(target.law.log(), sampling))
    expected = filtered.joint(PROMPT[-1], 4)
    assert not counts[expected == 0].any()
    return chi_square(counts[expected > 0], expected[expected > 0])[1]


@pytest.mark.parametrize(
    "sampling",
    [SamplingParams(), SamplingParams(0.6), SamplingParams(top_k=2), SamplingParams(1.3, 0, 0.9)],
    ids=["plain", "cold", "top-k", "top-p"],
)
def test_what_is_emitted_has_the_targets_law(sampling: SamplingParams) -> None:
    assert law_p(sampling) >= P_MIN


def test_so_it_has_when_the_batch_chooses_the_length() -> None:
    assert law_p(SamplingParams(), 4, BatchSizeScheduler([[1, 4], [512, 1]])) >= P_MIN


def test_along_a_record_acceptance_has_the_law_of_speculation() -> None:
    """Share of first drafts that stand: the same along the target's own outputs as drawn freely."""
    served = repetitive(40, 12)
    plain = tiny.outputs(tiny.serve(served, None, max_len=256))
    longer = [replace(r, max_new_tokens=24) for r in served]
    known = tiny.outputs(tiny.serve(longer, None, max_len=256, seed=2))
    along = [replace(r, continuation=known[r.request_id]) for r in served]
    found = tiny.serve(along, drafter(1, 3), 4, 8, max_len=256, acceptance=ReplayAcceptance())
    written = tiny.outputs(found)
    assert all(written[r.request_id] == r.continuation[: len(written[r.request_id])] for r in along)
    assert written != plain
    decided = [c for c in found.cycles if c.verify_len > 0]
    expected = [c.expected_acceptance[0] for c in decided]
    stood = sum(c.num_accepted > 0 for c in decided)
    spread = sum(p * (1 - p) for p in expected) ** 0.5
    assert abs(stood - sum(expected)) < 4 * spread
    assert len(decided) > 100


def test_a_stated_profile_judges_the_drafts_that_there_are() -> None:
    served = repetitive(6)
    acceptance = ForcedAcceptance(4, rates=1.0)
    found = tiny.serve(served, drafter(1, 3), 4, 2, max_len=256, acceptance=acceptance)
    decoding = [c for c in found.cycles if not c.is_prefill]
    assert all(c.num_accepted == c.verify_len == c.num_drafted for c in decoding)
    assert max(c.num_accepted for c in decoding) == 4


def test_it_answers_forced_tokens_as_it_must_and_its_texts_do_not_lean() -> None:
    served = repetitive(24, 40)
    drafting = drafter(1, 3)
    written = tiny.outputs(tiny.serve(served, drafting, 4, 8, max_len=256))
    texts = [(r, written[r.request_id]) for r in served]
    kept = forced_contract(tiny.target(), drafting, texts, 4, SamplingParams())
    assert kept.is_passed, kept.detail
    found = tilt_check(tiny.target(), drafting, texts, 4, SamplingParams())
    assert found.is_passed, found.detail
    colder = tiny.outputs(tiny.serve(served, None, concurrency=8, temperature=0.7, max_len=256))
    texts = [(r, colder[r.request_id]) for r in served]
    assert not tilt_check(tiny.target(), drafting, texts, 4, SamplingParams()).is_passed


def test_it_knows_what_was_emitted_and_no_more() -> None:
    """At every draft: all committed tokens but the anchor, in their order."""
    served = repetitive(6)
    drafting = drafter(1, 3)
    seen: list[tuple[int, tuple[int, ...]]] = []

    class Watched:
        spec = drafting.spec
        allocate, extend = drafting.allocate, drafting.extend

        def propose(self, batch: DraftBatch) -> Proposal:
            for row, length, anchor in zip(
                batch.rows, batch.context_lens, batch.anchors.tolist(), strict=True
            ):
                known = drafting.known(row)
                assert len(known) == length
                seen.append((length, (*known, anchor)))
            return drafting.propose(batch)

    found = tiny.serve(served, Watched(), 4, 2, max_len=256, prefill_tokens=8)
    written = tiny.outputs(found)
    whole = [r.prompt_tokens + written[r.request_id] for r in served]
    assert len(seen) > 50
    assert all(any(text[: length + 1] == known for text in whole) for length, known in seen)


def test_where_nothing_is_found_nothing_agrees() -> None:
    texts = [(Request(0, "0", "", (2, 3, 4), 9), (5, 6, 7, 8, 9, 10, 11, 12, 13))]
    overlaps, anchors = measure_agreement(tiny.target(), drafter(), texts, 4, SamplingParams())
    assert anchors.tolist() == [2.0] and overlaps.tolist() == [[0.0] * 4]
