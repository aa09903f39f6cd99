"""Verdicts on chains that were drawn: one compiled call on a CPU that has numba, else torch's."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from dspark_bench.core.sampling import RESIDUAL_FLOOR, Verdict, reject_certain, reject_sampled
from dspark_bench.core.types import Proposal
from dspark_bench.engine.verdicts import SampledCycle

Judge = Callable[[SampledCycle, Proposal, Sequence[int]], Verdict]
"""What `judge_chains` is."""
_FLOOR: Final = np.float32(RESIDUAL_FLOOR)


def judge_chains(cycle: SampledCycle, proposal: Proposal, lens: Sequence[int]) -> Verdict:
    """The verdict on the requests that have drafts, by the verify length of each."""
    judge = chain_judge() if cycle.probs.device.type == "cpu" else judge_by_torch
    return judge(cycle, proposal, lens)


def judge_by_torch(cycle: SampledCycle, proposal: Proposal, lens: Sequence[int]) -> Verdict:
    """What the rule says, on any device."""
    probs, accept, emit = cycle.drafted_probs, cycle.accept, cycle.drafted_emit
    if proposal.certain is not None:
        return reject_certain(probs, proposal.certain, lens, accept, emit)
    assert proposal.probs is not None
    return reject_sampled(probs, proposal.probs, proposal.token_ids, lens, accept, emit)


@cache
def chain_judge() -> Judge:
    """The compiled judge if there can be one. To be called before anything is timed: it loads the
    judge, and the first time on a machine compiles it.
    """
    try:
        from numba.core import config
        from numba.core.errors import NumbaError
    except (ImportError, OSError):
        return judge_by_torch
    if getattr(config, "DISABLE_JIT", 0):
        return judge_by_torch
    try:
        from dspark_bench.models.kernels import verdicts

        verdicts.compile_verdicts()
    except (ImportError, NumbaError, OSError):
        return judge_by_torch
    return _compiled(verdicts.judge_sampled, verdicts.judge_certain)


def _compiled(judge_sampled: Callable[..., Any], judge_certain: Callable[..., Any]) -> Judge:
    def judge(cycle: SampledCycle, proposal: Proposal, lens: Sequence[int]) -> Verdict:
        tokens = proposal.token_ids if proposal.certain is None else proposal.certain
        laws = [cycle.drafted_probs, *(() if proposal.probs is None else (proposal.probs,))]
        is_usual = tokens.dtype is torch.int64 and tokens.shape[1] >= max(lens)
        if not is_usual or not all(_is_plain(law, laws[0].shape[-1]) for law in laws):
            return judge_by_torch(cycle, proposal, lens)
        found = np.empty((len(lens), 3), np.int64)
        noise = np.array(lens, np.int64), _packed(cycle.accept), _packed(cycle.drafted_emit)
        if proposal.certain is None:
            probs, draft = (law.numpy() for law in laws)
            judge_sampled(probs, draft, _packed(tokens), *noise, _FLOOR, found)
        else:
            judge_certain(laws[0].numpy(), _packed(tokens), *noise, _FLOOR, found)
        accepted, refused, bonus = found.T.tolist()
        return Verdict(accepted, [bool(value) for value in refused], bonus)

    return judge


def _is_plain(law: Tensor, vocab_size: int) -> bool:
    """Whether the kernels can read it: they look at no bounds."""
    is_whole = law.shape[-1] == vocab_size and law.is_contiguous()
    return is_whole and law.device.type == "cpu" and law.dtype is torch.float32


def _packed(values: Tensor) -> np.ndarray:
    return np.ascontiguousarray(values.numpy())
