"""What is said where a precision was missed."""

from dspark_bench.commands.precision_lines import precision_lines
from dspark_bench.reading.rows import Row


def _row(**more: object) -> Row:
    row = {"block_id": "a", "precision_reached": False, "status": "finished", "load": "closed"}
    return row | {"concurrency": 1, "num_rounds": 8, "num_arms": 3, "units_needed": 210} | more


def test_a_block_says_once_how_many_prompts_it_would_take() -> None:
    assert list(precision_lines([_row(), _row()])) == [
        "measure.precision was not reached in 8 rounds, for the widest of 3 arms: "
        "about 210 prompts would give it (num_requests and measure.max_rounds)"
    ]
    assert list(precision_lines([_row(precision_reached=True), _row(precision_reached=None)])) == []


def test_rounds_are_the_unit_of_larger_batches() -> None:
    (line,) = precision_lines([_row(concurrency=8, units_needed=20)])
    assert line.endswith("about 20 rounds would give it (measure.max_rounds)")
    (line,) = precision_lines([_row(concurrency=8, units_needed=None)])
    assert line.endswith("no interval is known")


def test_interrupted_points_are_told_to_go_on() -> None:
    rows = [_row(status="interrupted"), _row(status="interrupted")]
    assert list(precision_lines(rows)) == [
        "2 points are interrupted: the same command goes on at the next round"
    ]
