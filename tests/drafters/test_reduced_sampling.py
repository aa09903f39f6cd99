"""Sampled output of drafters of a part of the vocabulary has the target's law, joint over tokens.

Tokens that cannot be drafted have draft probability 0: they come from the residual alone, so a
mistake with the table of ids, or a target that is cut to the same tokens, shows at once.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from dspark_bench.core.protocols import Acceptance, Decision, Drafter
from dspark_bench.core.random_streams import CycleNoise
from dspark_bench.core.types import DraftBatch, Proposal, Recorded, Request, SamplingParams
from dspark_bench.engine.acceptance import ExactAcceptance
from dspark_bench.engine.block_acceptance import BlockAcceptance
from dspark_bench.engine.exactness import P_MIN, chi_square
from dspark_bench.engine.match_acceptance import MatchAcceptance
from dspark_bench.engine.multiround_acceptance import MultiRoundAcceptance
from dspark_bench.engine.tree_drafts import TreeDrafts
from dspark_bench.trees.sampled import SampledTree
from tests import tiny, tiny_families
from tests.drafters.test_reduced_vocabulary import DRAFTED, FAMILY, loaded
from tests.engine.test_emitted_law import Wrapped

PROMPT = (5, 41, 3, 17)
NUM, BATCH, GAMMA, LENGTH = 4_000, 500, 2, 3
GROUPS = 4
ENDED = 2 * GROUPS
"""Classes of a token: four of those that can be drafted, four of the others, and none at all."""


def token_classes() -> Tensor:
    """[V]."""
    ids = torch.arange(tiny.VOCAB)
    return ids % GROUPS + GROUPS * (~torch.isin(ids, torch.tensor(DRAFTED))).long()


@cache
def joint_law() -> Tensor:
    """[C * C] float64: classes of the second and the third token, by transformers' own model."""
    model = AutoModelForCausalLM.from_pretrained(tiny_families.folder(FAMILY)).eval()
    ends = torch.tensor(tiny_families.target(FAMILY).config.eos_token_ids)
    ids = torch.arange(tiny.VOCAB)

    def law(behind: Tensor) -> Tensor:
        prefix = torch.tensor(PROMPT).expand(len(behind), -1)
        with torch.inference_mode():
            logits = model(torch.cat([prefix, behind], dim=1)).logits[:, -1]
        return torch.softmax(logits.double(), dim=-1)

    first = law(torch.empty(1, 0, dtype=torch.long))[0]
    second = law(ids[:, None])
    third = law(torch.cartesian_prod(ids, ids)).view(tiny.VOCAB, tiny.VOCAB, tiny.VOCAB)
    goes_on = (~torch.isin(ids, ends)).double()
    member = torch.nn.functional.one_hot(token_classes(), ENDED + 1).double()
    found = torch.zeros(ENDED + 1, ENDED + 1, dtype=torch.float64)
    found[ENDED, ENDED] = (first * (1 - goes_on)).sum()
    both = torch.einsum("a,ab->ab", first * goes_on, second)
    found[:, ENDED] += torch.einsum("ab,b,bc->c", both, 1 - goes_on, member)
    found += torch.einsum("ab,b,bc,abd,de->ce", both, goes_on, member, third, member)
    return found.flatten()


def p_value(drafter: Drafter, acceptance: Acceptance) -> float:
    """Of what is emitted behind one prompt, by chi-square of its joint law."""
    requests = [Request(number, str(number), "", PROMPT, LENGTH) for number in range(NUM)]
    model = tiny_families.target(FAMILY)
    result = tiny.serve(requests, drafter, GAMMA, BATCH, model=model, acceptance=acceptance)
    classes, counts = token_classes().tolist(), torch.zeros((ENDED + 1) ** 2, dtype=torch.float64)
    for output in tiny.outputs(result).values():
        second, third = (
            classes[output[place]] if len(output) > place else ENDED for place in (1, 2)
        )
        counts[second * (ENDED + 1) + third] += 1
    assert any(cycle.num_accepted for cycle in result.cycles)
    assert any(cycle.is_rejected for cycle in result.cycles)
    law = joint_law()
    is_possible = law > 0
    assert not counts[~is_possible].any()
    return chi_square(counts[is_possible], law[is_possible])[1]


def chain(name: str) -> Drafter:
    return loaded(name)


def tree(name: str) -> Drafter:
    return TreeDrafts(loaded(name), SampledTree([2, 1]))  # type: ignore[arg-type]


Shape = Callable[[str], Drafter]
PAIRS: Sequence[tuple[Shape, Acceptance]] = (
    (chain, ExactAcceptance()),
    (chain, BlockAcceptance()),
    (tree, MultiRoundAcceptance()),
    (tree, MatchAcceptance()),
)


@pytest.mark.parametrize(("shape", "rule"), PAIRS, ids=["exact", "block", "multiround", "match"])
@pytest.mark.parametrize("name", ["parallel", "semi_ar_gated", "ar"])
def test_the_joint_law_is_the_targets(name: str, shape: Shape, rule: Acceptance) -> None:
    assert p_value(shape(name), rule) >= P_MIN


class Shifted(Wrapped):
    """Reads its table of ids one place off: every probability is said of the next token."""

    def propose(self, batch: DraftBatch) -> Proposal:
        drafted = self.inner.propose(batch)
        assert drafted.probs is not None
        moved = drafted.probs.roll(1, dims=-1)
        at = drafted.token_ids.unsqueeze(-1)
        moved.scatter_(-1, at, drafted.probs.gather(-1, at))
        return replace(drafted, probs=moved / moved.sum(-1, keepdim=True))


class OnlyDrafted:
    """Cuts the target to what can be drafted, as if nothing else could ever come."""

    follows_record = False
    is_simulated = False

    def __init__(self) -> None:
        self._inner = ExactAcceptance()

    def decide(
        self,
        logits: Tensor,
        proposal: Proposal | None,
        verify_lens: Sequence[int],
        noise: CycleNoise,
        sampling: SamplingParams,
        recorded: Recorded | None = None,
    ) -> Decision:
        kept = torch.full_like(logits, float("-inf"))
        kept[:, list(DRAFTED)] = logits[:, list(DRAFTED)]
        return self._inner.decide(kept, proposal, verify_lens, noise, sampling, recorded)


def test_a_table_of_ids_that_is_misread_fails() -> None:
    assert p_value(Shifted(loaded("parallel")), ExactAcceptance()) < P_MIN


def test_a_target_cut_to_what_can_be_drafted_fails() -> None:
    assert p_value(loaded("parallel"), OnlyDrafted()) < P_MIN
