"""How many requests a measurement serves where nobody says so."""

from typing import Any, Final

from dspark_bench.metrics.units import ROUND_PROMPTS

ROUND_PROMPTS_PER_USER: Final = 3
"""With several users; at least as many as with one."""
FEWEST_ROUNDS: Final = 6
"""Rounds at batches above 1 before anything is judged: there a round is one unit."""
MOST_PROMPTS: Final = 96
FIXED_PROMPTS: Final = 24


def round_size(concurrency: int) -> int:
    """Prompts of a round with so many users."""
    return max(ROUND_PROMPTS, ROUND_PROMPTS_PER_USER * concurrency)


def default_num_requests(precision: float | None, load: str, concurrency: Any) -> int:
    """`num_requests=null`: with a precision to reach, the most prompts that are served.

    That is enough new prompts for `FEWEST_ROUNDS` in a closed loop; an open loop serves the same
    ones in every round. concurrency: as configured, which may be no number at all.
    """
    if precision is None or load != "closed":
        return FIXED_PROMPTS
    users = concurrency if isinstance(concurrency, int) and concurrency > 1 else 1
    return max(MOST_PROMPTS, FEWEST_ROUNDS * round_size(users)) if users > 1 else MOST_PROMPTS
