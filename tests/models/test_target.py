import pytest
import torch

from dspark_bench.core.features import FINAL_NORM
from dspark_bench.models.attention import Span, plan_attention
from dspark_bench.models.kernels.choice import Wanted
from tests import tiny

both = pytest.mark.parametrize("kernels", list(Wanted))


@both
@pytest.mark.parametrize("tied", [True, False])
def test_logits_equal_transformers_for_any_mix_of_requests(tied: bool, kernels: Wanted) -> None:
    model, ours = tiny.qwen(tied=tied), tiny.target(tied, kernels)
    ids = torch.randint(1, tiny.VOCAB, (3, 60), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        reference = model(ids).logits
        cache = ours.new_cache(4, 128)
        rows = [cache.acquire() for _ in range(3)]
        done = [0, 0, 0]
        for lengths in ([40, 3, 1], [1, 9, 1], [4, 1, 35], [15, 16, 17]):
            spans = [Span(rows[i], done[i], n) for i, n in enumerate(lengths)]
            flat = torch.cat([ids[i, done[i] : done[i] + n] for i, n in enumerate(lengths)])
            logits = ours.forward(flat, plan_attention(spans, cache), cache).logits
            start = 0
            for i, n in enumerate(lengths):
                wanted = reference[i, done[i] : done[i] + n]
                assert (logits[start : start + n] - wanted).abs().max() < 1e-4
                start += n
                done[i] += n


@both
def test_features_are_the_layers_outputs(kernels: Wanted) -> None:
    model, ours = tiny.qwen(), tiny.target(True, kernels)
    ids = torch.randint(1, tiny.VOCAB, (1, 12), generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        states = model(ids, output_hidden_states=True).hidden_states
        cache = ours.new_cache(1, 16)
        plan = plan_attention([Span(0, 0, 12)], cache)
        out = ours.forward(ids[0], plan, cache, None, (-1, 0, 2))
    expected = torch.cat([states[0], states[1], states[3]], dim=-1)[0]
    assert out.features is not None
    assert (out.features - expected).abs().max() < 1e-4


@both
@pytest.mark.parametrize("rows", [None, torch.tensor([3, 11])])
def test_states_before_and_after_the_final_norm(kernels: Wanted, rows: torch.Tensor | None) -> None:
    model, ours = tiny.qwen(), tiny.target(True, kernels)
    ids = torch.randint(1, tiny.VOCAB, (1, 12), generator=torch.Generator().manual_seed(3))
    before: list[torch.Tensor] = []
    last = ours.config.num_hidden_layers - 1
    with torch.inference_mode():
        with model.model.norm.register_forward_pre_hook(lambda _, args: before.append(args[0])):
            normed = model.model(ids).last_hidden_state
        cache = ours.new_cache(1, 16)
        plan = plan_attention([Span(0, 0, 12)], cache)
        plain = ours.forward(ids[0], plan, cache, rows)
        out = ours.forward(ids[0], plan, cache, rows, (FINAL_NORM, last))
    assert out.features is not None
    expected = torch.cat([normed, before[0]], dim=-1)[0]
    assert (out.features - expected).abs().max() < 1e-4
    assert torch.equal(out.logits, plain.logits)


@both
def test_only_the_asked_rows_get_logits(kernels: Wanted) -> None:
    ours = tiny.target(True, kernels)
    ids = torch.arange(1, 9)
    with torch.inference_mode():
        cache = ours.new_cache(1, 16)
        plan = plan_attention([Span(0, 0, 8)], cache)
        every = ours.forward(ids, plan, cache).logits
        chosen = ours.forward(ids, plan, cache, torch.tensor([2, 7])).logits
    assert torch.allclose(chosen, every[[2, 7]], atol=1e-5)


@both
def test_rows_out_of_order_and_with_gaps(kernels: Wanted) -> None:
    ours = tiny.target(True, kernels)
    ids = torch.randint(1, tiny.VOCAB, (2, 10), generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        neat = ours.new_cache(2, 16)
        gappy = ours.new_cache(5, 16)
        results = []
        for cache, rows in ((neat, (0, 1)), (gappy, (3, 1))):
            for step in ((0, 6), (6, 10)):
                spans = [Span(row, step[0], step[1] - step[0]) for row in rows]
                plan = plan_attention(spans, cache)
                out = ours.forward(ids[:, step[0] : step[1]].flatten(), plan, cache)
            results.append(out.logits)
    assert (results[0] - results[1]).abs().max() < 1e-4


@both
def test_rejected_tokens_leave_no_trace(kernels: Wanted) -> None:
    ours = tiny.target(True, kernels)
    ids = torch.randint(1, tiny.VOCAB, (20,), generator=torch.Generator().manual_seed(4))
    with torch.inference_mode():
        clean, dirty = ours.new_cache(1, 32), ours.new_cache(1, 32)
        for cache in (clean, dirty):
            ours.forward(ids[:10], plan_attention([Span(0, 0, 10)], cache), cache)
        wrong = (ids[10:18] + 1) % tiny.VOCAB
        ours.forward(wrong, plan_attention([Span(0, 10, 8)], dirty), dirty)
        dirty.set_length(0, 10)
        results = [
            ours.forward(ids[10:12], plan_attention([Span(0, 10, 2)], cache), cache).logits
            for cache in (clean, dirty)
        ]
    assert torch.equal(results[0], results[1])
