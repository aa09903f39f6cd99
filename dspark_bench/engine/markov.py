"""A target and a drafter whose laws are known in closed form, to test exactness against.

Both are first-order Markov chains over a handful of tokens, so the joint distribution of several
emitted tokens can be written down and compared with what the engine emits, cycle after cycle.
The drafter's confidence for slot k is a function of the token in slot k-1, as a real head's is, so
it reveals what was drafted to any scheduler that looks at later slots.
"""

from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor

from dspark_bench.core.types import ContextUpdate, DraftBatch, DrafterSpec, Proposal
from dspark_bench.models.attention import AttentionPlan
from dspark_bench.models.config import TargetShape
from dspark_bench.models.kv_cache import KVCache
from dspark_bench.models.target import TargetOutput


class MarkovTarget:
    """law [V, V]: row = distribution of the next token given the last one."""

    def __init__(self, law: Tensor) -> None:
        self.law = law
        self.device: torch.device = law.device
        self.config: TargetShape = TargetShape(
            vocab_size=law.shape[0],
            hidden_size=2,
            num_hidden_layers=1,
            num_attention_heads=1,
            num_key_value_heads=1,
            head_dim=2,
            max_position_embeddings=1 << 20,
            eos_token_ids=(),
        )

    @property
    def is_batch_invariant(self) -> bool:
        """Its logits are looked up."""
        return True

    def new_cache(self, num_rows: int, max_len: int) -> KVCache:
        """A cache that only keeps lengths."""
        return KVCache(self.config, 1, num_rows, max_len, torch.float32, self.device)

    def forward(
        self,
        token_ids: Tensor,
        plan: AttentionPlan,
        cache: KVCache,
        logit_rows: Tensor | None = None,
        feature_layers: tuple[int, ...] = (),
    ) -> TargetOutput:
        """Log-probabilities as logits."""
        chosen = token_ids if logit_rows is None else token_ids[logit_rows]
        features = token_ids.unsqueeze(1).float() if feature_layers else None
        return TargetOutput(self.law[chosen].log(), features)

    def joint(self, start: int, length: int) -> Tensor:
        """Probability [V ** length] of every continuation of `start`, last token fastest."""
        size = self.law.shape[0]
        result = torch.ones(size**length, dtype=torch.float64)
        for index, tokens in enumerate(product(range(size), repeat=length)):
            previous = start
            for token in tokens:
                result[index] *= float(self.law[previous, token])
                previous = token
        return result


class MarkovDrafter:
    """Draws a chain from law [V, V]; confidence[k] = revealing[x_{k-1}], shape [V]."""

    def __init__(self, law: Tensor, revealing: Tensor, max_gamma: int) -> None:
        self._law = law
        self._revealing = revealing
        self.spec = DrafterSpec("markov", max_gamma, (0,), True, can_branch=True)

    def allocate(self, num_rows: int, max_len: int) -> None:
        """Nothing to keep."""

    def extend(self, update: ContextUpdate) -> None:
        """Nothing to keep."""

    def propose(self, batch: DraftBatch) -> Proposal:
        """Inverse-CDF draws, slot after slot; greedy takes the argmax; forced tokens are kept."""
        previous = batch.anchors
        tokens: list[Tensor] = []
        probs: list[Tensor] = []
        confidence: list[Tensor] = []
        for slot in range(batch.num_slots):
            confidence.append(self._revealing[previous])
            row = self._law[previous]
            probs.append(row)
            if batch.forced is not None:
                previous = batch.forced[:, slot]
            elif batch.sampling.is_greedy:
                previous = row.argmax(-1)
            else:
                steps = row.double().cumsum(-1)
                threshold = batch.uniform[:, slot : slot + 1] * steps[:, -1:]
                previous = torch.searchsorted(steps, threshold, right=True).squeeze(1)
            tokens.append(previous)
        stacked = None if batch.sampling.is_greedy else torch.stack(probs, dim=1)
        return Proposal(torch.stack(tokens, dim=1), stacked, torch.stack(confidence, dim=1))

    def branch(self, batch: DraftBatch) -> "MarkovBranches":
        """The law behind every token."""
        return MarkovBranches(self._law)


class MarkovBranches:
    """See `core.protocols.Branches`: law [V, V], whatever the depth."""

    def __init__(self, law: Tensor) -> None:
        self._law = law

    @property
    def num_choices(self) -> int:
        """V."""
        return self._law.shape[1]

    def expand(self, requests: Tensor, previous: Tensor, origins: Tensor | None) -> Tensor:
        """The rows of the last tokens."""
        return self._law[previous]

    def token_ids(self, choices: Tensor) -> Tensor:
        """Themselves."""
        return choices


def count_sequences(outputs: Sequence[tuple[int, ...]], size: int, length: int) -> Tensor:
    """How often each of the size ** length continuations was emitted, last token fastest."""
    counts = torch.zeros(size**length, dtype=torch.float64)
    for tokens in outputs:
        index = 0
        for token in tokens[:length]:
            index = index * size + token
        counts[index] += 1
    return counts
