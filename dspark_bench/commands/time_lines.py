"""Where the time of a sweep went, in one line."""

from collections.abc import Sequence
from typing import Final

from dspark_bench.measure.stopwatch import STAGES
from dspark_bench.reading.rows import Row

_NAMES: Final = {
    "build": "models and prompts",
    "costs": "step costs",
    "warmup": "warm-up",
    "turns": "turns of all arms",
    "model": "prompts for S model",
    "agreement": "agreement curve",
    "checks": "checks of the output",
    "figures": "figures and intervals",
}


def time_lines(rows: Sequence[Row]) -> list[str]:
    """Such as `measured in 241 s: turns of all arms 203 s, ...`, the longest first.

    Points that were there already count too. Rows of older results say nothing.
    """
    spent = {stage: sum(row.get(f"spent_{stage}_s") or 0.0 for row in rows) for stage in STAGES}
    whole = sum(spent.values())
    if not whole:
        return []
    ordered = sorted(STAGES, key=lambda stage: -spent[stage])
    parts = [f"{_NAMES[stage]} {spent[stage]:.0f} s" for stage in ordered if spent[stage] >= 0.5]
    return [f"measured in {whole:.0f} s" + (f": {', '.join(parts)}" if parts else "")]
