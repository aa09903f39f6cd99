"""A sweep whose models are named as on the hub, as typed, in processes of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.hub import COMMIT, Hub, serving
from tests.sweeps import read_summary, tiny_overrides
from tests.tiny_models import TinyZoo


def test_a_sweep_by_name_is_found_again_offline_and_by_folder(
    tiny_zoo: TinyZoo, tmp_path: Path
) -> None:
    named = ["target.path=tiny/target@v1", "drafter.path=tiny/semi", "gamma=2,4"]
    with serving(Hub({"tiny/target": tiny_zoo.target, "tiny/semi": tiny_zoo.semi_ar})) as hub:
        words = ["sweep", *tiny_overrides(tiny_zoo, tmp_path, *named)]
        done = _run(words, tmp_path, HF_ENDPOINT=hub.url, HF_HUB_OFFLINE="0")
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        looks = [path for path in hub.asked if "/revision/" in path]
        assert looks == ["api/models/tiny/target/revision/v1", "api/models/tiny/semi/revision/main"]
    results = tmp_path / "results" / "tiny"
    rows = read_summary(results)
    assert len(rows) == 2
    for row in rows:
        assert row["target_repository"] == "tiny/target"
        assert (row["target_revision"], row["target_commit"]) == ("v1", COMMIT)
        assert (row["drafter_repository"], row["drafter_revision"]) == ("tiny/semi", "main")
    metrics = json.loads((results / "points" / row["point_id"] / "metrics.json").read_text())
    assert metrics["facts"]["drafter_commit"] == COMMIT
    assert metrics["point"]["keys"]["target.path"] == "tiny/target@v1"
    again = _run([*words, "--dry-run"], tmp_path, HF_HUB_OFFLINE="1")
    assert "2 points: 2 finished, 0 to measure" in again.stdout, again.stderr
    folders = ["sweep", *tiny_overrides(tiny_zoo, tmp_path, "gamma=2,4"), "--dry-run"]
    assert "2 points: 2 finished, 0 to measure" in _run(folders, tmp_path).stdout


def _run(words: list[str], folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HF_HOME": str(folder / "hf"), **variables}
    command = [sys.executable, "-m", "dspark_bench", *words]
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, check=False, timeout=120
    )
