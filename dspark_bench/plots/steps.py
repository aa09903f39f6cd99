"""Times of a cycle in steps of the point's own baseline.

Points measured in different blocks lie minutes apart, and the machine's pace drifts by more than
what draft lengths differ by. Each has a baseline that took turns with it, so that in its steps the
drift is gone.
"""

from typing import Final

import pandas as pd

STEP: Final = "baseline_step_s"
IN_STEPS: Final = (
    "Times in steps of each point's own paired baseline; those of different minutes are not "
    "compared."
)


def steps_of(name: str) -> str:
    """The column of a time in steps: `cycle_s` becomes `cycle_steps`."""
    return f"{name.removesuffix('_s')}_steps"


def in_steps(rows: pd.DataFrame, *names: str) -> pd.DataFrame:
    """Rows with these times, and their intervals where they have any, over `STEP`."""
    found = {
        f"{steps_of(name)}{end}": rows[f"{name}{end}"] / rows[STEP]
        for name in names
        for end in ("", "_ci_low", "_ci_high")
        if f"{name}{end}" in rows.columns
    }
    return rows.assign(**found)
