"""When two greedy runs may differ: where rounding alone decides between the two largest logits.

Another batch shape sums in another order, which moves a logit by some roundings of its type. In
bfloat16 logits of 4 to 8 lie 0.031 apart; on the zoo, the gap between the two largest moved by up
to 2.9 roundings among 1,728 tokens (99.9 % of them: 1.9). In float32 it moves by about 2e-5.
"""

from collections.abc import Sequence
from typing import Final

import torch

FLOAT32_LIMIT: Final = 1e-3
ROUNDINGS: Final = 4
"""By how many roundings a gap may have moved in a type of half precision."""
_HALF: Final = {torch.bfloat16: 2.0**-7, torch.float16: 2.0**-10}


def tie_limit(dtype: torch.dtype | None, logit: float) -> float:
    """Largest gap that rounding explains between the largest logit and another.

    dtype: None where a token's logits have the same bits in every batch, so that nothing does.
    """
    if dtype is None:
        return 0.0
    return max(FLOAT32_LIMIT, ROUNDINGS * _HALF.get(dtype, 0.0) * abs(logit))


def is_near_tie(margins: Sequence[float], limits: Sequence[float]) -> bool:
    """Whether rounding explains that two runs emit different tokens after equal ones.

    margins: each run's gap between its two largest logits there, negative where what it emitted was
    not the largest, which nothing excuses; limits: each run's `tie_limit`. Without any margin
    nothing is explained; without a limit float32's holds.
    """
    limit = max(limits, default=FLOAT32_LIMIT)
    return bool(margins) and all(0 <= margin <= limit for margin in margins)
