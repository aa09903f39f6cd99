"""`agreement[k]`: how well a drafter matches the target k tokens ahead, reached or not.

Conditional acceptance sees only the cycles that survived to position k, which are the easy ones.
Here the drafter is scored along recorded target continuations from every anchor of a fixed stride,
with the recorded tokens as its prefix: 1 - TV between target and drafter at each position.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dspark_bench.core.protocols import Drafter
from dspark_bench.core.sampling import overlap, token_probs
from dspark_bench.core.types import ContextUpdate, DraftBatch, Request, SamplingParams
from dspark_bench.models.attention import Span, plan_attention
from dspark_bench.models.target import TargetModel

_BATCH = 16
_STRIDE = 4


@dataclass(frozen=True, slots=True)
class _Recorded:
    """One sequence with the target's view of it: probs [S, V], features [S, m*D]."""

    tokens: Tensor
    num_prompt: int
    probs: Tensor
    features: Tensor


def measure_agreement(
    target: TargetModel,
    drafter: Drafter,
    sequences: Sequence[tuple[Request, tuple[int, ...]]],
    gamma: int,
    sampling: SamplingParams,
) -> tuple[float, ...]:
    """Mean of sum_v min(target, draft) at positions 1..gamma over all scored anchors.

    sequences: requests with the target's own output; those too short for one block are left out
    (NaN if none is long enough). Greedy sampling is scored at temperature 1, where the
    distributions are defined.
    """
    if sampling.is_greedy:
        sampling = SamplingParams()
    with torch.inference_mode():
        usable = [s for s in sequences if len(s[1]) > gamma]
        total, count = torch.zeros(gamma, dtype=torch.float64), 0
        for start in range(0, len(usable), _BATCH):
            recorded = [
                _record(target, drafter, request, output, sampling)
                for request, output in usable[start : start + _BATCH]
            ]
            longest = max(item.tokens.shape[0] for item in recorded) + gamma
            drafter.allocate(len(recorded), longest)
            part, added = _score(drafter, recorded, gamma, sampling)
            total, count = total + part, count + added
    return tuple((total / count).tolist()) if count else (float("nan"),) * gamma


def _record(
    target: TargetModel,
    drafter: Drafter,
    request: Request,
    output: tuple[int, ...],
    sampling: SamplingParams,
) -> _Recorded:
    tokens = torch.tensor([*request.prompt_tokens, *output], device=target.device)
    cache = target.new_cache(1, tokens.shape[0])
    plan = plan_attention([Span(0, 0, tokens.shape[0])], cache)
    layers = drafter.spec.feature_layers
    seen = target.forward(tokens, plan, cache, None, layers)
    assert seen.features is not None
    probs = token_probs(seen.logits, sampling)
    return _Recorded(tokens, len(request.prompt_tokens), probs, seen.features)


def _score(
    drafter: Drafter, recorded: Sequence[_Recorded], gamma: int, sampling: SamplingParams
) -> tuple[Tensor, int]:
    """Sum over anchors of the overlap [gamma], and how many anchors there were."""
    total, count = torch.zeros(gamma, dtype=torch.float64), 0
    position = [item.num_prompt for item in recorded]
    known = [0] * len(recorded)
    while True:
        open_rows = [
            row for row, item in enumerate(recorded) if position[row] + gamma < item.tokens.shape[0]
        ]
        if not open_rows:
            return total, count
        drafter.extend(_context(recorded, open_rows, known, position))
        for row in open_rows:
            known[row] = position[row]
        scores = _propose(drafter, recorded, open_rows, position, gamma, sampling)
        total += scores.sum(0).double().cpu()
        count += len(open_rows)
        for row in open_rows:
            position[row] += _STRIDE


def _context(
    recorded: Sequence[_Recorded], rows: Sequence[int], known: list[int], position: list[int]
) -> ContextUpdate:
    spans = [(recorded[row], known[row], position[row]) for row in rows]
    return ContextUpdate(
        rows=tuple(rows),
        starts=tuple(known[row] for row in rows),
        counts=tuple(position[row] - known[row] for row in rows),
        token_ids=torch.cat([item.tokens[a:b] for item, a, b in spans]),
        next_token_ids=torch.cat([item.tokens[a + 1 : b + 1] for item, a, b in spans]),
        features=torch.cat([item.features[a:b] for item, a, b in spans]),
    )


def _propose(
    drafter: Drafter,
    recorded: Sequence[_Recorded],
    rows: Sequence[int],
    position: list[int],
    gamma: int,
    sampling: SamplingParams,
) -> Tensor:
    """Overlap [rows, gamma] of the block behind each row's anchor."""
    blocks = [recorded[row].tokens[position[row] : position[row] + gamma + 1] for row in rows]
    table = torch.stack(blocks)
    proposal = drafter.propose(
        DraftBatch(
            rows=tuple(rows),
            context_lens=tuple(position[row] for row in rows),
            anchors=table[:, 0],
            draft_lens=(gamma,) * len(rows),
            sampling=sampling,
            uniform=torch.zeros(len(rows), gamma, dtype=torch.float64, device=table.device),
            forced=table[:, 1:],
        )
    )
    assert proposal.probs is not None
    truth = torch.stack([recorded[r].probs[position[r] : position[r] + gamma] for r in rows])
    return overlap(truth, proposal.probs)
