"""What earlier drafts tell about the next, by hand and in the cycle."""

import pytest
import torch

from dspark_bench.core.types import ContextUpdate, DraftBatch, SamplingParams
from dspark_bench.drafters.match_history import FIRST_SHARE, FIRST_TRIALS, MEMORY, MatchHistory
from dspark_bench.drafters.ngram import NgramDrafter
from dspark_bench.engine.exactness import same_outputs_check
from dspark_bench.schedulers.threshold import ThresholdScheduler
from tests import tiny
from tests.schedulers.test_schedulers import AsItIs

PRIOR = FIRST_TRIALS * FIRST_SHARE


def test_shares_by_hand() -> None:
    """Two drafts of a match of 3: the first loses its second token, the other stands whole."""
    history = MatchHistory()
    assert history.confidence(3, 2) == [FIRST_SHARE] * 2
    history.learn(3, [5, 6, 7], [5, 9])
    first = [(1 + PRIOR) / (1 + FIRST_TRIALS), PRIOR / (1 + FIRST_TRIALS), FIRST_SHARE]
    assert history.confidence(3, 3) == pytest.approx(first)
    history.learn(3, [5, 6], [5, 6, 1])
    kept = MEMORY
    assert history.confidence(3, 2) == pytest.approx(
        [(kept + 1 + PRIOR) / (kept + 1 + FIRST_TRIALS), (1 + PRIOR) / (kept + 1 + FIRST_TRIALS)]
    )
    assert history.confidence(2, 1) == [FIRST_SHARE]


def test_what_lies_behind_a_refusal_was_not_reached() -> None:
    history = MatchHistory()
    history.learn(2, [5, 6, 7], [4])
    assert history.confidence(2, 3) == pytest.approx(
        [PRIOR / (1 + FIRST_TRIALS), FIRST_SHARE, FIRST_SHARE]
    )


def drafting(*texts: list[int]) -> NgramDrafter:
    drafter = NgramDrafter(tiny.target())
    drafter.allocate(2, 64)
    for row, text in enumerate(texts):
        extend(drafter, row, 0, text)
    return drafter


def extend(drafter: NgramDrafter, row: int, start: int, text: list[int]) -> None:
    """The last token of `text` is the new anchor."""
    known, behind = torch.tensor(text[:-1]), torch.tensor(text[1:])
    drafter.extend(
        ContextUpdate((row,), (start,), (len(known),), known, behind, torch.empty(len(known), 0))
    )


def propose(
    drafter: NgramDrafter, row: int, at: int, anchor: int, wants: bool = True
) -> list[float]:
    batch = DraftBatch(
        (row,),
        (at,),
        torch.tensor([anchor]),
        (2,),
        SamplingParams(),
        torch.zeros(1, 2),
        wants_confidence=wants,
    )
    found = drafter.propose(batch)
    return [] if found.confidence is None else found.confidence[0].tolist()


def test_a_draft_is_judged_by_what_was_emitted() -> None:
    """Behind (3, 4) stood 5, 6: the first comes again, then 9 instead of 6."""
    drafter = drafting([3, 4, 5, 6, 3, 4])
    assert propose(drafter, 0, 5, 4) == [FIRST_SHARE] * 2
    extend(drafter, 0, 5, [4, 5, 9])
    extend(drafter, 1, 0, [3, 4, 5, 6, 3, 4])
    assert propose(drafter, 1, 5, 4) == pytest.approx([3 / 5, 2 / 5])
    assert propose(drafter, 1, 5, 4, wants=False) == []


def test_a_request_that_ended_teaches_the_next_one_in_its_row_nothing() -> None:
    drafter = drafting([3, 4, 5, 6, 3, 4])
    propose(drafter, 0, 5, 4)
    extend(drafter, 0, 0, [3, 4, 5, 6, 3, 4])
    assert propose(drafter, 0, 5, 4) == [FIRST_SHARE] * 2


def test_a_scheduler_cuts_by_it_and_greedy_output_stays() -> None:
    requests = tiny.requests(6, 40)
    baseline = tiny.serve(requests, None, temperature=0.0)
    scheduler = ThresholdScheduler(AsItIs(), 0.55, exploration_period=8)
    drafter = NgramDrafter(tiny.target(), 1, 2)
    result = tiny.serve(requests, drafter, 4, 3, 0.0, scheduler=scheduler)
    assert same_outputs_check("greedy", baseline, result).is_passed
    drafted = [cycle for cycle in result.cycles if cycle.num_drafted > 0]
    assert all(len(cycle.confidence) == cycle.num_drafted for cycle in drafted)
    assert len({cycle.verify_len for cycle in drafted}) > 1
