"""Accepted length and cycle latency against draft length (the paper's Figure 4, which has
milliseconds of arms that ran side by side).
"""

from matplotlib.figure import Figure as Canvas

from dspark_bench.plots.kind import Kind, NotSupportedError, Plotted
from dspark_bench.plots.kinds.s_curve import several_lengths
from dspark_bench.plots.results import Results
from dspark_bench.plots.selection import (
    caption,
    columns,
    drafter_curves,
    in_order,
    limit_panels,
    name_places,
    numbers,
    require,
    speculative_rows,
    with_interval,
)
from dspark_bench.plots.sheet import from_zero
from dspark_bench.plots.stacked import Stack, draw_stack
from dspark_bench.plots.steps import IN_STEPS, STEP, in_steps, steps_of
from dspark_bench.plots.style import Look

_CYCLE = steps_of("cycle_s")
_ROWS = (
    ("accepted_length", "accepted length\n(tokens/cycle)"),
    (_CYCLE, "cycle latency\n(baseline steps)"),
)
_MOST_COLUMNS = 4


def collect(results: Results) -> Plotted:
    """Groups in which a drafter ran at several draft lengths."""
    rows = require(speculative_rows(results), "accepted_length", "cycle_s", STEP)
    rows = in_steps(numbers(rows, *with_interval("accepted_length", "cycle_s")), "cycle_s")
    rows, notes = name_places(rows, ["gamma"], drafter_curves(rows))
    rows, more = several_lengths(rows)
    if rows["gamma"].nunique() < 2:
        raise NotSupportedError("gamma takes one value only")
    rows, further = limit_panels(rows, most=_MOST_COLUMNS)
    data = columns(
        in_order(rows, "gamma"), "drafter", "gamma",
        *with_interval("accepted_length", _CYCLE, "cycle_s"), STEP, "n_units", "n_requests",
    )  # fmt: skip
    first, *settings = caption(rows, "accepted_length", "cycle_s")
    return Plotted(data, (f"{first} {IN_STEPS}", *settings, *notes, *more, *further))


def draw(plotted: Plotted, look: Look) -> Canvas:
    """Accepted length above, how many baseline steps a cycle takes below; one column per group."""
    width_in = 6.4 if plotted.data["panel"].nunique() == 1 else 4.2
    stack = Stack("gamma", "gamma (draft tokens per cycle)", _ROWS, width_in, 2.8)
    figure, axes = draw_stack(plotted, look, stack)
    from_zero(axes.flat)
    return figure


KIND = Kind("draft_length", "Accepted length and cycle latency by draft length", 60, collect, draw)
