"""A sweep whose models are named as on the hub, as typed, in processes of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import constants

from dspark_bench import cli
from tests.hub import COMMIT, Hub, serving
from tests.sweeps import read_summary, tiny_overrides
from tests.tiny_models import TinyZoo

_SMALL = ("gamma=2", "engine.kernels=torch")


def test_a_sweep_by_name_is_found_again_offline_and_by_folder(
    tiny_zoo: TinyZoo,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    named = ["target.path=tiny/target@v1", "drafter.path=tiny/semi", *_SMALL]
    words = ["sweep", *tiny_overrides(tiny_zoo, tmp_path, *named)]
    with serving(Hub({"tiny/target": tiny_zoo.target, "tiny/semi": tiny_zoo.semi_ar})) as hub:
        variables = {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path / "hf")}
        done = subprocess.run(
            [sys.executable, "-m", "dspark_bench", *words],
            capture_output=True,
            text=True,
            env={**os.environ, **variables},
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        assert "speedup S over the paired baseline" in done.stdout
        looks = [path for path in hub.asked if "/revision/" in path]
        assert looks == ["api/models/tiny/target/revision/v1", "api/models/tiny/semi/revision/main"]
    results = tmp_path / "results" / "tiny"
    (row,) = read_summary(results)
    assert row["target_repository"] == "tiny/target"
    assert (row["target_revision"], row["target_commit"]) == ("v1", COMMIT)
    assert (row["drafter_repository"], row["drafter_revision"]) == ("tiny/semi", "main")
    metrics = json.loads((results / "points" / row["point_id"] / "metrics.json").read_text())
    assert metrics["facts"]["drafter_commit"] == COMMIT
    assert metrics["point"]["keys"]["target.path"] == "tiny/target@v1"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
    assert cli.execute([*words, "--dry-run"]) == 0  # offline: tests/conftest.py
    assert "1 point: 1 finished, 0 to measure" in capsys.readouterr().out
    folders = ["sweep", *tiny_overrides(tiny_zoo, tmp_path, *_SMALL), "--dry-run"]
    assert cli.execute(folders) == 0
    assert "1 point: 1 finished, 0 to measure" in capsys.readouterr().out
