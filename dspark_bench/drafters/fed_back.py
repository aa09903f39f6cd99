"""Drafting with one layer whose output is fed back: run once per token of a chain (`propose`), or
once per depth of a tree (`branch`). What Eagle3 and EAGLE-1/2 have in common.

Entry i of the cache pairs the state of position i with token i + 1. For committed tokens the state
is the target's; a drafted entry's is the layer's own last output. Drafted entries lie behind the
committed ones, a tree's in the order in which they were run, and the next `extend` overwrites them.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from dspark_bench.core.sampling import token_probs
from dspark_bench.core.types import ContextUpdate, DraftBatch, DrafterSpec, Proposal
from dspark_bench.drafters.branching import choice_ids, ranking
from dspark_bench.drafters.slot_sampling import Certainty, draw
from dspark_bench.models.attention import AttentionPlan, Span, plan_attention
from dspark_bench.models.confidence_head import ConfidenceHead
from dspark_bench.models.config import ModelConfig
from dspark_bench.models.kv_cache import KVCache
from dspark_bench.models.target import LoadedTarget
from dspark_bench.models.vocabulary import Vocabulary


class FedBackLayer(Protocol):
    """The layer and what surrounds it."""

    def fuse(self, features: Tensor) -> Tensor:
        """The target's states [T, m*D] -> states [T, D]."""
        ...

    def step(
        self, states: Tensor, token_ids: Tensor, plan: AttentionPlan, cache: KVCache
    ) -> Tensor:
        """States [T, D] and the tokens [T] that follow -> next states [T, D]. Writes the cache."""
        ...

    def read_out(self, states: Tensor) -> Tensor:
        """What the head reads of states [T, D], same shape."""
        ...


class FedBack:
    """A drafter around such a layer: the context of each row, and drafts from it. See `Drafter`.

    How the layer is read from files is its subclasses' business.
    """

    def __init__(
        self,
        spec: DrafterSpec,
        layer: FedBackLayer,
        model: ModelConfig,
        vocabulary: Vocabulary,
        confidence: ConfidenceHead | None,
        target: LoadedTarget,
        is_compiled: bool,
    ) -> None:
        """spec: of the drafter; model: shape of the layer; is_compiled: whether it runs on the
        compiled kernels.
        """
        self.spec = spec
        self._layer = layer
        self._model = model
        self._vocabulary = vocabulary
        self._confidence = confidence
        self._dtype, self._device = target.dtype, target.device
        self._is_compiled = is_compiled
        self._cache: KVCache | None = None
        self._last = torch.empty(0)

    def allocate(self, num_rows: int, max_len: int) -> None:
        """Reserve the context cache and the last state of each row."""
        self._cache = self._new_cache(num_rows, max_len)
        self._last = torch.zeros(
            num_rows, self._model.hidden_size, dtype=self._dtype, device=self._device
        )

    def extend(self, update: ContextUpdate) -> None:
        """Run the layer over committed tokens with true features; overwrites drafted entries."""
        cache = self._ready_cache()
        spans = [
            Span(row, start, count)
            for row, start, count in zip(update.rows, update.starts, update.counts, strict=True)
        ]
        plan = plan_attention(spans, cache)
        states = self._layer.fuse(update.features)
        states = self._layer.step(states, update.next_token_ids, plan, cache)
        ends = torch.tensor(update.counts, device=self._device).cumsum(0) - 1
        self._last[torch.tensor(update.rows, device=self._device)] = states[ends]

    def propose(self, batch: DraftBatch) -> Proposal:
        """Draw slot after slot, feeding the layer's output back."""
        cache = self._ready_cache()
        states = self._last[torch.tensor(batch.rows, device=self._device)]
        shape = (len(batch.rows), batch.num_slots)
        tokens = batch.anchors.new_zeros(shape)
        read = states.new_zeros(*shape, states.shape[-1])
        probs: Tensor | None = None
        stand_in = Certainty(batch) if self._confidence is None else None
        drafting = list(range(shape[0]))
        for slot in range(batch.num_slots):
            if slot > 0:
                before = drafting
                drafting = [place for place in before if batch.draft_lens[place] > slot]
                if len(drafting) < len(before):
                    states = states[[before.index(place) for place in drafting]]
                spans = [
                    Span(batch.rows[place], batch.context_lens[place] + slot - 1, 1)
                    for place in drafting
                ]
                previous = tokens[drafting, slot - 1]
                states = self._layer.step(states, previous, plan_attention(spans, cache), cache)
            state = self._layer.read_out(states)
            forced = None if batch.forced is None else batch.forced[drafting, slot]
            logits = self._vocabulary.lm_head(state)
            uniform = batch.uniform[drafting, slot]
            token, slot_probs = draw(logits, batch.sampling, uniform, forced, self._vocabulary)
            tokens[drafting, slot] = token
            read[drafting, slot] = state
            if stand_in is not None:
                stand_in.note(drafting, slot, logits, slot_probs)
            if slot_probs is not None:
                if probs is None:
                    probs = slot_probs.new_zeros(*shape, slot_probs.shape[-1])
                probs[drafting, slot] = slot_probs
        if self._confidence is not None:
            return Proposal(tokens, probs, self._confidence(read))
        return Proposal(tokens, probs, None if stand_in is None else stand_in.table)

    def branch(self, batch: DraftBatch) -> "FedBackBranches":
        """Nothing runs yet: each depth of the tree is a pass of its own."""
        return FedBackBranches(self, batch)

    def states_behind(self, rows: Sequence[int]) -> Tensor:
        """States [n, D] at the anchors of these cache rows."""
        return self._last[torch.tensor(rows, device=self._device)]

    def run_nodes(self, states: Tensor, tokens: Tensor, spans: Sequence[Span]) -> Tensor:
        """One pass over nodes of trees [T]; makes the cache longer where their rows are too short.

        Committed entries stay as they are.
        """
        cache = self._ready_cache()
        needed = max(span.num_keys for span in spans)
        if needed > cache.max_len:
            cache = self._cache = self._lengthened(cache, max(needed, 2 * cache.max_len))
        return self._layer.step(states, tokens, plan_attention(spans, cache), cache)

    def probs_of(self, states: Tensor, batch: DraftBatch) -> Tensor:
        """What follows states [n, D]: probabilities [n, U]."""
        logits = self._vocabulary.lm_head(self._layer.read_out(states))
        return token_probs(logits, ranking(batch.sampling))

    @property
    def vocabulary(self) -> Vocabulary:
        """Of what is drafted."""
        return self._vocabulary

    def _new_cache(self, num_rows: int, max_len: int) -> KVCache:
        return KVCache(
            self._model, 1, num_rows, max_len, self._dtype, self._device, self._is_compiled
        )

    def _lengthened(self, cache: KVCache, max_len: int) -> KVCache:
        """The same entries, in rows of `max_len` places."""
        longer = self._new_cache(cache.num_rows, max_len)
        longer.keys[:, :, : cache.max_len] = cache.keys
        longer.values[:, :, : cache.max_len] = cache.values
        return longer

    def _ready_cache(self) -> KVCache:
        if self._cache is None:
            raise RuntimeError("allocate() comes before extend() and propose()")
        return self._cache


class FedBackBranches:
    """See `core.protocols.Branches`: one pass for each depth, over all prefixes of that depth.

    A prefix's last token is a node that sees the committed context, the nodes before it in its own
    prefix, and itself; its rotary position is its depth.
    """

    def __init__(self, loop: FedBack, batch: DraftBatch) -> None:
        self._loop = loop
        self._batch = batch
        self._parents: list[list[int]] = [[] for _ in batch.rows]
        self._nodes: list[int] | None = None
        self._states = torch.empty(0)

    @property
    def num_choices(self) -> int:
        """U."""
        ids = self._loop.vocabulary.token_ids
        return self._loop.vocabulary.size if ids is None else len(ids)

    def expand(self, requests: Tensor, previous: Tensor, origins: Tensor | None) -> Tensor:
        """Run the prefixes' last tokens, each on the state of the prefix before it."""
        owners = requests.tolist()
        if origins is None:
            self._states = self._loop.states_behind([self._batch.rows[own] for own in owners])
            self._nodes = [-1] * len(owners)
        else:
            self._run(owners, previous, origins)
        return self._loop.probs_of(self._states, self._batch)

    def token_ids(self, choices: Tensor) -> Tensor:
        """In the target's vocabulary."""
        return choice_ids(self._loop.vocabulary, choices)

    def _run(self, owners: list[int], previous: Tensor, origins: Tensor) -> None:
        """Mutates: the nodes of each request grow by those that are run."""
        assert self._nodes is not None, "the anchors come first"
        before = [self._nodes[origin] for origin in origins.tolist()]
        order = sorted(range(len(owners)), key=lambda place: owners[place])
        nodes = [0] * len(owners)
        counts: dict[int, int] = {}
        for place in order:
            own = self._parents[owners[place]]
            nodes[place] = len(own)
            own.append(before[place])
            counts[owners[place]] = counts.get(owners[place], 0) + 1
        spans = [self._span(request, count) for request, count in counts.items()]
        by_request = torch.tensor(order, device=previous.device)
        states = self._states[origins[by_request]]
        found = self._loop.run_nodes(states, previous[by_request], spans)
        self._states = torch.empty_like(found).index_copy_(0, by_request, found)
        self._nodes = nodes

    def _span(self, request: int, count: int) -> Span:
        """The last `count` nodes of a request, behind those that were run before."""
        parents = tuple(self._parents[request])
        row, context_len = self._batch.rows[request], self._batch.context_lens[request]
        return Span(row, context_len, count, None, parents, len(parents) - count)
