"""Texts longer than one piece are judged as if they had been read at once."""

import pytest
import torch

from dspark_bench.core.types import Request, SamplingParams
from dspark_bench.engine import long_pass, teacher_forcing
from dspark_bench.engine.emitted_law import target_law
from dspark_bench.engine.long_pass import run_along
from dspark_bench.engine.teacher_forcing import score_blocks
from dspark_bench.models.attention import Span, plan_attention
from dspark_bench.models.kernels.choice import Wanted
from tests import tiny

TOKENS = torch.tensor([1 + 7 * i % 60 for i in range(45)])
REQUEST, OUTPUT = Request(0, "p", "", tuple(TOKENS[:31].tolist()), 14), tuple(TOKENS[31:].tolist())
PIECES = (1, 7, 16, 45)


def set_piece(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    for module in (long_pass, teacher_forcing):
        monkeypatch.setattr(module, "PIECE_TOKENS", size)


@pytest.mark.parametrize("wanted", Wanted)
@pytest.mark.parametrize("size", PIECES)
def test_logits_and_features_are_those_of_one_pass(
    wanted: Wanted, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tiny.target(kernels=wanted)
    with torch.inference_mode():
        cache = target.new_cache(1, 45)
        plan = plan_attention([Span(0, 0, 45)], cache)
        whole = target.forward(TOKENS, plan, cache, None, tiny.LAYERS)
        set_piece(monkeypatch, size)
        for first in (0, 6, 7, 30, 44):
            found = run_along(target, TOKENS, first, tiny.LAYERS)
            assert found.features is not None and whole.features is not None
            for ours, theirs in (
                (found.logits, whole.logits[first:]),
                (found.features, whole.features),
            ):
                assert torch.allclose(ours, theirs, atol=1e-4)
                assert torch.equal(ours, theirs) or wanted is Wanted.TORCH


def test_a_judged_law_does_not_depend_on_the_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    laws = []
    for size in PIECES:
        set_piece(monkeypatch, size)
        with torch.inference_mode():
            laws.append(target_law(tiny.target(), REQUEST, OUTPUT, SamplingParams(0.8)))
    assert laws[0].shape == (14, tiny.VOCAB)
    assert all(torch.equal(law, laws[-1]) for law in laws)


@pytest.mark.parametrize("name", tiny.DRAFTERS)
def test_scored_blocks_do_not_depend_on_the_pieces(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two texts of unlike length: one is told to the end while the other still has pieces."""
    texts = [(REQUEST, OUTPUT), (Request(1, "q", "", (3, 4), 30), tuple(range(1, 31)))]
    found = []
    for size in PIECES:
        set_piece(monkeypatch, size)
        blocks = list(score_blocks(tiny.target(), tiny.drafter(name), texts, 4, SamplingParams()))
        found.append([(b.anchors, b.tokens, b.target_probs, b.draft_probs) for b in blocks])
    for other in found[:-1]:
        assert len(other) == len(found[-1]) > 2
        for ours, theirs in zip(other, found[-1], strict=True):
            assert ours[0] == theirs[0]
            assert all(torch.equal(a, b) for a, b in zip(ours[1:], theirs[1:], strict=True))
