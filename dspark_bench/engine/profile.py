"""What one cycle costs on this machine, measured apart from any run that it is used to predict.

Serves a few prompts one at a time at every draft length and takes medians over decode cycles. The
lengths are interleaved: round after round over all of them, so that a slow moment of the machine
falls on all alike, and every other round runs backwards.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median

from dspark_bench.core.records import CycleRecord, RunResult
from dspark_bench.core.types import Request

Serve = Callable[[int, Sequence[Request], int], RunResult]
"""(gamma, requests, seed) -> records at batch 1 with everything verified; gamma 0: no drafter."""

PROFILE_MAX_GAMMA = 16
PROFILE_NEW_TOKENS = 32


@dataclass(frozen=True, slots=True)
class MeasuredCosts:
    """Seconds at batch 1; tuples are indexed by draft length, from 0 to 16 or the largest measured,
    NaN where not measured.

    step_s: a whole baseline decode step; verify_s[l]: the target's pass over 1 + l tokens;
    draft_s[g]: proposing g tokens and absorbing the committed ones; overhead_s[g]: the rest of such
    a cycle; prefill_s: the cycles that read a prompt, up to its first token; draft_prefill_s:
    the drafter's absorption of that prompt.
    """

    step_s: float
    verify_s: tuple[float, ...]
    draft_s: tuple[float, ...]
    overhead_s: tuple[float, ...]
    prefill_s: float
    draft_prefill_s: float


def profile_costs(
    serve: Serve, prompts: Sequence[Request], gammas: Sequence[int], seed: int
) -> MeasuredCosts:
    """Measure costs at every draft length in `gammas` (0 is always measured).

    One round per prompt. Raises ValueError without prompts.
    """
    if not prompts:
        raise ValueError("profiling needs at least one prompt")
    widths = sorted({0, *gammas})
    decode: dict[int, list[CycleRecord]] = {width: [] for width in widths}
    prefill_s: list[float] = []
    draft_prefill_s: list[float] = []
    for number, prompt in enumerate(prompts):
        short = replace(prompt, max_new_tokens=min(PROFILE_NEW_TOKENS, prompt.max_new_tokens))
        for width in widths if number % 2 == 0 else reversed(widths):
            cycles = serve(width, [short], seed).cycles
            decode[width].extend(c for c in cycles if not c.has_prefill)
            reading = [c for c in cycles if c.has_prefill]
            if width == 0:
                prefill_s.append(sum(c.duration_s for c in reading))
            else:
                draft_prefill_s.append(sum(c.t_draft_s for c in reading))
    return MeasuredCosts(
        step_s=_median([c.duration_s for c in decode[0]]),
        verify_s=_by_width(decode, lambda c: c.t_verify_s),
        draft_s=_by_width(decode, lambda c: c.t_draft_s),
        overhead_s=_by_width(decode, lambda c: c.t_schedule_s + c.t_accept_s + c.t_engine_s),
        prefill_s=_median(prefill_s),
        draft_prefill_s=_median(draft_prefill_s),
    )


def _by_width(
    decode: dict[int, list[CycleRecord]], cost: Callable[[CycleRecord], float]
) -> tuple[float, ...]:
    longest = max(PROFILE_MAX_GAMMA, *decode)
    return tuple(_median([cost(c) for c in decode.get(width, [])]) for width in range(longest + 1))


def _median(values: Sequence[float]) -> float:
    return median(values) if values else float("nan")
