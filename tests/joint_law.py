"""The joint law of a few emitted tokens, of a drafter at hand on a target of four tokens."""

from collections.abc import Callable
from functools import cache
from itertools import product

import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from dspark_bench.core.clock import device_clock
from dspark_bench.core.protocols import Drafter, Scheduler
from dspark_bench.core.sampling import token_probs
from dspark_bench.core.types import Request, SamplingParams
from dspark_bench.engine.acceptance import ExactAcceptance
from dspark_bench.engine.engine import Engine, EngineConfig
from dspark_bench.engine.exactness import chi_square
from dspark_bench.engine.long_pass import run_along
from dspark_bench.engine.markov import count_sequences
from dspark_bench.loads.closed import ClosedLoad
from dspark_bench.models.target import TargetModel
from dspark_bench.schedulers.fixed import FixedScheduler
from tests import tiny

SIZE, LENGTH = 4, 3
PROMPT = (2, 0, 3, 1)


@cache
def target(seed: int = 0, num_layers: int = 3) -> TargetModel:
    """A decoder without an end of text, whose laws are far from even."""
    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=SIZE,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=num_layers,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        tie_word_embeddings=True,
        max_position_embeddings=32,
        eos_token_id=None,
    )
    model = Qwen3ForCausalLM(config)
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(0, 0.4) if weight.dim() > 1 else weight.uniform_(0.5, 1.5)
    path = tiny.root() / f"four-tokens-{seed}-{num_layers}"
    model.save_pretrained(path)
    return TargetModel.load(path, torch.float32, tiny.CPU)


def joint_p(
    drafting: Drafter,
    sampling: SamplingParams,
    gamma: int = 2,
    scheduler: Scheduler | None = None,
    num_requests: int = 2_000,
) -> float:
    """p of chi-square of what is emitted, against every continuation's probability."""
    engine = Engine(
        target(),
        drafting,
        scheduler or FixedScheduler(),
        ExactAcceptance(),
        sampling,
        gamma,
        EngineConfig(512, 16),
        device_clock(tiny.CPU),
    )
    requests = [Request(i, str(i), "", PROMPT, LENGTH) for i in range(num_requests)]
    result = engine.run(requests, ClosedLoad(512), 3)
    assert sum(cycle.is_rejected for cycle in result.cycles) > num_requests / 10
    assert sum(cycle.num_accepted for cycle in result.cycles) > num_requests / 10
    counts = count_sequences([record.output_tokens for record in result.requests], SIZE, LENGTH)
    expected = _joint(sampling)
    assert not counts[expected == 0].any()
    return chi_square(counts[expected > 0], expected[expected > 0])[1]


def biased(drafting: Drafter) -> Drafter:
    """The same drafter, with flatter probabilities stated than it draws from."""

    class Misstating:
        spec = drafting.spec
        allocate, extend = drafting.allocate, drafting.extend
        share: Callable[..., None] = getattr(drafting, "share", lambda cache: None)

        def propose(self, batch):  # type: ignore[no-untyped-def]
            drafted = drafting.propose(batch)
            flat = drafted.probs.sqrt()
            probs = flat / flat.sum(-1, keepdim=True)
            return type(drafted)(drafted.token_ids, probs, None)

    return Misstating()


@cache
def _joint(sampling: SamplingParams) -> torch.Tensor:
    """Of all continuations, the last token fastest."""
    result = torch.ones(SIZE**LENGTH, dtype=torch.float64)
    with torch.inference_mode():
        for index, tokens in enumerate(product(range(SIZE), repeat=LENGTH)):
            logits = run_along(target(), torch.tensor([*PROMPT, *tokens])).logits
            law = token_probs(logits[len(PROMPT) - 1 :], sampling).double()
            for place, token in enumerate(tokens):
                result[index] *= law[place, token]
    return result
