"""The target's own layers as a drafter: what they draft, what they leave alone, and exactness."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import pytest
import torch
from torch import Tensor
from transformers import DynamicCache

from dspark_bench.core.clock import device_clock
from dspark_bench.core.errors import UsageError
from dspark_bench.core.types import (
    ContextUpdate,
    DraftBatch,
    PlanContext,
    Proposal,
    Request,
    SamplingParams,
    SchedulerSpec,
)
from dspark_bench.drafters.layer_skip import LayerSkipDrafter
from dspark_bench.engine.acceptance import ExactAcceptance
from dspark_bench.engine.agreement import measure_agreement
from dspark_bench.engine.emitted_law import emitted_law_check
from dspark_bench.engine.engine import Engine, EngineConfig
from dspark_bench.engine.exactness import P_MIN, tilt_check
from dspark_bench.engine.forced_contract import forced_contract
from dspark_bench.engine.long_pass import run_along
from dspark_bench.engine.markov import MarkovTarget
from dspark_bench.loads.closed import ClosedLoad
from dspark_bench.models.kernels.choice import Wanted
from dspark_bench.models.kv_cache import KVCache
from dspark_bench.models.target import TargetModel
from dspark_bench.schedulers.batch_size import BatchSizeScheduler
from dspark_bench.schedulers.fixed import FixedScheduler
from tests import joint_law, tiny

DEPTH = 4
GREEDY = SamplingParams(temperature=0.0)
TEXT = (7, 3, 9, 12, 5, 44, 20, 8, 31)
NUM_CONTEXT = 5


def drafted_along(drafter: LayerSkipDrafter, model: TargetModel) -> Tensor:
    """Draft laws [K, V] behind TEXT[NUM_CONTEXT], with the rest of TEXT forced."""
    tokens = torch.tensor(TEXT)
    gamma = len(TEXT) - NUM_CONTEXT - 1
    with torch.inference_mode():
        cache = model.new_cache(3, 32)
        run_along(model, tokens[:NUM_CONTEXT], cache=cache, row=1)
        drafter.allocate(3, 32)
        drafter.share(cache)
        proposal = drafter.propose(
            DraftBatch(
                rows=(2,),
                context_lens=(NUM_CONTEXT,),
                anchors=tokens[NUM_CONTEXT : NUM_CONTEXT + 1],
                draft_lens=(gamma,),
                sampling=SamplingParams(),
                uniform=torch.zeros(1, gamma, dtype=torch.float64),
                forced=tokens[NUM_CONTEXT + 1 :].unsqueeze(0),
                target_rows=(1,),
            )
        )
    assert proposal.probs is not None
    return proposal.probs[0]


def by_transformers(layers: Sequence[int]) -> Tensor:
    """The same laws: every layer over the context, then the chosen ones alone."""
    model = tiny.qwen()
    inner, tokens = model.model, torch.tensor([TEXT])
    cache = DynamicCache(config=model.config)
    laws = []
    with torch.no_grad():
        inner(input_ids=tokens[:, :NUM_CONTEXT], past_key_values=cache, use_cache=True)
        for place in range(NUM_CONTEXT, len(TEXT) - 1):
            x = inner.embed_tokens(tokens[:, place : place + 1])
            rotation = inner.rotary_emb(x, torch.tensor([[place]]))
            for layer in layers:
                out: Any = inner.layers[layer](
                    x, position_embeddings=rotation, past_key_values=cache, attention_mask=None
                )
                x = out[0] if isinstance(out, tuple) else out
            laws.append(torch.softmax(model.lm_head(inner.norm(x))[0, 0], -1))
    return torch.stack(laws)


@pytest.mark.parametrize("kernels", [Wanted.AUTO, Wanted.TORCH])
@pytest.mark.parametrize("layers", [1, 2, 4, [0, 3], [1, 2], [0, 1, 3]], ids=str)
def test_it_drafts_with_these_layers(layers: int | list[int], kernels: Wanted) -> None:
    model = tiny.target(True, kernels)
    ours = drafted_along(LayerSkipDrafter(model, layers), model)
    chosen = list(range(layers)) if isinstance(layers, int) else layers
    assert (ours - by_transformers(chosen)).abs().max() < 1e-5


def test_without_a_number_it_runs_a_quarter() -> None:
    model = tiny.target()
    usual, first = (drafted_along(LayerSkipDrafter(model, n), model) for n in (None, 1))
    assert torch.equal(usual, first)


class Watched:
    """A drafter whose every proposal is compared with the caches before it."""

    def __init__(self, inner: LayerSkipDrafter, num_layers: int) -> None:
        self.inner, self.spec, self.num_layers = inner, inner.spec, num_layers
        self.extend, self.num_seen = inner.extend, 0

    def allocate(self, num_rows: int, max_len: int) -> None:
        self.inner.allocate(num_rows, max_len)

    def share(self, cache: KVCache) -> None:
        self.cache = cache
        self.inner.share(cache)

    def propose(self, batch: DraftBatch) -> Proposal:
        cache = self.cache
        before = cache.keys.clone(), cache.values.clone()
        found = self.inner.propose(batch)
        for kept, now in zip(before, (cache.keys, cache.values), strict=True):
            for row, length in enumerate(cache.lengths):
                assert torch.equal(kept[:, row, :length], now[:, row, :length])
            assert torch.equal(kept[self.num_layers :], now[self.num_layers :])
            assert not torch.equal(kept, now)
        for row, length in zip(batch.target_rows, batch.context_lens, strict=True):
            assert cache.lengths[row] == length
        self.num_seen += 1
        return found


@pytest.mark.parametrize("kernels", [Wanted.AUTO, Wanted.TORCH])
def test_what_is_committed_has_the_same_bits_afterwards(kernels: Wanted) -> None:
    model = tiny.target(True, kernels)
    watched = Watched(LayerSkipDrafter(model, 2), 2)
    tiny.serve(
        tiny.requests(12), watched, 4, 10, model=model, prefill_tokens=8, scheduler=OddsAreLong()
    )
    assert watched.num_seen > 20


class OddsAreLong(FixedScheduler):
    """Requests of odd ids verify everything, the others one token: rows are exchanged."""

    def plan_verify(
        self, context: PlanContext, draft_lens: Sequence[int], confidence: Any
    ) -> list[int]:
        pairs = zip(context.request_ids, draft_lens, strict=True)
        return [length if number % 2 else min(1, length) for number, length in pairs]


class Foretold(FixedScheduler):
    """Is told what will be accepted, and verifies that."""

    spec = SchedulerSpec("foretold", is_non_anticipating=False, needs_hindsight=True)

    def plan_verify(
        self, context: PlanContext, draft_lens: Sequence[int], confidence: Any
    ) -> list[int]:
        assert context.hindsight is not None
        return list(context.hindsight)


@pytest.mark.parametrize(
    ("gamma", "concurrency", "scheduler"),
    [(1, 1, None), (9, 5, None), (4, 10, OddsAreLong()), (4, 5, Foretold())],
    ids=["alone", "together", "rows exchanged", "hindsight"],
)
def test_greedy_output_is_the_baselines(
    gamma: int, concurrency: int, scheduler: FixedScheduler | None
) -> None:
    served = tiny.requests(20)
    plain = tiny.outputs(tiny.serve(served, None, temperature=0.0))
    drafter = LayerSkipDrafter(tiny.target(), 3)
    found = tiny.serve(
        served,
        drafter,
        gamma,
        concurrency,
        temperature=0.0,
        scheduler=scheduler,
        prefill_tokens=16,
    )
    assert tiny.outputs(found) == plain
    assert sum(cycle.num_accepted for cycle in found.cycles) > 0


@pytest.mark.parametrize("concurrency", [1, 10])
def test_with_all_layers_everything_is_accepted(
    concurrency: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever row a request is in, and wherever it was before."""
    moved: list[tuple[int, int]] = []
    swap = KVCache.swap

    def counted(cache: KVCache, first: int, second: int) -> None:
        moved.append((first, second))
        swap(cache, first, second)

    monkeypatch.setattr(KVCache, "swap", counted)
    drafter = LayerSkipDrafter(tiny.target(), DEPTH)
    served = tiny.requests(14, 80)
    found = tiny.serve(
        served, drafter, 4, concurrency, temperature=0.0, scheduler=OddsAreLong(), prefill_tokens=8
    )
    assert all(cycle.num_accepted == cycle.verify_len for cycle in found.cycles)
    assert not any(cycle.is_rejected for cycle in found.cycles)
    assert bool(moved) == (concurrency == 10)


def test_engines_take_turns_each_with_its_own_cache() -> None:
    served = tiny.requests(4)
    model = tiny.target()
    runs = []
    for layers in (2, 3):
        engine = Engine(
            model,
            LayerSkipDrafter(model, layers),
            FixedScheduler(),
            ExactAcceptance(),
            GREEDY,
            3,
            EngineConfig(2, 128),
            device_clock(tiny.CPU),
        )
        runs.append(engine.steps(served, ClosedLoad(2), 1))
    latest: list[Any] = [None, None]
    going = [0, 1]
    while going:
        for place in list(going):
            step = next(runs[place], None)
            if step is None:
                going.remove(place)
            else:
                latest[place] = step
    for layers, result in zip((2, 3), latest, strict=True):
        alone = tiny.serve(served, LayerSkipDrafter(model, layers), 3, 2, temperature=0.0)
        assert tiny.outputs(result) == tiny.outputs(alone)
        accepted = [(c.request_id, c.num_accepted) for c in result.cycles]
        assert accepted == [(c.request_id, c.num_accepted) for c in alone.cycles]


def test_what_is_sampled_does_not_depend_on_who_shares_the_batch() -> None:
    served, drafter = tiny.requests(8), LayerSkipDrafter(tiny.target(), 2)
    alone = tiny.outputs(tiny.serve(served, drafter))
    assert alone == tiny.outputs(tiny.serve(served, drafter, concurrency=8))


@pytest.mark.parametrize(
    "sampling", [SamplingParams(), SamplingParams(0.7, 3, 0.9)], ids=["plain", "filtered"]
)
def test_what_is_emitted_has_the_targets_law(sampling: SamplingParams) -> None:
    assert joint_law.joint_p(LayerSkipDrafter(joint_law.target(), 1), sampling) >= P_MIN


def test_so_it_has_when_the_batch_chooses_the_length_and_a_bias_shows() -> None:
    drafter = LayerSkipDrafter(joint_law.target(), [0, 2])
    scheduler = BatchSizeScheduler([[1, 3], [400, 1]])
    assert joint_law.joint_p(drafter, SamplingParams(), 3, scheduler) >= P_MIN
    assert joint_law.joint_p(joint_law.biased(drafter), SamplingParams()) < P_MIN


def test_it_answers_forced_tokens_as_it_must_and_its_texts_do_not_lean() -> None:
    drafter, served = LayerSkipDrafter(tiny.target(), 3), tiny.requests(24, 40)
    written = tiny.outputs(tiny.serve(served, drafter, 4, 8))
    texts = [(r, written[r.request_id]) for r in served]
    for check in (
        forced_contract(tiny.target(), drafter, texts, 4, SamplingParams()),
        tilt_check(tiny.target(), drafter, texts, 4, SamplingParams()),
        emitted_law_check(tiny.target(), texts, SamplingParams(), 4),
    ):
        assert check.is_passed, check.detail


def test_all_layers_agree_with_the_target_and_fewer_do_not() -> None:
    served = tiny.requests(5, 30)
    written = tiny.outputs(tiny.serve(served, None))
    texts = [(r, written[r.request_id]) for r in served]
    for layers, least, most in ((DEPTH, 0.9999, 1.0001), (1, 0.01, 0.9)):
        drafter = LayerSkipDrafter(tiny.target(), layers)
        overlaps, anchors = measure_agreement(tiny.target(), drafter, texts, 4, SamplingParams())
        mean = overlaps.sum(0) / anchors.sum()
        assert ((mean > least) & (mean < most)).all(), layers


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        (0, "drafter.layers is 0; valid: a number of layers from 1 on"),
        (True, "drafter.layers is True"),
        ("four", "drafter.layers is 'four'"),
        ([], "drafter.layers is []"),
        ([2, 1], "drafter.layers is [2, 1]"),
        ([1, 1], "drafter.layers is [1, 1]"),
        ([-1, 2], "drafter.layers is [-1, 2]"),
        ([0, 1.5], "drafter.layers is [0, 1.5]"),
        (5, "drafter.layers is 5; valid for this target: 1 to 4"),
        ([0, 4], "drafter.layers holds 4; valid for this target: 0 to 3"),
    ],
)
def test_layers_that_there_are_not(layers: Any, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        LayerSkipDrafter(tiny.target(), layers)
    assert said in str(caught.value)


def test_a_target_that_is_computed_elsewhere_is_refused() -> None:
    hosted = cast(Any, MarkovTarget(torch.eye(2)))
    with pytest.raises(UsageError, match=r"valid: target\.backend=own"):
        LayerSkipDrafter(hosted)


class Mute:
    """Says that it reads its target's cache, and has nowhere to put it."""

    def __init__(self) -> None:
        self.spec = replace(LayerSkipDrafter(tiny.target()).spec, name="mute")

    def allocate(self, num_rows: int, max_len: int) -> None:
        """Nothing."""

    def extend(self, update: ContextUpdate) -> None:
        """Nothing."""

    def propose(self, batch: DraftBatch) -> Proposal:
        raise NotImplementedError


def test_a_reader_must_take_the_cache() -> None:
    with pytest.raises(UsageError, match=r"Mute reads its target's cache .* no method `share`"):
        tiny.serve([Request(0, "0", "", (1,), 1)], Mute())


def test_a_cache_that_was_not_handed_over_is_no_cache() -> None:
    drafter = LayerSkipDrafter(tiny.target(), 1)
    drafter.allocate(1, 8)
    batch = DraftBatch(
        (0,), (1,), torch.tensor([1]), (1,), GREEDY, torch.zeros(1, 1), target_rows=(0,)
    )
    with pytest.raises(RuntimeError, match="share"):
        drafter.propose(batch)
