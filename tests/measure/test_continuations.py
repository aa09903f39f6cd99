"""`acceptance=replay` as typed: recorded once, the same counts every time, marked as such."""

from pathlib import Path

import pandas as pd
import pytest

from dspark_bench import cli
from tests.sweeps import read_summary, tiny_overrides
from tests.tiny_models import TinyZoo

COUNTS = ["arm", "repeat", "request_id", "verify_len", "num_accepted", "is_rejected"]


def sweep(zoo: TinyZoo, folder: Path, *more: str) -> int:
    overrides = tiny_overrides(zoo, folder, "acceptance=replay", "num_requests=3", *more)
    return cli.execute(["sweep", *overrides])


def counts(results: Path) -> pd.DataFrame:
    found = [pd.read_parquet(path) for path in sorted(results.glob("points/*/cycles.parquet"))]
    assert len(found) == 1
    return found[0][COUNTS]


def test_a_replay_is_recorded_once_and_repeats_its_counts(
    tiny_zoo: TinyZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep(tiny_zoo, tmp_path) == 0
    assert "judged along recorded outputs" in capsys.readouterr().out
    kept = list((tmp_path / "results" / ".continuations").glob("*.json"))
    assert len(kept) == 1
    written = kept[0].stat().st_mtime_ns
    row = read_summary(tmp_path / "results" / "tiny")[0]
    assert row["acceptance"] == "replay"
    assert len(row["continuations_hash"]) == 16
    first = counts(tmp_path / "results" / "tiny")
    assert (first[first["arm"] == "speculative"]["num_accepted"] > 0).any()

    assert sweep(tiny_zoo, tmp_path, "--fresh") == 0
    assert kept[0].stat().st_mtime_ns == written
    pd.testing.assert_frame_equal(counts(tmp_path / "results" / "tiny"), first)

    requests = pd.read_parquet(next((tmp_path / "results").glob("tiny/points/*/requests.parquet")))
    outputs = requests.groupby("prompt_id")["output_tokens"].agg(
        lambda o: len({tuple(x) for x in o})
    )
    assert (outputs == 1).all()  # both arms say what is on record


def test_greedy_replay_is_no_evidence_of_losslessness(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    assert sweep(tiny_zoo, tmp_path, "temperature=0") == 0
    row = read_summary(tmp_path / "results" / "tiny")[0]
    assert row["lossless_evidence"] == "untested"
    assert row["lossless"] == ""


def test_a_damaged_recording_is_refused(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    assert sweep(tiny_zoo, tmp_path, f"acceptance.path={folder}") == 0
    path = next(folder.glob("*.json"))
    text = path.read_text()
    assert path.read_text().count("\n  [") == 3
    path.write_text(text.replace("\n  [", "\n  [7,", 1))
    assert sweep(tiny_zoo, tmp_path, f"acceptance.path={folder}", "--fresh") == 2


def test_a_longer_draft_walks_along_the_same_recording(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    assert sweep(tiny_zoo, tmp_path, "gamma=2,8") == 0
    rows = read_summary(tmp_path / "results" / "tiny")
    assert len({row["continuations_hash"] for row in rows}) == 1
    assert len(list((tmp_path / "results" / ".continuations").iterdir())) == 1
