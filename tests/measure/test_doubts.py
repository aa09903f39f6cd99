"""What a point says of itself, on the terminal and in its notes: cold starts, unlike outputs."""

import json
from pathlib import Path

import numpy as np
import pytest

from dspark_bench import cli
from dspark_bench.measure.point import doubts_of
from dspark_bench.metrics.arm_outputs import ArmOutputs, mean_difference
from tests.sweeps import tiny_overrides
from tests.tiny_models import TinyZoo


def test_a_cold_start_and_outputs_that_differ_are_doubtful() -> None:
    ends, lengths = np.zeros(8), np.arange(8.0)
    same = ArmOutputs(8, mean_difference(lengths, lengths), mean_difference(ends, ends))
    longer = lengths + 9 + lengths % 2
    shorter = ArmOutputs(8, mean_difference(lengths, longer), mean_difference(ends, ends))
    assert doubts_of(2, None) == doubts_of(2, same) == ()
    (cold,) = doubts_of(0, same)
    assert cold.startswith("measure.warmup_requests=0: ") and "flatters S" in cold
    assert doubts_of(1, shorter) == shorter.warnings() != ()


def test_they_are_said_on_the_terminal_and_kept(
    tiny_zoo: TinyZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = tiny_overrides(tiny_zoo, tmp_path, "measure.warmup_requests=0")
    assert cli.execute(["run", *overrides]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "warning: measure.warmup_requests=0: the first timed turn" in shown
    (path,) = tmp_path.glob("results/tiny/points/*/metrics.json")
    metrics = json.loads(path.read_text())
    assert any("measure.warmup_requests=0" in note for note in metrics["notes"])
    assert metrics["outputs"]["num_prompts"] == 2
