"""Our engine and transformers as peers: one target, the same tokens, at any batch."""

from functools import cache
from typing import Any

import pytest

from dspark_bench.evidence.peers import engine_ours, engine_transformers
from tests import tiny

PROMPTS = [[5, 6, 7], [8, 9], [10, 11, 12, 13, 14], [15], [16, 17, 18, 16, 17]]
PROMPTS += [[number, number + 1] for number in range(20, 30)]


def settings(batch: int, **changed: Any) -> dict[str, Any]:
    told = {"target": str(tiny.target_dir()), "drafter": None, "gamma": 3, "batch": batch}
    told |= {"new_tokens": 12, "max_len": 40, "threads": 1, "is_lookup": False}
    return {**told, **changed}


@cache
def wanted() -> list[list[int]]:
    _, serve = engine_transformers.start(settings(1))
    return serve(PROMPTS)


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_ours_and_generate_agree(batch: int) -> None:
    for engine in (engine_ours, engine_transformers):
        facts, serve = engine.start(settings(batch))
        assert facts["torch"] and serve(PROMPTS) == wanted()
        assert serve(PROMPTS[::-1]) == wanted()[::-1]  # the next turn starts from nothing


def test_speculation_changes_no_token() -> None:
    """Requests end out of order then, since what is accepted differs."""
    _, drafting = engine_ours.start(settings(3, drafter=str(tiny.drafter_dir("ar"))))
    _, looking_up = engine_transformers.start(settings(1, is_lookup=True))
    assert drafting(PROMPTS) == looking_up(PROMPTS) == wanted()


def test_outputs_end_with_the_end_of_sequence() -> None:
    assert engine_transformers.until_end([3, 0, 0, 0], 0) == [3, 0]
    assert engine_transformers.until_end([3, 4], 0) == [3, 4]
