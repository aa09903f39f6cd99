"""One sound sweep for all tests of this folder."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console

from dspark_bench.commands.sweep import run_sweep
from dspark_bench.commands.sweep_plan import SweepRequest
from dspark_bench.evidence.faults.inspection import counts, metric_keys
from dspark_bench.evidence.faults.reference import Reference
from dspark_bench.evidence.faults.sweeps import NAME, Bench, Start
from tests.evidence.faults.forked import start_fork
from tests.sweeps import tiny_overrides
from tests.tiny_models import TinyZoo

_DURATION_S = 1.0
"""About what a fork of a process that has everything loaded takes."""


def tiny_bench(zoo: TinyZoo, work: Path, start: Start) -> Bench:
    """Sweeps of two points of tiny models."""
    kept = [o for o in tiny_overrides(zoo, work) if not o.startswith(("name=", "results_dir="))]
    return Bench(work, start, (*kept, "gamma=1,2"))


@dataclass(frozen=True)
class Sound:
    """A bench, an uninterrupted sweep's folder, and what others must come to."""

    bench: Bench
    folder: Path
    reference: Reference


@pytest.fixture(scope="module")
def sound(tiny_zoo: TinyZoo, tmp_path_factory: pytest.TempPathFactory) -> Sound:
    work = tmp_path_factory.mktemp("faults")
    bench = tiny_bench(tiny_zoo, work, start_fork)
    overrides = (*bench.sweep, f"results_dir={work / 'sound'}", f"name={NAME}")
    run_sweep(SweepRequest(overrides), Console(quiet=True))  # here, so that forks import nothing
    folder = work / "sound" / NAME
    return Sound(bench, folder, Reference(counts(folder), metric_keys(folder), _DURATION_S))
