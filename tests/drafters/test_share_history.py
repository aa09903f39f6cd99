"""What earlier drafts of a frequency tell about the next, by hand and in the cycle."""

import pytest
import torch

from dspark_bench.core.types import ContextUpdate, DraftBatch, SamplingParams
from dspark_bench.drafters.share_history import (
    FIRST_SHARE,
    FIRST_TRIALS,
    LONGEST_MATCH,
    MEMORY,
    Drafted,
    ShareHistory,
)
from dspark_bench.drafters.suffix import SuffixDrafter
from dspark_bench.engine.confidence_contract import confidence_contract
from dspark_bench.engine.exactness import same_outputs_check
from dspark_bench.schedulers.threshold import ThresholdScheduler
from tests import tiny
from tests.schedulers.test_schedulers import AsItIs

PRIOR = FIRST_TRIALS * FIRST_SHARE


def test_shares_by_hand() -> None:
    """A draft of two kinds of slots: the first stands, the second does not, the third is unread."""
    history = ShareHistory()
    draft = Drafted((5, 6, 7), 3, (1.0, 0.5, 1.0))
    assert history.confidence(draft, 4) == [0.5, 0.25, 0.5, FIRST_SHARE]
    history.learn(draft, [5, 9, 7])
    surer, less = (1 + PRIOR) / (1 + FIRST_TRIALS), PRIOR * 0.5 / (1 + FIRST_TRIALS)
    assert history.confidence(draft, 3) == pytest.approx([surer, less, surer])
    history.learn(Drafted((5,), 3, (1.0,)), [4])
    again = (MEMORY + PRIOR) / (MEMORY + 1 + FIRST_TRIALS)
    assert history.confidence(draft, 1) == pytest.approx([again, less, again])


def test_matches_of_other_lengths_are_other_kinds_up_to_the_longest() -> None:
    history = ShareHistory()
    history.learn(Drafted((5,), LONGEST_MATCH, (1.0,)), [5])
    known = (1 + PRIOR) / (1 + FIRST_TRIALS)
    for length, found in ((2, FIRST_SHARE), (LONGEST_MATCH, known), (20, known)):
        assert history.confidence(Drafted((6,), length, (1.0,)), 1) == pytest.approx([found])


def extend(drafter: SuffixDrafter, row: int, start: int, text: list[int]) -> None:
    """The last token of `text` is the new anchor."""
    known, behind = torch.tensor(text[:-1]), torch.tensor(text[1:])
    drafter.extend(
        ContextUpdate((row,), (start,), (len(known),), known, behind, torch.empty(len(known), 0))
    )


def propose(drafter: SuffixDrafter, row: int, at: int, wants: bool = True) -> list[float]:
    anchor = torch.tensor([drafter.known(row)[-1]])
    batch = DraftBatch(
        (row,), (at,), anchor, (2,), SamplingParams(), torch.zeros(1, 2), wants_confidence=wants
    )
    found = drafter.propose(batch)
    assert found.draft_lens == (2,)
    return [] if found.confidence is None else found.confidence[0].tolist()


def test_a_draft_is_judged_by_what_was_emitted() -> None:
    """Behind (3, 4) stood 5, 6: the first comes again, then 9 instead of 6."""
    drafter = SuffixDrafter(tiny.target(), max_cached_tokens=0)
    drafter.allocate(2, 64)
    extend(drafter, 0, 0, [3, 4, 5, 6, 3, 4])
    assert propose(drafter, 0, 5) == [FIRST_SHARE] * 2
    extend(drafter, 0, 5, [4, 5, 9])
    extend(drafter, 1, 0, [3, 4, 5, 6, 3, 4])
    after = MEMORY + FIRST_TRIALS + 1
    assert propose(drafter, 1, 5) == pytest.approx([(MEMORY + PRIOR) / after] * 2)
    assert propose(drafter, 1, 5, wants=False) == []
    extend(drafter, 1, 0, [3, 4, 5, 6, 3, 4])
    assert propose(drafter, 1, 5) == pytest.approx([(MEMORY + PRIOR) / after] * 2)


def test_a_scheduler_cuts_by_it_and_greedy_output_stays() -> None:
    requests = tiny.requests(6, 40)
    baseline = tiny.serve(requests, None, temperature=0.0)
    scheduler = ThresholdScheduler(AsItIs(), 0.55, exploration_period=8)
    drafter = SuffixDrafter(tiny.target())
    result = tiny.serve(requests, drafter, 4, 3, 0.0, scheduler=scheduler)
    assert same_outputs_check("greedy", baseline, result).is_passed
    drafted = [cycle for cycle in result.cycles if cycle.num_drafted > 0]
    assert all(len(cycle.confidence) == cycle.num_drafted for cycle in drafted)
    assert len({cycle.verify_len for cycle in drafted}) > 1


def test_it_is_blind_to_the_token_that_it_judges() -> None:
    texts = [(request, request.prompt_tokens[-1:]) for request in tiny.requests(3, 8)]
    drafter = SuffixDrafter(tiny.target())
    found = confidence_contract(tiny.target(), drafter, texts, 4, SamplingParams(0.7))
    assert found.is_passed and "in 3 drafts" in found.detail, found.detail
