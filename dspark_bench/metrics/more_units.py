"""What gives a measurement more units, in the keys that decide how long it is.

Called wherever a figure rests on too few units, so that the advice is the same, and true, however a
measurement ends.
"""

import math
from enum import Enum

from dspark_bench.metrics.precision import FIRST_LOOK_PROMPTS, FIRST_LOOK_ROUNDS
from dspark_bench.metrics.units import ROUND_PROMPTS


class Ending(Enum):
    """What ends a measurement: its repeats, the precision it is to reach, or a signal."""

    REPEATS = "measure.repeats"
    PRECISION = "measure.precision"
    SIGNAL = "interrupted"


def more_units(num_units: int, is_by_prompt: bool, ending: Ending) -> str:
    """The overrides that give `num_units` prompts (is_by_prompt) or rounds.

    With a precision to reach, a measurement may end at any look from the first one on, so more than
    that takes a precision which is not reached before.
    """
    if ending is Ending.SIGNAL:
        return "going on with the same command"
    if ending is Ending.REPEATS:
        return f"{'num_requests' if is_by_prompt else 'measure.repeats'}={num_units} or more"
    first = FIRST_LOOK_PROMPTS if is_by_prompt else FIRST_LOOK_ROUNDS
    parts = [f"measure.max_rounds={num_units} or more"]
    if is_by_prompt:
        parts = [f"num_requests={num_units} or more"]
        if num_units > ROUND_PROMPTS:
            parts.append(f"measure.max_rounds={math.ceil(num_units / ROUND_PROMPTS)} or more")
    if num_units > first:
        parts.append("a measure.precision that is not reached before")
    return " and ".join(parts) if len(parts) < 3 else f"{parts[0]}, {parts[1]} and {parts[2]}"
