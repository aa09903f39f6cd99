"""Lengths of a recorded trace."""

from pathlib import Path

import pytest

from dspark_bench.core.errors import UsageError
from dspark_bench.loads.lengths.trace import TraceLengths


def test_output_lengths_in_order_with_notes(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("Timestamp,Request tokens,Response tokens\n1,100,0\n2,300,7\n3,200,90\n")
    plan = TraceLengths(path).plan(3, 8)
    assert plan.tokens == (1, 7, 8)
    above, below, inputs = plan.notes
    assert "1 of 3 lengths were above max_new_tokens=8" in above
    assert "1 of 3 lengths were 0 and became 1" in below
    assert "median 200 tokens) are not reproduced" in inputs
    with pytest.raises(UsageError, match=r"num_requests is 4; valid for .*: 1 to 3"):
        TraceLengths(path).plan(4, 8)


def test_no_file() -> None:
    with pytest.raises(UsageError, match=r"lengths\.path is not given"):
        TraceLengths(None)
