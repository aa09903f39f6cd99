"""Where the time of a compiled pass goes, beside the time that reading its bytes takes."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
import torch

from dspark_bench.models.attention import Span, Visibility, plan_attention, span_table
from dspark_bench.models.kernels.gate import GATE_SIZE
from dspark_bench.models.kernels.interface import matrices
from dspark_bench.models.kv_cache import KVCache
from dspark_bench.models.target import TargetModel

ROUNDS = 30
ALONE = (np.zeros(GATE_SIZE, np.int64), 0, 1)
"""The gate, the part and the number of parts of a call on one thread."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Milliseconds, medians: of a whole pass; of its products and its attention, run by themselves;
    reading: of the weights and of the keys and values that it needs, by summing those arrays.
    """

    whole: float
    products: float
    attention: float
    reading_weights: float
    reading_context: float

    @property
    def rest(self) -> float:
        """Norms, rotations, gating, planning, the embedding."""
        return self.whole - self.products - self.attention


def measure_parts(target: TargetModel, requests: int, tokens: int, context: int) -> Parts:
    """Parts of a pass of `tokens` tokens for each of `requests` requests that have `context`.

    The target runs on the compiled kernels, on one thread.
    """
    compiled = target.layers.compiled
    assert compiled is not None
    cache = target.new_cache(requests, context + tokens)
    cache.keys.normal_()
    cache.values.normal_()
    spans = [Span(row, context, tokens) for row in range(requests)]
    ids = torch.arange(requests * tokens) % 1000
    read = [cache.keys[:, :, :context], cache.values[:, :, :context]]
    panels = (*matrices(compiled.weights), target.lm_head.panels)
    weights = [torch.from_numpy(stack.view(np.float32)) for stack in panels]
    taken = rounds_in_turn(
        [
            lambda: target.forward(ids, plan_attention(spans, cache), cache),
            _products(target, requests * tokens),
            _attention(target, cache, spans),
            lambda: [weight.sum() for weight in weights],
            lambda: [part.sum() for part in read],
        ],
        ROUNDS,
    )
    return Parts(*(median(times) for times in taken))


def _products(target: TargetModel, num_rows: int) -> Callable[[], object]:
    """Every product of a pass, one after the other."""
    compiled = target.layers.compiled
    assert compiled is not None
    depth = compiled.weights.input_norm.shape[0]
    stacks = matrices(compiled.weights)
    products = [stack[layer] for layer in range(depth) for stack in stacks]
    products.append(target.lm_head.panels)
    inputs = {
        panels.shape[1]: np.ones((num_rows, panels.shape[1]), np.float32) for panels in products
    }
    out = {
        panels.shape[0]: np.empty((num_rows, 16 * panels.shape[0]), np.float32)
        for panels in products
    }

    def run() -> None:
        for panels in products:
            size, depth_of_sum = panels.shape[:2]
            compiled.kernels.product_pass(inputs[depth_of_sum], panels, out[size], *ALONE)

    return run


def _attention(target: TargetModel, cache: KVCache, spans: Sequence[Span]) -> Callable[[], object]:
    """The attention of every layer, one after the other."""
    from dspark_bench.models.kernels.ragged_attention import attend_rows

    config, plan = target.config, plan_attention(spans, cache)
    table = span_table(spans, plan.slots, Visibility.CAUSAL)
    width = config.num_attention_heads * config.head_dim
    query = np.ones((plan.num_tokens, width), np.float32)
    out = np.empty((plan.num_tokens, width), np.float32)
    assert cache.arrays is not None
    keys, values = cache.arrays

    def run() -> None:
        for layer in range(config.num_hidden_layers):
            attend_rows(query, keys[layer], values[layer], table.spans, table.parents, out, 0, 1)

    return run


def rounds_in_turn(runs: Sequence[Callable[[], object]], rounds: int) -> list[list[float]]:
    """Milliseconds of each, round by round, in turn and every second round backwards.

    The first round is not counted.
    """
    taken: list[list[float]] = [[] for _ in runs]
    for index in range(rounds + 1):
        places = range(len(runs))
        for place in places if index % 2 else reversed(places):
            started_s = time.perf_counter()
            runs[place]()
            if index > 0:
                taken[place].append(1e3 * (time.perf_counter() - started_s))
    return taken
