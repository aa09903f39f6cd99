"""Every family and every rotary embedding: logits equal transformers' own."""

import pytest
import torch

from dspark_bench.models.attention import Span, plan_attention
from dspark_bench.models.kernels.choice import Wanted
from tests import tiny, tiny_families

LENGTH = 120
every = pytest.mark.parametrize("name", tiny_families.MODELS)
both = pytest.mark.parametrize("kernels", list(Wanted))
windowed = pytest.mark.parametrize(
    "name", [name for name in tiny_families.MODELS if "window" in name or "mixed" in name]
)


def texts(count: int) -> torch.Tensor:
    return torch.randint(1, tiny.VOCAB, (count, LENGTH), generator=torch.Generator().manual_seed(1))


@every
def test_each_runs_on_what_was_asked_for(name: str) -> None:
    assert tiny_families.target(name, Wanted.TORCH).kernel_choice.name == "torch"
    assert tiny_families.target(name).kernel_choice.name == "compiled"


@both
@every
def test_whole_prompts_steps_and_ragged_batches(name: str, kernels: Wanted) -> None:
    ours, ids = tiny_families.target(name, kernels), texts(3)
    steps = ([80, 1, 3], [1, 60, 1], [1, 1, 1], [5, 1, 100], [LENGTH - 87, LENGTH - 63, 15])
    with torch.inference_mode():
        reference = tiny_families.reference(name)(ids).logits
        cache, done = ours.new_cache(4, 128), [0, 0, 0]
        for lengths in steps:
            spans = [Span(row, done[row], n) for row, n in enumerate(lengths)]
            flat = torch.cat([ids[row, done[row] : done[row] + n] for row, n in enumerate(lengths)])
            logits = ours.forward(flat, plan_attention(spans, cache), cache).logits
            for row, part in enumerate(logits.split(lengths)):
                wanted = reference[row, done[row] : done[row] + lengths[row]]
                assert (part - wanted).abs().max() < 1e-4
                done[row] += lengths[row]
    assert done[:2] == [LENGTH, LENGTH]


@both
@every
def test_features_are_the_layers_outputs(name: str, kernels: Wanted) -> None:
    ours, ids = tiny_families.target(name, kernels), texts(1)
    with torch.inference_mode():
        states = tiny_families.reference(name)(ids, output_hidden_states=True).hidden_states
        cache = ours.new_cache(1, LENGTH)
        plan = plan_attention([Span(0, 0, LENGTH)], cache)
        out = ours.forward(ids[0], plan, cache, None, (-1, 0, 2))
    wanted = torch.cat([states[0], states[1], states[3]], dim=-1)[0]
    assert out.features is not None
    torch.testing.assert_close(out.features, wanted, atol=1e-4, rtol=1e-4)


@both
@windowed
def test_a_tree_s_branch_sees_through_the_window_of_its_own_chain(
    name: str, kernels: Wanted
) -> None:
    """Of more tokens than the window is long, so that it ends within the branch."""
    ours, prompt = tiny_families.target(name, kernels), texts(1)[0, :9]
    nodes = torch.arange(20, 34)
    parents = (-1, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)
    chains = [[0, 1, 3, 5, 7, 9, 11, 13], [0, 2, 4, 6, 8, 10, 12]]
    with torch.inference_mode():
        cache = ours.new_cache(3, 32)
        ours.forward(prompt, plan_attention([Span(1, 0, 9)], cache), cache)
        ours.forward(prompt[:4], plan_attention([Span(0, 0, 4)], cache), cache)
        mixed = [Span(0, 4, 1), Span(1, 9, len(nodes), parents=parents)]
        flat = torch.cat([prompt[4:5], nodes])
        tree = ours.forward(flat, plan_attention(mixed, cache), cache).logits[1:]
        for chain in chains:
            whole = torch.cat([prompt, nodes[chain]])[None]
            wanted = tiny_families.reference(name)(whole).logits[0, 9:]
            assert (tree[chain] - wanted).abs().max() < 1e-4


def test_a_window_hides_what_lies_before_it() -> None:
    """A mask that never hid anything would pass on texts shorter than the window alone."""
    ours, ids = tiny_families.target("mistral-window-of-one"), texts(1)[0, :20]
    with torch.inference_mode():
        cache = ours.new_cache(1, 32)
        plan = plan_attention([Span(0, 0, 20)], cache)
        first = ours.forward(ids, plan, cache).logits
        other = ours.forward(ids.roll(1).index_fill(0, torch.tensor([19]), 5), plan, cache).logits
        last = ours.forward(ids.index_fill(0, torch.tensor([0]), 5), plan, cache).logits
    assert not torch.equal(first, other)
    assert torch.equal(first[1:], last[1:])


def test_without_a_window_attention_is_one_mask() -> None:
    cache = tiny.target(True, Wanted.TORCH).new_cache(2, 32)
    assert cache.windows == (None,)
    (group,) = plan_attention([Span(0, 0, 4), Span(1, 0, 4)], cache).groups
    assert len(group.masks) == 1
