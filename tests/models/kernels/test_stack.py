"""All layers as one compiled call: what comes out, and what is tapped on the way."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from dspark_bench.models.attention import Span, plan_attention
from dspark_bench.models.kernels import team
from dspark_bench.models.kernels.choice import Wanted
from dspark_bench.models.kernels.interface import matrices
from dspark_bench.models.kernels.panels import is_narrow
from dspark_bench.models.target import TargetModel
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


@pytest.mark.parametrize("wide_layers", [(), (0,), (3,), (1, 2), (0, 1, 2, 3)])
def test_layers_in_16_and_in_32_bits_make_one_stack(
    wide_layers: tuple[int, ...], tmp_path: Path
) -> None:
    """Whichever come first: a stack is as wide as its widest layer, and nothing is rounded."""
    model = tiny.qwen()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if not any(f"layers.{layer}." in name for layer in wide_layers):
                weight.copy_(weight.bfloat16().float())
    model.save_pretrained(tmp_path)
    tokens, found = torch.arange(1, 12), {}
    for wanted in Wanted:
        target = TargetModel.load(tmp_path, torch.float32, tiny.CPU, wanted)
        cache = target.new_cache(1, 32)
        with torch.inference_mode():
            plan = plan_attention([Span(0, 0, 11)], cache)
            found[wanted] = target.forward(tokens, plan, cache).logits
        if target.layers.compiled is not None:
            kinds = {is_narrow(stack) for stack in matrices(target.layers.compiled.weights)}
            assert kinds == {not wide_layers}
    torch.testing.assert_close(found[Wanted.AUTO], found[Wanted.TORCH], atol=1e-4, rtol=1e-4)
