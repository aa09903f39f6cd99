"""Whether a drafter's confidences are blind to the tokens that they judge.

The confidence of slot k may know the context and x_1..x_{k-1}. One that reads x_k, such as the
draft probability of the drawn token, decides about a token by that token: sampled output is biased
(DSpark, Appendix A), though greedy output is not, nor output that `match` judges.
"""

from dataclasses import replace

import torch

from dspark_bench.core.protocols import Drafter
from dspark_bench.core.types import SamplingParams
from dspark_bench.engine.exactness import CheckResult
from dspark_bench.engine.forced_contract import batch_behind
from dspark_bench.engine.teacher_forcing import Sequences
from dspark_bench.models.target import Target

NAME = "contract: confidence"
_TOLERANCE = 1e-4
_MOST = 8


def confidence_contract(
    target: Target, drafter: Drafter, texts: Sequences, gamma: int, sampling: SamplingParams
) -> CheckResult:
    """Draft after a few prompts with tokens forced, then with another token in one slot: up to this
    slot no confidence may move.

    Reallocates the drafter's cache. The drafter keeps the contract of forced tokens.
    """
    if sampling.is_greedy:
        sampling = SamplingParams()
    chosen = [item for item in texts if item[1]][:_MOST]
    if not chosen or not drafter.spec.has_confidence:
        return CheckResult(NAME, True, "no confidences to look at")
    with torch.inference_mode():
        plain = batch_behind(target, drafter, chosen, gamma, sampling)
        batch = replace(plain, wants_confidence=True)
        drawn = drafter.propose(batch).token_ids
        before = drafter.propose(replace(batch, forced=drawn)).confidence
        for slot in range(gamma):
            other = drawn.clone()
            other[:, slot] = (other[:, slot] + 1) % target.config.vocab_size
            after = drafter.propose(replace(batch, forced=other)).confidence
            if before is None or after is None:
                return CheckResult(NAME, False, f"{_owner(drafter)} gave no confidence")
            moved = (before - after)[:, : slot + 1].abs().max()
            if float(moved) > _TOLERANCE:
                detail = (
                    f"{_owner(drafter)} gives slot {slot + 1} another confidence when its own "
                    "token is another; valid: what is known before the token is drawn"
                )
                return CheckResult(NAME, False, detail)
    return CheckResult(NAME, True, f"blind to the token judged, in {len(chosen)} drafts")


def _owner(drafter: Drafter) -> str:
    return f"{type(drafter).__name__}.propose"
