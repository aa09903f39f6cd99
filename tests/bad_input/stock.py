"""What every box holds before a case breaks something: sound files of every kind, made once."""

import contextlib
import io
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from dspark_bench import cli
from dspark_bench.gate.baseline_file import write_baseline
from dspark_bench.gate.points import read_points
from tests.bad_input.case import overridden
from tests.gate.folders import records, write_point
from tests.tiny_models import write_prompts, write_tiny_zoo

COSTS = {
    "surface": {
        "requests": [1, 4],
        "widths": [0, 2],
        "step_s": [[0.01, 0.012], [0.02, 0.03]],
        "slots": [1, 2],
        "draft_s": [[0.001, 0.002], [0.002, 0.003]],
        "absorb_s": [0.0, 0.001],
        "uneven_s": [0.0, 0.0],
    }
}
TRACE = [{"timestamp": 10 * n, "input_length": 6, "output_length": 4} for n in range(5)]
CALIBRATION = {
    "schema_version": 1,
    "calibrations": [
        {
            "sampling": {"temperature": 1.0, "top_k": 0, "top_p": 1.0},
            "target_hash": "0" * 16,
            "drafter_hash": "0" * 16,
            "temperatures": [1.0, 1.5],
        }
    ],
}


def write_stock(folder: Path) -> None:
    """Models, prompts, a trace, costs, a calibration, a baseline, and results of three kinds."""
    write_tiny_zoo(folder)
    write_prompts(
        folder / "prompts.jsonl", [f"Question: {n} words, {n * n} lines" for n in range(15)]
    )
    lines = [json.dumps(row) for row in TRACE]
    (folder / "trace.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "costs.json").write_text(json.dumps(COSTS), encoding="utf-8")
    (folder / "calibration.json").write_text(json.dumps(CALIBRATION), encoding="utf-8")
    write_point(folder / "results" / "gate", "0123456789abcdef", records())
    write_baseline(folder / "baseline.json", read_points(folder / "results" / "gate"))
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()), _alone():
        assert cli.execute(overridden("sweep", "acceptance=replay", "name=done")) == 0


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """A temporary folder of one's own: timed runs elsewhere on this machine do not count here."""
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory() as name:
        tempfile.tempdir = name
        try:
            yield
        finally:
            tempfile.tempdir = before
