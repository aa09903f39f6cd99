"""What may follow drafted prefixes, from one backbone pass: the ground that trees grow on.

The backbone gives one hidden state for each slot, not for each prefix. Without a head a slot's
distribution is the same behind every prefix, a marginal; a sequential head makes it conditional on
the prefix, at the price of the head alone (DSpark section 3.2 for one prefix).
"""

from torch import Tensor

from dspark_bench.core.sampling import token_probs
from dspark_bench.core.types import DraftBatch, SamplingParams
from dspark_bench.drafters.sequential_heads import SequentialHead, State
from dspark_bench.models.block_backbone import BlockBackbone
from dspark_bench.models.vocabulary import Vocabulary


class MarginalBranches:
    """See `core.protocols.Branches`: the same behind every prefix of a depth."""

    def __init__(self, logits: Tensor, batch: DraftBatch, vocabulary: Vocabulary) -> None:
        """logits [B, K, U] of K slots of each request."""
        self._probs = token_probs(logits, ranking(batch.sampling))
        self._vocabulary = vocabulary
        self._depth = 0

    @property
    def num_choices(self) -> int:
        """U."""
        return self._probs.shape[-1]

    def expand(self, requests: Tensor, previous: Tensor, origins: Tensor | None) -> Tensor:
        """The marginal of the next slot, for each prefix."""
        slot = self._depth
        self._depth += 1
        if self._probs.shape[0] == 1:
            return self._probs[0, slot].expand(len(requests), -1)
        return self._probs[requests, slot]

    def token_ids(self, choices: Tensor) -> Tensor:
        """In the target's vocabulary."""
        return choice_ids(self._vocabulary, choices)


def marginal_branches(backbone: BlockBackbone, batch: DraftBatch) -> MarginalBranches:
    """From one pass of a backbone over all slots."""
    logits = backbone.vocabulary.lm_head(backbone.forward(batch))
    shape = (len(batch.rows), batch.num_slots)
    return MarginalBranches(logits.view(*shape, -1), batch, backbone.vocabulary)


class HeadBranches:
    """See `core.protocols.Branches`: a sequential head behind every prefix."""

    def __init__(
        self, hidden: Tensor, batch: DraftBatch, vocabulary: Vocabulary, head: SequentialHead
    ) -> None:
        """hidden [B * K, D]: of K slots of each request."""
        shape = (len(batch.rows), batch.num_slots)
        self._hidden = hidden.view(*shape, -1)
        self._base = vocabulary.lm_head(hidden).view(*shape, -1)
        self._sampling = ranking(batch.sampling)
        self._vocabulary = vocabulary
        self._head = head
        self._state: State = None
        self._depth = 0

    @property
    def num_choices(self) -> int:
        """U."""
        return self._base.shape[-1]

    def expand(self, requests: Tensor, previous: Tensor, origins: Tensor | None) -> Tensor:
        """The slot's logits with the head's bias for each prefix, as a distribution."""
        slot, state = self._depth, self._state
        if state is not None and origins is not None:
            state = state[origins]
        bias, self._state = self._head.bias(previous, self._hidden[requests, slot], state)
        self._depth += 1
        return token_probs(self._base[requests, slot] + bias, self._sampling)

    def token_ids(self, choices: Tensor) -> Tensor:
        """In the target's vocabulary."""
        return choice_ids(self._vocabulary, choices)


def ranking(sampling: SamplingParams) -> SamplingParams:
    """What a draft's worth is read from: its chance to be the target's draw; without draws, that of
    the plain distribution.
    """
    return SamplingParams() if sampling.is_greedy else sampling


def choice_ids(vocabulary: Vocabulary, choices: Tensor) -> Tensor:
    """The target's tokens behind choices among those that can be drafted."""
    return choices if vocabulary.token_ids is None else vocabulary.token_ids[choices]
