"""The zoo in bfloat16: greedy runs are equal up to ties that its rounding explains."""

from functools import cache

import pytest
import torch

from dspark_bench.config.point_config import ZOO
from dspark_bench.core.records import RunResult
from dspark_bench.core.types import Request
from dspark_bench.drafters.semi_ar import SemiAutoregressiveDrafter
from dspark_bench.engine import acceptance
from dspark_bench.engine.exactness import same_outputs_check
from dspark_bench.models.checkpoint import read_tokenizer
from dspark_bench.models.target import TargetModel
from dspark_bench.workloads.zoo_prompts import DOMAINS, zoo_prompts
from tests import tiny
from tests.engine.test_margins import wrong_now_and_then

NEW_TOKENS = 16


@cache
def target() -> TargetModel:
    return TargetModel.load(ZOO / "target", torch.bfloat16, tiny.CPU)


@cache
def requests() -> list[Request]:
    tokenizer = read_tokenizer(ZOO / "target")
    texts = [prompt.text for domain in DOMAINS for prompt in zoo_prompts(domain, "test")[:2]]
    return [
        Request(i, str(i), "", tuple(tokenizer.encode(text).ids[:30]), NEW_TOKENS)
        for i, text in enumerate(texts)
    ]


def serve(is_speculative: bool, concurrency: int) -> RunResult:
    drafter = None
    if is_speculative:
        drafter = SemiAutoregressiveDrafter(ZOO / "drafters/semi_ar", target())
    return tiny.serve(requests(), drafter, 3, concurrency, temperature=0.0, model=target())


def test_runs_are_exact_or_near_ties_and_a_wrong_token_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A step in bfloat16 takes 10 ms where the processor lacks its instructions."""
    baseline = serve(is_speculative=False, concurrency=1)
    control = same_outputs_check("control", baseline, serve(False, 3))
    assert control.is_passed, control.detail
    greedy = same_outputs_check("greedy", baseline, serve(True, 3))
    assert greedy.is_passed, greedy.detail
    monkeypatch.setattr(acceptance, "reject_greedy", wrong_now_and_then(5))
    assert not same_outputs_check("greedy", baseline, serve(True, 3)).is_passed
