"""The exactness checks behind `dspark-bench verify`, for anyone's drafter or scheduler.

A drafter or scheduler is lossless if what is emitted has the target's own law. Small laws are
compared whole (chi-square over the joint distribution of several tokens); large ones through sums
whose expectation is zero under the target, given every prefix.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dspark_bench.core.near_tie import is_near_tie
from dspark_bench.core.protocols import Drafter, Scheduler
from dspark_bench.core.records import RunResult
from dspark_bench.core.types import PlanContext, Request, SamplingParams
from dspark_bench.engine.markov import MarkovDrafter, MarkovTarget, count_sequences
from dspark_bench.engine.teacher_forcing import (
    STRIDE,
    ScoredBlocks,
    Sequences,
    score_blocks,
)
from dspark_bench.models.target import LoadedTarget

P_MIN = 5e-5
MIN_EXPECTED = 5.0
Z_MAX = 4.0

ServeMarkov = Callable[[MarkovTarget, MarkovDrafter, Sequence[Request], int], RunResult]
"""(target, drafter, requests, gamma) -> records, under the scheduler that is being checked."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check: whether it passed, and the figures that say so."""

    name: str
    is_passed: bool
    detail: str


def example_laws() -> tuple[Tensor, Tensor, Tensor]:
    """Target law, draft law and revealing confidences over three tokens.

    The first row is the paper's Appendix A example (0.7/0.3 against 0.5/0.5) with a little mass on
    a third token.
    """
    target = torch.tensor([[0.68, 0.30, 0.02], [0.25, 0.45, 0.30], [0.40, 0.20, 0.40]])
    draft = torch.tensor([[0.49, 0.49, 0.02], [0.45, 0.25, 0.30], [0.30, 0.50, 0.20]])
    return target, draft, torch.tensor([0.9, 0.2, 0.55])


def distribution_check(
    serve: ServeMarkov, num_requests: int, gamma: int, length: int
) -> CheckResult:
    """Chi-square of the joint law of `length` emitted tokens against the exact one."""
    target_law, draft_law, revealing = example_laws()
    target = MarkovTarget(target_law)
    drafter = MarkovDrafter(draft_law, revealing, gamma)
    requests = [Request(i, str(i), "", (0,), length) for i in range(num_requests)]
    records = serve(target, drafter, requests, gamma).requests
    size = target_law.shape[0]
    counts = count_sequences([record.output_tokens for record in records], size, length)
    statistic, p_value = chi_square(counts, target.joint(0, length))
    detail = f"chi-square {statistic:.1f} over {size**length} cells, p={p_value:.3g}, "
    detail += f"n={num_requests}; passes at p >= {P_MIN:g}"
    return CheckResult("distribution", p_value >= P_MIN, detail)


def chi_square(counts: Tensor, probs: Tensor) -> tuple[float, float]:
    """Pearson's statistic and its p-value; counts and probs [cells], every probability positive.

    Cells of which fewer than `MIN_EXPECTED` are expected count as one: their squares are not those
    of a normal variable, and a law that is right would fail too often.
    """
    expected = counts.sum() * probs / probs.sum()
    is_rare = expected < MIN_EXPECTED
    if bool(is_rare.any()) and not bool(is_rare.all()):
        counts = torch.cat([counts[~is_rare], counts[is_rare].sum().unsqueeze(0)])
        expected = torch.cat([expected[~is_rare], expected[is_rare].sum().unsqueeze(0)])
    statistic = ((counts - expected) ** 2 / expected).sum()
    half = torch.tensor((counts.numel() - 1) / 2, dtype=torch.float64)
    return float(statistic), float(torch.special.gammaincc(half, statistic / 2))


def non_anticipation_check(
    build: Callable[[], Scheduler], gamma: int, num_trials: int, seed: int
) -> CheckResult:
    """Whether position k stays as decided when confidences after k change.

    Two copies of the scheduler see the same history; in the last cycle one request's confidences
    after some position differ. min(verify_len, k) of that request must not move.
    """
    generator = torch.Generator().manual_seed(seed)
    moved = 0
    for _ in range(num_trials):
        size = int(torch.randint(1, 6, (1,), generator=generator))
        base = torch.rand(size, gamma, generator=generator)
        row = int(torch.randint(0, size, (1,), generator=generator))
        place = int(torch.randint(1, gamma + 1, (1,), generator=generator))
        changed = base.clone()
        changed[row, place:] = torch.rand(gamma - place, generator=generator)
        lens = [_plan(build(), confidence) for confidence in (base, changed)]
        moved += min(lens[0][row], place) != min(lens[1][row], place)
    detail = f"{moved} of {num_trials} decisions moved when only later confidences changed"
    return CheckResult("non_anticipation", moved == 0, detail)


def tilt_check(
    target: LoadedTarget,
    drafter: Drafter,
    sequences: Sequences,
    gamma: int,
    sampling: SamplingParams,
) -> CheckResult:
    """Whether what was emitted under speculation leans away from the target's law.

    For each emitted token y after a prefix, with target law p and drafter law q there, the scores
    log p(y), log q(y) and [y = argmax p] have known means and variances under p; their standardised
    sums must be small. Of a drafter that is certain, [y = the draft] stands for log q(y).
    """
    sums = {"log p": [0.0, 0.0], "log q": [0.0, 0.0], "argmax": [0.0, 0.0]}
    count = 0
    for blocks in score_blocks(target, drafter, sequences, gamma, sampling):
        law = blocks.target_probs[:, :STRIDE].double()
        tokens = blocks.tokens[:, :STRIDE]
        best = _mark(law, law.argmax(-1))
        scores = {"log p": _log(law), "log q": _draft_score(blocks, law), "argmax": best}
        for name, score in scores.items():
            mean = (law * score).sum(-1)
            variance = (law * score.square()).sum(-1) - mean.square()
            seen = score.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
            sums[name][0] += float((seen - mean).sum())
            sums[name][1] += float(variance.clamp(min=0).sum())
        count += tokens.numel()
    values = {name: s / math.sqrt(v) if v > 0 else 0.0 for name, (s, v) in sums.items()}
    worst = max(abs(value) for value in values.values())
    listed = ", ".join(f"{name} z={value:+.2f}" for name, value in values.items())
    is_passed = worst <= Z_MAX and count > 0
    return CheckResult("tilt", is_passed, f"{listed}; n={count} tokens; passes at |z| <= {Z_MAX}")


def same_outputs_check(name: str, first: RunResult, second: RunResult) -> CheckResult:
    """Whether two greedy runs emit the same tokens, up to near-ties.

    The first difference of a request is a near-tie if rounding explains both sides' logit margins
    there (`core.near_tie`); what follows it is not compared.
    """
    others = {record.request_id: record for record in second.requests}
    ties: list[float] = []
    violations: list[str] = []
    for record in first.requests:
        other = others[record.request_id]
        pairs = zip(record.output_tokens, other.output_tokens, strict=False)
        place = next((i for i, (a, b) in enumerate(pairs) if a != b), None)
        if place is None:
            if len(record.output_tokens) != len(other.output_tokens):
                violations.append(f"{record.prompt_id} (length)")
            continue
        margins = (record.margins[place], other.margins[place])
        margin = min(margins)
        limits = (*record.tie_limits[place : place + 1], *other.tie_limits[place : place + 1])
        if is_near_tie(margins, limits):
            ties.append(margin)
        else:
            violations.append(f"{record.prompt_id} at token {place} (margin {margin:.2g})")
    same = len(first.requests) - len(ties) - len(violations)
    detail = f"{same} identical, {len(ties)} near-ties, {len(violations)} different"
    if ties:
        detail += f"; margins {', '.join(f'{margin:.1e}' for margin in ties)}"
    if violations:
        detail += f"; first: {violations[0]}"
    return CheckResult(name, not violations, detail)


def _plan(scheduler: Scheduler, confidence: Tensor) -> list[int]:
    size, gamma = confidence.shape
    context = PlanContext(tuple(range(size)), (5,) * size, gamma, size)
    return scheduler.plan_verify(context, [gamma] * size, confidence.double().numpy())


def _draft_score(blocks: ScoredBlocks, law: Tensor) -> Tensor:
    """Of every token, by the drafter [A, STRIDE, V]; 0 where nothing is proposed."""
    is_proposed = blocks.is_proposed()[:, :STRIDE].unsqueeze(-1)
    certain = blocks.proposal.certain
    if certain is not None:
        return _mark(law, certain[:, :STRIDE]) * is_proposed
    return _log(blocks.draft_probs[:, :STRIDE].double()) * is_proposed


def _mark(law: Tensor, tokens: Tensor) -> Tensor:
    """1 at the tokens [A, K], 0 at all others of the vocabulary: shaped as law [A, K, V]."""
    return torch.zeros_like(law).scatter_(-1, tokens.unsqueeze(-1), 1.0)


def _log(probs: Tensor) -> Tensor:
    return probs.clamp(min=1e-12).log()
