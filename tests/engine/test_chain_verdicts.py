"""The compiled judge of chains says what the definition says."""

import builtins
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from dspark_bench.core.types import Proposal
from dspark_bench.engine import chain_verdicts
from dspark_bench.engine.acceptance import ExactAcceptance
from dspark_bench.engine.chain_verdicts import chain_judge, judge_by_torch
from dspark_bench.engine.verdicts import SampledCycle
from dspark_bench.models.kernels.choice import compiled_kernels

_LENS = [[3, 0, 2, 1], [3, 3, 3, 3], [0, 0, 0, 0], [1, 3, 0, 3]]
_LAST = 1 - 2.0**-52


def laws(*shape: int, generator: torch.Generator) -> Tensor:
    """Few likely tokens, and some that cannot be."""
    found = torch.softmax(3 * torch.randn(*shape, generator=generator), -1)
    found = torch.where(found < 0.02, 0.0, found)
    return found / found.sum(-1, keepdim=True)


def cycle(
    lens: list[int], seed: int, is_certain: bool, size: int = 12
) -> tuple[SampledCycle, Proposal]:
    """Three drafts each; every fourth row of the target is the drafter's own law."""
    generator = torch.Generator().manual_seed(seed)
    num_rows, shape = sum(lens) + len(lens), (len(lens), 3)
    target, draft = (
        laws(num_rows, size, generator=generator),
        laws(*shape, size, generator=generator),
    )
    first = 0
    for request, length in enumerate(lens):
        if seed % 2:
            target[first : first + length] = draft[request, :length]
        first += length + 1
    tokens = torch.multinomial(draft.view(-1, size), 1, generator=generator).view(shape)
    accept = torch.rand(shape, dtype=torch.float64, generator=generator)
    emit = torch.rand(len(lens), dtype=torch.float64, generator=generator)
    accept[0, 0], emit[0] = _LAST, _LAST
    emit[1] = 0.0
    return (
        SampledCycle(target, num_rows, accept, emit),
        Proposal(tokens, None, None, certain=tokens)
        if is_certain
        else Proposal(tokens, draft, None),
    )


@pytest.mark.parametrize("lens", _LENS)
@pytest.mark.parametrize("is_certain", [False, True])
def test_verdicts_are_those_of_the_definition(lens: list[int], is_certain: bool) -> None:
    judge = chain_judge()
    assert judge is not judge_by_torch
    seen = set()
    for seed in range(100):
        given = cycle(lens, seed, is_certain)
        found = judge(*given, lens)
        assert found == judge_by_torch(*given, lens)
        seen |= set(zip(found.num_accepted, found.is_rejected, strict=True))
        assert all(isinstance(value, bool) for value in found.is_rejected)
    assert len(seen) > max(lens)  # whole drafts and refused ones, at every length


def test_an_empty_residual_means_the_targets_law() -> None:
    same = torch.tensor([[0.25, 0.75], [1.0, 0.0]])
    one = torch.tensor([[1.0]], dtype=torch.float64)
    for share, token in ((0.2, 0), (0.3, 1)):
        emit = torch.tensor([share], dtype=torch.float64)
        proposal = Proposal(torch.tensor([[0]]), same[:1].unsqueeze(0), None)
        found = chain_judge()(SampledCycle(same, 2, one, emit), proposal, [1])
        assert (found.num_accepted, found.is_rejected, found.bonus) == ([0], [True], [token])


def test_what_the_kernels_do_not_read_is_judged_by_torch() -> None:
    """Laws in fp64, or every second column of a table; tokens that lie apart are packed."""
    lens = [3, 1]
    given, proposal = cycle(lens, 3, is_certain=False)
    assert proposal.probs is not None
    expected = judge_by_torch(given, proposal, lens)
    apart = proposal.probs.repeat_interleave(2, -1)[..., ::2]
    wide = torch.cat([proposal.token_ids[:, :1], proposal.token_ids], dim=1)
    for other in (
        Proposal(proposal.token_ids, apart, None),
        Proposal(proposal.token_ids, proposal.probs.double(), None),
        Proposal(wide[:, 1:], proposal.probs, None),
    ):
        assert chain_judge()(given, other, lens) == expected


def test_what_does_not_fit_is_an_error_and_no_read_beyond_a_row() -> None:
    """Laws over fewer tokens, a token that there is not, a length beyond the drafts."""
    lens = [3, 1]
    for is_certain in (False, True):
        given, proposal = cycle(lens, 2, is_certain)
        for value in (12, -1):
            ids = torch.full_like(proposal.token_ids, value)
            other = Proposal(ids, proposal.probs, None, certain=ids if is_certain else None)
            with pytest.raises(IndexError):
                chain_judge()(given, other, lens)
        with pytest.raises((IndexError, ValueError)):
            chain_judge()(given, proposal, [4, 0])
    given, proposal = cycle(lens, 2, is_certain=False)
    assert proposal.probs is not None
    narrow = Proposal(proposal.token_ids.clamp(max=8), proposal.probs[..., :9].contiguous(), None)
    with pytest.raises(RuntimeError):
        chain_judge()(given, narrow, lens)


def test_other_devices_are_judged_by_torch_and_no_judge_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def none() -> None:
        raise AssertionError

    monkeypatch.setattr(chain_verdicts, "chain_judge", none)
    monkeypatch.setattr(chain_verdicts, "judge_by_torch", lambda *given: "torch")
    given, proposal = cycle([1, 1], 0, is_certain=False)
    elsewhere = replace(given, probs=given.probs.to("meta"))
    assert chain_verdicts.judge_chains(elsewhere, proposal, [1, 1]) == "torch"
    ExactAcceptance()  # neither loads nor compiles


def test_numba_that_must_not_compile_is_not_asked_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("numba.core.config.DISABLE_JIT", 1)
    assert chain_verdicts.chain_judge.__wrapped__() is judge_by_torch
    assert compiled_kernels.__wrapped__().reason == "NUMBA_DISABLE_JIT is set"


@pytest.mark.parametrize("missing", ["numba", "dspark_bench.models.kernels"])
def test_without_numba_torch_judges(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    load = builtins.__import__

    def refuse(name: str, *rest: Any, **named: Any) -> Any:
        if name.startswith(missing):
            raise ImportError("no such wheel")
        return load(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", refuse)
    assert chain_verdicts.chain_judge.__wrapped__() is judge_by_torch


def test_what_cannot_be_kept_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> None:
        raise OSError("no space left on the device")

    monkeypatch.setattr("dspark_bench.models.kernels.verdicts.compile_verdicts", full)
    assert chain_verdicts.chain_judge.__wrapped__() is judge_by_torch
