"""`suffix`: which tokens it drafts, as chain and tree, and that what is emitted keeps its law."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from dspark_bench.core.errors import UsageError
from dspark_bench.core.sampling import token_probs
from dspark_bench.core.types import ContextUpdate, DraftBatch, Proposal, Request, SamplingParams
from dspark_bench.drafters.suffix import SuffixDrafter
from dspark_bench.engine.acceptance import ExactAcceptance
from dspark_bench.engine.agreement import measure_agreement
from dspark_bench.engine.engine import Engine, EngineConfig
from dspark_bench.engine.exactness import P_MIN, chi_square, example_laws
from dspark_bench.engine.forced_contract import forced_contract
from dspark_bench.engine.markov import MarkovTarget, count_sequences
from dspark_bench.engine.match_acceptance import MatchAcceptance
from dspark_bench.engine.tree_drafts import TreeDrafts
from dspark_bench.loads.closed import ClosedLoad
from dspark_bench.schedulers.fixed import FixedScheduler
from dspark_bench.trees.best_first import BestFirstTree
from tests import tiny
from tests.drafters.test_ngram import loops, repetitive

GREEDY = SamplingParams(temperature=0.0)
EOS = tiny.EOS


def drafter(**keys: float) -> SuffixDrafter:
    """On the tiny target, whose end of text is token 0."""
    built = SuffixDrafter(tiny.target(), **keys)
    built.allocate(4, 256)
    return built


def tell(
    told: SuffixDrafter, row: int, start: int, tokens: Sequence[int], num_prompt: int = 1
) -> None:
    """Make all tokens but the last, the anchor, the context of a row, from `start` on."""
    ids = torch.tensor(list(tokens))
    count = len(tokens) - 1
    empty = torch.empty(count, 0)
    update = ContextUpdate((row,), (start,), (count,), ids[:-1], ids[1:], empty, (num_prompt,))
    told.extend(update)


def batch_of(
    anchors: dict[int, int], lens: Sequence[int], forced: torch.Tensor | None = None
) -> DraftBatch:
    return DraftBatch(
        rows=tuple(anchors),
        context_lens=(0,) * len(anchors),
        anchors=torch.tensor(list(anchors.values())),
        draft_lens=tuple(lens),
        sampling=GREEDY if forced is None else SamplingParams(),
        uniform=torch.zeros(len(anchors), max(lens), dtype=torch.float64),
        forced=forced,
    )


def ask(asked: SuffixDrafter, row: int, most: int) -> list[int]:
    """The draft behind what a row was told."""
    found = asked.propose(batch_of({row: asked.known(row)[-1]}, (most,)))
    assert found.draft_lens is not None
    return found.token_ids[0, : found.draft_lens[0]].tolist()


def drafted(text: Sequence[int], most: int, **keys: float) -> list[int]:
    told = drafter(**keys)
    tell(told, 0, 0, text)
    return ask(told, 0, most)


@pytest.mark.parametrize(
    ("text", "most", "keys", "expected"),
    [
        ([1, 2, 3, 4, 5, 9, 1, 2, 3], 8, {}, [4, 5, 9]),
        ([1, 2, 3, 4, 5, 9, 1, 2, 3], 8, {"max_spec_factor": 2.0}, [4, 5, 9, 1, 2, 3]),
        ([1, 2, 3, 4, 5, 9, 1, 2, 3], 2, {}, [4, 5]),
        ([1, 2, 3, 4, 5, 9, 1, 2, 3], 8, {"max_tree_depth": 4}, [4, 5]),
        ([7, 5, 7, 5, 7, 6, 7], 1, {}, [5]),
        ([1, 2, 3, 4, 5], 4, {}, []),
        ([1, 2, 3, EOS, 4, 1, 2, 3], 8, {}, [EOS]),
        ([7, 5, 7, 6, 7], 4, {"min_token_prob": 0.6}, []),
        ([7, 5, 7, 6, 7], 4, {"min_token_prob": 0.5}, [5]),
    ],
    ids=[
        "as long as the match",
        "twice as long",
        "as many as asked",
        "up to the depth",
        "the most frequent",
        "nothing repeats",
        "up to an end of text",
        "nothing is likely enough",
        "just likely enough",
    ],
)
def test_what_it_proposes(
    text: list[int], most: int, keys: dict[str, float], expected: list[int]
) -> None:
    assert drafted(text, most, **keys) == expected


def followers(text: Sequence[int], piece: Sequence[int]) -> list[int]:
    """Tokens behind every place of a piece, in order of their places."""
    size = len(piece)
    starts = range(len(text) - size)
    return [text[s + size] for s in starts if list(text[s : s + size]) == list(piece)]


def by_definition(text: Sequence[int], most: int, depth: int, factor: float, least: float) -> float:
    """The largest sum of products of shares, over all matches."""
    best = 0.0
    for length in range(1, min(depth, len(text)) + 1):
        piece = list(text[-length:])
        room = min(most, int(factor * length), depth - length)
        score, product = 0.0, 1.0
        for _ in range(room):
            behind = followers(text, piece)
            share = max((behind.count(t) / len(behind) for t in behind), default=0.0)
            product *= share
            if not behind or product < least:
                break
            score += product
            first = next(t for t in behind if behind.count(t) == share * len(behind))
            piece.append(first)
        best = max(best, score)
    return best


@pytest.mark.parametrize(("depth", "factor", "least"), [(24, 1.0, 0.1), (5, 2.0, 0.3), (8, 4, 0)])
def test_it_is_the_best_candidate_of_the_definition(
    depth: int, factor: float, least: float
) -> None:
    generator = torch.Generator().manual_seed(depth)
    for _ in range(60):
        length = int(torch.randint(2, 40, (1,), generator=generator))
        text = torch.randint(1, 4, (length,), generator=generator).tolist()
        told = drafter(max_tree_depth=depth, max_spec_factor=factor, min_token_prob=least)
        tell(told, 0, 0, text)
        found = told._best(0, 6)
        assert found.score == pytest.approx(by_definition(text, 6, depth, factor, least)), text
        assert len(found.draft.tokens) <= 6


def test_told_in_pieces_is_told_at_once() -> None:
    text = torch.randint(1, 5, (60,), generator=torch.Generator().manual_seed(0)).tolist()
    told = drafter()
    known = 0
    for count in (1, 7, 2, 1, 30, 5):
        tell(told, 0, known, text[known : known + count + 1])
        known += count
        assert told.known(0) == tuple(text[: known + 1])
        assert ask(told, 0, 6) == drafted(text[: known + 1], 6)


def test_rows_have_texts_and_lengths_of_their_own() -> None:
    told = drafter()
    tell(told, 2, 0, [1, 2, 3, 4, 1, 2])
    tell(told, 0, 0, [1, 2, 9, 8, 1, 2])
    tell(told, 3, 0, [1, 7, 5, 2])
    found = told.propose(batch_of({2: 2, 0: 2, 3: 2}, (1, 3, 3)))
    assert found.draft_lens == (1, 2, 0)
    assert found.token_ids[0, 0] == 3 and found.token_ids[1, :2].tolist() == [9, 8]


def serve_text(told: SuffixDrafter, row: int, prompt: list[int], output: list[int]) -> None:
    """A request that drafts once behind its prompt, then goes on to the end of its output."""
    tell(told, row, 0, [*prompt, output[0]], len(prompt))
    ask(told, row, 1)
    if len(output) > 1:
        tell(told, row, len(prompt), output, len(prompt))


def test_earlier_outputs_are_drafted_from_once_their_requests_have_ended() -> None:
    told = drafter()
    serve_text(told, 0, [1, 2], [11, 12, 13, 14, 15])
    tell(told, 1, 0, [3, 11, 12])
    assert ask(told, 1, 4) == []
    tell(told, 0, 0, [4, 5, 6])
    assert ask(told, 1, 4) == [13, 14]
    assert ask(told, 0, 4) == []
    tell(told, 2, 0, [7, 1])
    assert ask(told, 2, 4) == []
    told.allocate(4, 256)
    tell(told, 1, 0, [3, 11, 12])
    assert ask(told, 1, 4) == []


def test_an_answer_is_not_copied_when_its_prompt_comes_again() -> None:
    told = drafter()
    serve_text(told, 0, [1, 2], [11, 12, 13, 14, 15])
    serve_text(told, 0, [1, 2], [11, 12])
    assert ask(told, 0, 4) == []
    told = drafter()
    for row in (0, 1):
        serve_text(told, row, [1, 2], [11, 12, 13, 14, 15])
    tell(told, 0, 0, [9, 8])
    tell(told, 2, 0, [7, 11, 12])
    assert ask(told, 2, 4) == []


def test_so_it_is_where_a_scheduler_leaves_the_first_cycles_without_drafts() -> None:
    """What was emitted before the first draft is no part of the prompt."""
    told = drafter()
    tell(told, 0, 0, [1, 2, 11], 2)
    tell(told, 0, 2, [11, 12], 2)
    ask(told, 0, 4)
    tell(told, 0, 3, [12, 13, 14, 15], 2)
    tell(told, 0, 0, [1, 2, 11], 2)
    assert ask(told, 0, 4) == []
    tell(told, 0, 2, [11, 12], 2)
    assert ask(told, 0, 4) == []


def test_an_output_without_drafts_is_drafted_from_too() -> None:
    told = drafter()
    tell(told, 0, 0, [1, 2, 11], 2)
    tell(told, 0, 2, [11, 12, 13, 14], 2)
    tell(told, 0, 0, [7, 8])
    tell(told, 1, 0, [9, 11, 12])
    assert ask(told, 1, 4) == [13, 14]


def test_the_engine_says_how_long_prompts_are() -> None:
    served = repetitive(5)
    drafting = drafter()
    seen: set[int] = set()

    class Watched:
        spec = drafting.spec
        allocate, propose = drafting.allocate, drafting.propose

        def extend(self, update: ContextUpdate) -> None:
            drafting.extend(update)
            for row, length in zip(update.rows, update.prompt_lens, strict=True):
                known = drafting.known(row)[:30]
                assert (
                    any(
                        length == len(request.prompt_tokens) and known == request.prompt_tokens[:30]
                        for request in served
                        if len(known) == 30
                    )
                    or len(known) < 30
                )
                seen.add(length)

    tiny.serve(served, Watched(), 4, 3, max_len=256, prefill_tokens=8)
    assert seen == {len(request.prompt_tokens) for request in served}


@pytest.mark.parametrize("room", [0, 4])
def test_what_is_kept_has_a_bound(room: int) -> None:
    told = drafter(max_cached_tokens=room)
    for first in (10, 20, 30):
        serve_text(told, 0, [1, first], [first + 1, first + 2, first + 3])
    tell(told, 0, 0, [1, 2])
    assert told._earlier.num_tokens == (3 if room else 0)
    tell(told, 1, 0, [5, 31, 32])
    assert ask(told, 1, 3) == ([33] if room else [])
    tell(told, 1, 0, [5, 21, 22])
    assert ask(told, 1, 3) == []


def test_forced_tokens_come_back_and_the_look_up_stays() -> None:
    told = drafter()
    tell(told, 0, 0, [1, 2, 3, 4, 1, 2])
    found = told.propose(batch_of({0: 2}, (3,), torch.tensor([[7, 7, 7]])))
    assert found.token_ids.tolist() == [[7, 7, 7]]
    assert found.certain is not None and found.certain[0, :2].tolist() == [3, 4]
    assert found.draft_lens == (2,) and found.is_deterministic and found.probs is None


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"max_tree_depth": 1}, "drafter.max_tree_depth is 1; valid: 2 to 256"),
        ({"max_tree_depth": 257}, "drafter.max_tree_depth is 257"),
        ({"max_spec_factor": 0.0}, "drafter.max_spec_factor is 0; valid: above 0"),
        ({"max_spec_factor": float("nan")}, "drafter.max_spec_factor is nan"),
        ({"min_token_prob": 1.5}, "drafter.min_token_prob is 1.5; valid: 0 to 1"),
        ({"max_cached_tokens": -1}, "drafter.max_cached_tokens is -1; valid: 0 or more"),
    ],
)
def test_keys_that_make_no_sense_are_refused(keys: dict[str, float], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        drafter(**keys)


@pytest.mark.parametrize(("gamma", "concurrency"), [(1, 5), (4, 1), (9, 5)])
def test_greedy_output_is_the_baselines(gamma: int, concurrency: int) -> None:
    served = [*loops(6), *(replace(r, request_id=20 + r.request_id) for r in repetitive(6))]
    plain = tiny.outputs(tiny.serve(served, None, temperature=0.0, max_len=256))
    found = tiny.serve(
        served, drafter(), gamma, concurrency, temperature=0.0, max_len=256, prefill_tokens=16
    )
    assert tiny.outputs(found) == plain
    decoding = [cycle for cycle in found.cycles if not cycle.is_prefill]
    assert sum(cycle.num_accepted for cycle in decoding) > 0
    assert all(cycle.verify_len <= cycle.num_drafted <= gamma for cycle in decoding)


def test_greedy_output_of_its_tree_is_the_baselines() -> None:
    served = [*loops(6), *(replace(r, request_id=20 + r.request_id) for r in repetitive(6))]
    plain = tiny.outputs(tiny.serve(served, None, temperature=0.0, max_len=256))
    tree = TreeDrafts(drafter(min_token_prob=0.0), BestFirstTree(8))
    found = tiny.serve(served, tree, 4, 3, 0.0, max_len=256, acceptance=MatchAcceptance())
    assert tiny.outputs(found) == plain
    nodes = {cycle.num_drafted for cycle in found.cycles if not cycle.is_prefill}
    assert max(nodes) == 8 and 0 in nodes
    assert any(cycle.path != tuple(range(len(cycle.path))) for cycle in found.cycles)


def test_its_tree_holds_the_likeliest_prefixes_behind_the_match() -> None:
    """Behind 7: 5 three times, always with 1 behind it, 6 twice, 8 once."""
    text = [7, 5, 1, 7, 6, 3, 7, 5, 1, 7, 6, 4, 7, 5, 1, 7, 8, 9, 7]
    told = TreeDrafts(drafter(max_spec_factor=2.0, min_token_prob=0.0), BestFirstTree(4))
    tell(told._drafter, 0, 0, text)  # type: ignore[arg-type]
    found = told.propose(batch_of({0: 7}, (2,)))
    assert found.token_ids.tolist() == [[5, 1, 6, 8]]
    assert found.parents == ((-1, 0, -1, -1),)


def test_a_tree_ends_where_the_product_falls_below() -> None:
    text = [7, 5, 1, 7, 6, 3, 7, 5, 1, 7, 6, 4, 7, 5, 1, 7, 8, 9, 7]
    told = TreeDrafts(drafter(max_spec_factor=2.0, min_token_prob=0.3), BestFirstTree(9))
    tell(told._drafter, 0, 0, text)  # type: ignore[arg-type]
    found = told.propose(batch_of({0: 7}, (2,)))
    assert found.token_ids.tolist() == [[5, 1, 6]]


def tree_of(text: Sequence[int], depth: int, **keys: float) -> list[int]:
    """Tokens of the tree of all that may be drafted behind a text, sorted."""
    told = TreeDrafts(drafter(**keys), BestFirstTree(32))
    tell(told._drafter, 0, 0, text)  # type: ignore[arg-type]
    found = told.propose(batch_of({0: text[-1]}, (depth,)))
    assert found.draft_lens is not None
    return sorted(found.token_ids[0, : found.draft_lens[0]].tolist())


def test_a_tree_is_no_deeper_than_its_match_allows() -> None:
    assert tree_of([1, 2, 3, 4, 5, 9, 1, 2, 3], 8) == [4, 5, 9]


def test_nothing_is_behind_an_end_of_text_in_a_tree() -> None:
    assert tree_of([1, 2, 3, EOS, 4, 1, 2, 3], 8) == [EOS]


def test_products_along_a_path_are_compared_at_any_depth() -> None:
    """Behind 7: 5 in six of nine, then 1 in three of six, then 3 in two of three: 0.22 in all."""
    pieces = [[5, 1, 3], [5, 1, 3], [5, 1, 4], *[[5, 2]] * 3, *[[6]] * 3]
    text = [token for place, piece in enumerate(pieces) for token in (20 + place, 7, *piece)]
    found = tree_of([*text, 19, 7], 3, max_spec_factor=3.0, min_token_prob=0.3)
    assert found == [1, 2, 5, 6]


def test_of_equally_good_candidates_the_own_texts_longest_is_drafted() -> None:
    told = drafter()
    serve_text(told, 0, [1, 2], [11, 12, 13, 14, 15])
    tell(told, 1, 0, [3, 11, 12, 21, 11, 12])
    tell(told, 0, 0, [4, 5, 6])
    assert ask(told, 1, 1) == [21]


def test_a_match_without_followers_grows_no_tree() -> None:
    told = TreeDrafts(drafter(), BestFirstTree(4))
    tell(told._drafter, 0, 0, [1, 2, 3])  # type: ignore[arg-type]
    assert told.propose(batch_of({0: 3}, (2,))).draft_lens == (0,)


PROMPT = (1, 0, 2, 0, 0, 1, 1, 2, 2, 1, 0, 1, 0)


def law_p(sampling: SamplingParams, is_tree: bool, num_requests: int = 1_500) -> float:
    """p of the joint law of four emitted tokens; requests end and their outputs are drafted from.

    Prompts differ in their first tokens, so that none is the same as another's.
    """
    target = MarkovTarget(example_laws()[0])
    drafting = SuffixDrafter(target, min_token_prob=0.0)
    engine = Engine(
        target,
        TreeDrafts(drafting, BestFirstTree(5)) if is_tree else drafting,
        FixedScheduler(),
        MatchAcceptance() if is_tree else ExactAcceptance(),
        sampling,
        3,
        EngineConfig(256, 48),
        lambda: 0.0,
    )
    prompts = [(*(i // 3**place % 3 for place in range(8)), *PROMPT) for i in range(num_requests)]
    requests = [Request(i, str(i), "", prompts[i], 4) for i in range(num_requests)]
    result = engine.run(requests, ClosedLoad(256), 3)
    assert sum(cycle.is_rejected for cycle in result.cycles) > num_requests / 8
    assert drafting._earlier.num_tokens > num_requests / 2
    counts = count_sequences([record.output_tokens for record in result.requests], 3, 4)
    expected = MarkovTarget(token_probs(target.law.log(), sampling)).joint(PROMPT[-1], 4)
    return chi_square(counts[expected > 0], expected[expected > 0])[1]


@pytest.mark.parametrize(
    ("sampling", "is_tree"),
    [(SamplingParams(), False), (SamplingParams(0.7, 0, 0.9), False), (SamplingParams(), True)],
)
def test_what_is_emitted_has_the_targets_law(sampling: SamplingParams, is_tree: bool) -> None:
    assert law_p(sampling, is_tree) >= P_MIN


def test_without_earlier_outputs_nobody_in_the_batch_has_a_say_in_what_is_sampled() -> None:
    served = repetitive(8)
    alone, together = (
        tiny.outputs(
            tiny.serve(served, drafter(max_cached_tokens=0), concurrency=size, max_len=256)
        )
        for size in (1, 8)
    )
    assert alone == together


def test_it_knows_what_was_emitted_and_no_more() -> None:
    """At every draft: all committed tokens, the anchor the last."""
    served = repetitive(6)
    drafting = drafter()
    seen: list[tuple[int, ...]] = []

    class Watched:
        spec = drafting.spec
        allocate, extend = drafting.allocate, drafting.extend

        def propose(self, batch: DraftBatch) -> Proposal:
            anchors = batch.anchors.tolist()
            for row, length, anchor in zip(batch.rows, batch.context_lens, anchors, strict=True):
                known = drafting.known(row)
                assert len(known) == length + 1 and known[-1] == anchor
                seen.append(known)
            return drafting.propose(batch)

    found = tiny.serve(served, Watched(), 4, 2, max_len=256, prefill_tokens=8)
    written = tiny.outputs(found)
    whole = [r.prompt_tokens + written[r.request_id] for r in served]
    assert len(seen) > 50
    assert all(any(text[: len(known)] == known for text in whole) for known in seen)


def test_it_answers_forced_tokens_as_it_must() -> None:
    served = repetitive(12, 40)
    drafting = drafter()
    written = tiny.outputs(tiny.serve(served, drafting, 4, 8, max_len=256))
    texts = [(r, written[r.request_id]) for r in served]
    kept = forced_contract(tiny.target(), drafting, texts, 4, SamplingParams())
    assert kept.is_passed, kept.detail
    overlaps, anchors = measure_agreement(tiny.target(), drafting, texts, 4, SamplingParams())
    assert anchors.sum() > 0 and overlaps.shape[1] == 4
