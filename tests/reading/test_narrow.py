"""Points chosen by words."""

from pathlib import Path

import pytest

from dspark_bench.core.errors import UsageError
from dspark_bench.reading.gather import gather
from dspark_bench.reading.narrow import narrow
from tests.report.folders import cells, write_sweep


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [
        cells("a", concurrency=1),
        cells("b", concurrency=4),
        cells("c", concurrency=4, drafter="ar"),
        cells("d", status="failed"),
    ]
    return write_sweep(tmp_path / "s", rows, keys={"load.think_s": 0.5})


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ((), "abcd"),
        (("concurrency=4",), "bc"),
        (("concurrency=4.0", "drafter=ar"), "c"),
        (("concurrency=1,4", "drafter=semi_ar"), "ab"),
        (("load.think_s=0.5",), "abc"),
    ],
)
def test_points_with_all_of_the_values_are_kept(
    folder: Path, words: tuple[str, ...], kept: str
) -> None:
    found = narrow(gather(folder), words)
    assert "".join(sorted(point.point_id for point in found.points)) == kept


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("drafter", "'drafter' chooses no points; valid: KEY=VALUE"),
        ("=ar", "chooses no points"),
        ("drafter=", "chooses no points"),
        ("colour=red", "no point has colour; valid: a column of summary.csv"),
        ("drafter=eagle", "no point has drafter=eagle; valid: ar, semi_ar"),
    ],
)
def test_what_chooses_nothing_is_said_with_what_is_valid(
    folder: Path, word: str, says: str
) -> None:
    with pytest.raises(UsageError) as caught:
        narrow(gather(folder), [word])
    assert says in str(caught.value)
