"""The margins that excuse a near-tie are those of the emitted tokens, in every shape of batch."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from dspark_bench.core.near_tie import tie_limit
from dspark_bench.core.records import RunResult
from dspark_bench.drafters.semi_ar import SemiAutoregressiveDrafter
from dspark_bench.engine import acceptance
from dspark_bench.engine.exactness import same_outputs_check
from dspark_bench.models.attention import Span, plan_attention
from dspark_bench.models.kernels.choice import Wanted
from dspark_bench.models.target import TargetModel
from tests import tiny

REQUESTS = tiny.requests(6, 30)
Judge = Callable[[Sequence[Sequence[int]], Sequence[Sequence[int]], Sequence[int]], object]


ROUNDED = tiny.target(True, Wanted.TORCH)


def two_largest(prompt: Sequence[int], output: Sequence[int]) -> torch.Tensor:
    """[n, 2] of the logits that each output token was chosen by, in one pass."""
    model = tiny.target()
    tokens = torch.tensor([*prompt, *output[:-1]])
    with torch.inference_mode():
        cache = model.new_cache(1, len(tokens))
        plan = plan_attention([Span(0, 0, len(tokens))], cache)
        logits = model.forward(tokens, plan, cache).logits
    return logits[len(prompt) - 1 :].topk(2, dim=-1).values


@pytest.mark.parametrize(
    ("name", "gamma", "concurrency"),
    [(None, 1, 1), (None, 1, 4), ("ar", 3, 1), ("semi_ar_gated", 5, 4)],
)
def test_margins_are_those_of_the_emitted_tokens(
    name: str | None, gamma: int, concurrency: int
) -> None:
    drafter = None if name is None else tiny.drafter(name)
    result = tiny.serve(REQUESTS, drafter, gamma, concurrency, temperature=0.0)
    by_id = {request.request_id: request for request in REQUESTS}
    for record in result.requests:
        prompt = by_id[record.request_id].prompt_tokens
        top = two_largest(prompt, record.output_tokens)
        assert torch.allclose(torch.tensor(record.margins), top[:, 0] - top[:, 1], atol=1e-4)
        assert min(record.margins) > 1e-4
        assert set(record.tie_limits) == {0.0}


def test_limits_are_those_of_the_type_where_bits_depend_on_the_batch() -> None:
    record = tiny.serve(REQUESTS[:1], None, temperature=0.0, model=ROUNDED).requests[0]
    top = two_largest(REQUESTS[0].prompt_tokens, record.output_tokens)
    limits = [tie_limit(torch.float32, float(value)) for value in top[:, 0]]
    assert record.tie_limits == pytest.approx(limits)


def test_sampled_runs_keep_none() -> None:
    record = tiny.serve(REQUESTS[:1], None).requests[0]
    assert record.margins == record.tie_limits == ()


def wrong_now_and_then(every: int) -> Judge:
    """A judge that accepts one refused draft in so many that it sees."""
    right = acceptance.reject_greedy
    seen = 0

    def judge(
        table: Sequence[Sequence[int]], drafts: Sequence[Sequence[int]], lens: Sequence[int]
    ) -> object:
        nonlocal seen
        verdict = right(table, drafts, lens)
        for row, length in enumerate(lens):
            place = verdict.num_accepted[row]
            if place == length:
                continue
            seen += 1
            if seen % every == 0:
                verdict.num_accepted[row] = place + 1
                verdict.bonus[row] = table[row][place + 1]
        return verdict

    return judge


def load(folder: Path, dtype: torch.dtype) -> TargetModel:
    return TargetModel.load(folder, dtype, tiny.CPU)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_wrongly_accepted_token_is_a_violation_in_every_type(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its margin is negative: the token is not the target's, however close the logits are."""
    model = load(tiny.target_dir(), dtype)
    drafter = SemiAutoregressiveDrafter(tiny.drafter_dir("semi_ar_vanilla"), model)

    def serve() -> RunResult:
        return tiny.serve(REQUESTS, drafter, 4, 2, temperature=0.0, model=model)

    baseline = tiny.serve(REQUESTS, None, temperature=0.0, model=model)
    right = same_outputs_check("greedy", baseline, serve())
    assert right.is_passed, right.detail
    monkeypatch.setattr(acceptance, "reject_greedy", wrong_now_and_then(25))
    wrong = serve()
    num_wrong = sum(margin < 0 for record in wrong.requests for margin in record.margins)
    assert 0 < num_wrong <= 0.05 * sum(len(record.output_tokens) for record in wrong.requests)
    assert not same_outputs_check("greedy", baseline, wrong).is_passed
