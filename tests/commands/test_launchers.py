"""Blocks that a launcher sends to other processes come to the same points."""

import importlib.util
from pathlib import Path

import pytest
from rich.console import Console

from dspark_bench.commands.sweep import run_sweep
from dspark_bench.commands.sweep_plan import SweepRequest
from dspark_bench.evidence.faults.inspection import counts, problems
from dspark_bench.reading.rows import Row
from tests.sweeps import tiny_overrides
from tests.tiny_models import TinyZoo

_PLUG_IN = "hydra_plugins.hydra_joblib_launcher"


def _has_plug_in() -> bool:
    try:
        return importlib.util.find_spec(_PLUG_IN) is not None
    except ModuleNotFoundError:
        return False


def _sweep(zoo: TinyZoo, folder: Path, name: str, *more: str) -> tuple[Path, list[Row]]:
    """Two blocks of two arms each."""
    small = ("gamma=1,2", "seed=0,1", "max_new_tokens=4", "measure.calibration_requests=0")
    overrides = tiny_overrides(zoo, folder, *small, "measure.agreement_requests=0", *more)
    kept = [o for o in overrides if not o.startswith("name=")]
    rows = run_sweep(SweepRequest((*kept, f"name={name}")), Console(quiet=True))
    return folder / "results" / name, rows


@pytest.mark.slow
@pytest.mark.skipif(not _has_plug_in(), reason="hydra-joblib-launcher is not installed")
def test_joblib_gives_the_points_of_the_basic_launcher(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    """Two workers take a block each. Their timed runs overlap, which is marked as ever; what is
    drafted, accepted and emitted is the same, cycle by cycle, and so are the blocks.
    """
    plain, expected = _sweep(tiny_zoo, tmp_path, "plain")
    jobs = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    sent, rows = _sweep(tiny_zoo, tmp_path, "sent", *jobs)
    assert problems(sent) == []
    blocks = [{row["point_id"]: row["block_id"] for row in found} for found in (expected, rows)]
    assert blocks[0] == blocks[1] and len(set(blocks[1].values())) == 2
    assert {row["status"] for row in rows} <= {"finished", "timing_invalid"}
    found = counts(sent)
    assert len(found) == 4 and found == counts(plain)
