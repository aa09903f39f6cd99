"""What the terminal says of requests whose answer runs in a circle."""

from collections.abc import Callable, Iterator, Sequence

from dspark_bench.metrics.intervals import Interval
from dspark_bench.reading.rows import Row


def loop_lines(rows: Sequence[Row], label_of: Callable[[Row], str]) -> Iterator[str]:
    """A line per point with such requests: their share, and S without them."""
    for row in rows:
        part = row.get("degenerate_requests")
        if not isinstance(part, float) or part == 0:
            continue
        name = "speedup_not_degenerate"
        keys = (name, f"{name}_ci_low", f"{name}_ci_high")
        value, low, high = (x if isinstance(x := row.get(key), float) else None for key in keys)
        left = Interval(value, low, high, 0).text()
        yield (
            f"{label_of(row)}: {part:.0%} of the requests run in a circle, judged on the "
            f"baseline's output; S without them {left}"
        )
