"""All layers as one compiled call: what comes out, and what is tapped on the way."""

import pytest
import torch
from torch import Tensor

from dspark_bench.models.attention import Span, plan_attention
from dspark_bench.models.kernels import team
from dspark_bench.models.kernels.choice import Wanted
from tests import tiny

TAPS = (2, -1, 0)


def outputs(wanted: Wanted, taps: tuple[int, ...]) -> tuple[Tensor, Tensor | None]:
    target = tiny.target(kernels=wanted)
    assert target.kernel_choice.name == ("torch" if wanted is Wanted.TORCH else "compiled")
    tokens = torch.arange(1, 12)
    with torch.inference_mode():
        cache = target.new_cache(2, 32)
        plan = plan_attention([Span(0, 0, 7), Span(1, 0, 4)], cache)
        found = target.forward(tokens, plan, cache, None, taps)
    return found.logits, found.features


@pytest.mark.parametrize("threads", [1, 2])
def test_features_are_those_of_their_layers(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(team, "LEAST_BYTES", 0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    logits, features = outputs(Wanted.AUTO, TAPS)
    wanted_logits, wanted = outputs(Wanted.TORCH, TAPS)
    assert features is not None and wanted is not None
    torch.testing.assert_close(features, wanted, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(logits, wanted_logits, atol=1e-4, rtol=1e-4)
    one, two, three = wanted.chunk(len(TAPS), dim=-1)
    assert not torch.allclose(one, three, atol=1e-3)
    assert not torch.allclose(two, three, atol=1e-3)


def test_without_taps_there_are_no_features() -> None:
    logits, features = outputs(Wanted.AUTO, ())
    assert features is None
    assert torch.equal(logits, outputs(Wanted.AUTO, TAPS)[0])
