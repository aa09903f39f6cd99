"""`acceptance=forced`: drafts are accepted by a stated profile; everything is computed as ever.

Answers what a drafter of such acceptance would be worth on this machine. Drafting, the target's
pass and rejection sampling all run; only the verdict is replaced, by draws from the request's own
random stream. Requests walk along a recorded output of the target, greedy or not, so that both arms
write the same texts. Figures of such a run are simulated, and marked so wherever they appear.
"""

import math
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from dspark_bench.core.errors import UsageError
from dspark_bench.core.random_streams import CycleNoise
from dspark_bench.core.sampling import Verdict, sample, token_probs
from dspark_bench.core.types import Proposal, Recorded, SamplingParams
from dspark_bench.engine.acceptance import ExactAcceptance, ExactDecision

SPREADS: Final = ("min_variance", "constant")
_BISECTIONS: Final = 60


class ForcedAcceptance:
    """Accepts by profile. Position k stands with probability S_k / S_(k-1), given those before."""

    follows_record = True
    is_simulated = True

    def __init__(
        self,
        gamma: int,
        rates: float | list[float] | None = None,
        length: float | None = None,
        spread: str = "min_variance",
        recording: int = 0,
        path: str | None = None,
    ) -> None:
        """See conf/acceptance/forced.yaml. Raises UsageError for what is no profile.

        recording, path: which recorded outputs, for who makes them.
        """
        if recording < 0:
            raise UsageError(f"acceptance.recording is {recording}; valid: 0 or more")
        self.survival = stated_survival(gamma, rates, length, spread)
        before = (1.0, *self.survival)
        self._conditional = [
            k / last if last > 0 else 0.0 for last, k in zip(before, self.survival, strict=False)
        ]
        self._exact = ExactAcceptance()

    def decide(
        self,
        logits: Tensor,
        proposal: Proposal | None,
        verify_lens: Sequence[int],
        noise: CycleNoise,
        sampling: SamplingParams,
        recorded: Recorded | None = None,
    ) -> ExactDecision:
        """Judge one cycle; shapes as for `ExactAcceptance.decide`.

        The exact rule runs for the time that it takes. Without a record accepted drafts are the
        drafter's, and the token after them is drawn from the target there.
        """
        self._exact.decide(logits, proposal, verify_lens, noise, sampling)
        num_drafted = 0 if proposal is None else proposal.token_ids.shape[0]
        accepted = [self._draw(noise, i, verify_lens[i]) for i in range(num_drafted)]
        accepted += [0] * (len(verify_lens) - num_drafted)
        is_rejected = [n < length for n, length in zip(accepted, verify_lens, strict=True)]
        if recorded is not None:
            bonus = recorded.token_ids[range(len(accepted)), accepted].tolist()
        else:
            bonus = _bonus(logits, verify_lens, accepted, noise, sampling)
        return ExactDecision(Verdict(accepted, is_rejected, bonus))

    def _draw(self, noise: CycleNoise, request: int, verify_len: int) -> int:
        """Drafts accepted of those verified: each slot by its own number."""
        chances = zip(noise.accept[request, :verify_len], self._conditional, strict=False)
        return next((k for k, (u, chance) in enumerate(chances) if u >= chance), verify_len)


def stated_survival(
    gamma: int, rates: object, length: float | None, spread: str
) -> tuple[float, ...]:
    """S_1..S_gamma: probability that drafts 1..k all stand. Raises UsageError.

    rates: S_1, S_2, ..., gamma of them or more, or one number c for S_k = c^k; length instead: mean
    accepted length, bonus included, by `min_variance` (a whole number of drafts or one more) or by
    one `constant` conditional probability. Same mean, another spread, so another time of a batch.
    """
    if spread not in SPREADS:
        raise UsageError(f"acceptance.spread is {spread!r}; valid: {', '.join(SPREADS)}")
    if (rates is None) == (length is None):
        what = "no profile" if rates is None else "two profiles, rates and length"
        raise UsageError(
            f"acceptance=forced has {what}; valid: one of acceptance.rates=[0.8,0.6,...], "
            "acceptance.rates=0.8 and acceptance.length=3.2"
        )
    if length is not None:
        return _of_length(gamma, length, spread)
    if _is_share(rates):
        return tuple(float(str(rates)) ** k for k in range(1, gamma + 1))
    values = list(rates) if isinstance(rates, list | tuple) else []
    is_falling = all(map(_is_share, values)) and values == sorted(values, reverse=True)
    if not values or not is_falling:
        raise UsageError(
            f"acceptance.rates is {rates!r}; valid: a number from 0 to 1, or a list of them that "
            "never rises"
        )
    if len(values) < gamma:
        raise UsageError(
            f"acceptance.rates has {len(values)} positions; valid: {gamma} or more (gamma)"
        )
    return tuple(map(float, values[:gamma]))


def _is_share(value: object) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and 0 <= float(str(value)) <= 1


def _of_length(gamma: int, length: float, spread: str) -> tuple[float, ...]:
    if not (math.isfinite(length) and 1 <= length <= gamma + 1):
        raise UsageError(
            f"acceptance.length is {length:g}; valid: 1 to {gamma + 1} (gamma and the bonus)"
        )
    mean = length - 1
    if spread == "min_variance":
        return tuple(min(1.0, max(0.0, mean - k)) for k in range(gamma))
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        is_low = sum(middle**k for k in range(1, gamma + 1)) < mean
        low, high = (middle, high) if is_low else (low, middle)
    return tuple(high**k for k in range(1, gamma + 1))


def _bonus(
    logits: Tensor,
    verify_lens: Sequence[int],
    accepted: Sequence[int],
    noise: CycleNoise,
    sampling: SamplingParams,
) -> list[int]:
    """The target's own token [B] after each accepted prefix."""
    rows, start = [], 0
    for length, count in zip(verify_lens, accepted, strict=True):
        rows.append(start + count)
        start += length + 1
    ends = logits[rows]
    if sampling.is_greedy:
        found: list[int] = ends.argmax(-1).tolist()
        return found
    emit = torch.from_numpy(noise.emit).to(logits.device)
    drawn: list[int] = sample(token_probs(ends, sampling), emit).tolist()
    return drawn
