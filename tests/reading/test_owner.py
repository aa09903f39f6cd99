"""Records that are lost, damaged or another point's are refused by name."""

from pathlib import Path

import pytest

from dspark_bench.core.errors import ResultsError
from dspark_bench.reading.files import read_object
from dspark_bench.reading.records import read_records
from tests.gate.folders import records, write_point


def _written(tmp_path: Path, name: str, chance: float = 0.6) -> Path:
    frames = records(4, num_cycles=5, chance=chance, seed=len(name))
    write_point(tmp_path, name, frames)
    return tmp_path / "points" / name


def _read(folder: Path, **counts: float) -> None:
    content = read_object(folder / "metrics.json")
    assert isinstance(content, dict)
    read_records(folder, content | {"counts": content["counts"] | counts})


def test_records_that_agree_with_their_sums_are_read(tmp_path: Path) -> None:
    folder = _written(tmp_path, "one")
    accepted = float(records(4, num_cycles=5, seed=3)[0]["num_accepted"].sum())
    _read(folder, accepted=accepted)
    with pytest.raises(ResultsError, match=r"one: cycles.parquet is another point's: .* accepted"):
        _read(folder, accepted=accepted + 1)


@pytest.mark.parametrize("name", ["cycles", "requests"])
def test_a_lost_or_damaged_file_is_named(tmp_path: Path, name: str) -> None:
    folder = _written(tmp_path, "one")
    (folder / f"{name}.parquet").write_bytes(b"PAR1")
    with pytest.raises(ResultsError, match=f"cannot read .*{name}.parquet"):
        _read(folder)
    (folder / f"{name}.parquet").unlink()
    with pytest.raises(ResultsError, match=f"{name}.parquet is missing"):
        _read(folder)


def test_requests_of_another_point_are_noticed_by_their_outputs(tmp_path: Path) -> None:
    folder = _written(tmp_path, "one")
    cycles, requests = records(4, num_cycles=5, seed=3)
    emitted = cycles.groupby("request_id")["num_emitted"].sum()
    own = requests.assign(output_tokens=[[0] * emitted[r] for r in requests["request_id"]])
    own.to_parquet(folder / "requests.parquet")
    _read(folder)
    own.assign(output_tokens=[[0]] * len(own)).to_parquet(folder / "requests.parquet")
    with pytest.raises(ResultsError, match=r"requests.parquet is another point's"):
        _read(folder)
