import pytest
import torch

from dspark_bench.models.attention import Span, Visibility, plan_attention
from dspark_bench.models.kernels.choice import Wanted
from tests import tiny

both = pytest.mark.parametrize("kernels", list(Wanted))


def test_positions_and_slots_by_hand() -> None:
    cache = tiny.target().new_cache(3, 100)
    plan = plan_attention([Span(2, 5, 3), Span(0, 0, 2)], cache)
    assert plan.positions.tolist() == [5, 6, 7, 0, 1]
    assert plan.slots.tolist() == [205, 206, 207, 0, 1]
    assert plan.num_tokens == 5


def test_tree_positions_follow_depth_and_slots_follow_index() -> None:
    cache = tiny.target().new_cache(1, 100)
    plan = plan_attention([Span(0, 4, 5, parents=(-1, 0, 0, 1, 2))], cache)
    assert plan.positions.tolist() == [4, 5, 5, 6, 6]
    assert plan.slots.tolist() == [4, 5, 6, 7, 8]


@both
def test_a_tree_gives_each_branch_the_logits_of_its_own_chain(kernels: Wanted) -> None:
    target = tiny.target(True, kernels)
    prompt = torch.tensor([3, 9, 4])
    nodes, parents = torch.tensor([7, 11, 12, 20, 21]), (-1, 0, 0, 1, 2)
    with torch.inference_mode():
        cache = target.new_cache(2, 32)
        target.forward(prompt, plan_attention([Span(0, 0, 3)], cache), cache)
        tree = target.forward(
            nodes, plan_attention([Span(0, 3, 5, parents=parents)], cache), cache
        ).logits
        for leaf, chain in ((3, [7, 11, 20]), (4, [7, 12, 21])):
            whole = torch.tensor([*prompt.tolist(), *chain])
            other = target.new_cache(1, 32)
            logits = target.forward(whole, plan_attention([Span(0, 0, 6)], other), other).logits
            assert (tree[leaf] - logits[-1]).abs().max() < 1e-4


@both
def test_a_block_sees_all_of_itself_and_no_further(kernels: Wanted) -> None:
    target = tiny.target(True, kernels)
    ids = torch.tensor([5, 6, 7, 8])
    with torch.inference_mode():
        cache = target.new_cache(1, 16)
        plan = plan_attention([Span(0, 0, 4)], cache, Visibility.BLOCK)
        whole = target.forward(ids, plan, cache).logits
        changed = target.forward(torch.tensor([5, 6, 7, 9]), plan, cache).logits
        short = plan_attention([Span(0, 0, 4, visible_len=3)], cache, Visibility.BLOCK)
        hidden = target.forward(ids, short, cache).logits
        hidden_changed = target.forward(torch.tensor([5, 6, 7, 9]), short, cache).logits
    assert (whole[0] - changed[0]).abs().max() > 1e-3
    assert torch.equal(hidden[0], hidden_changed[0])
