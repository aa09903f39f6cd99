"""What the terminal says where the precision that was asked for has been missed."""

from collections.abc import Iterator, Sequence

from dspark_bench.core.wording import is_or_are, number_of
from dspark_bench.reading.rows import INTERRUPTED, Row


def precision_lines(rows: Sequence[Row]) -> Iterator[str]:
    """A line per block that ended without the precision asked for, and one for interrupted ones."""
    blocks = {row["block_id"]: row for row in rows if row.get("precision_reached") is False}
    for row in blocks.values():
        if row["status"] == INTERRUPTED:
            continue
        alone = row.get("load") == "closed" and row.get("concurrency") == 1
        unit = "prompts" if alone else "rounds"
        needed = row.get("units_needed")
        keys = "num_requests and measure.max_rounds" if alone else "measure.max_rounds"
        more = f"about {needed} {unit} would give it ({keys})" if needed else "no interval is known"
        yield (
            f"measure.precision was not reached in {row.get('num_rounds')} rounds, for the widest "
            f"of {row.get('num_arms')} arms: {more}"
        )
    num_cut = sum(row["status"] == INTERRUPTED for row in rows)
    if num_cut:
        yield (
            f"{number_of(num_cut, 'point')} {is_or_are(num_cut)} interrupted: the same "
            "command goes on at the next round"
        )
