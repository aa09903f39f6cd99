"""Trains a target in two stages: a shallow one from nothing, then a deeper one grown from it.

The deep stage continues from the shallow stage's weights on other batches. Both resume; a finished
stage is skipped.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from dspark_bench.training.corpus import CorpusConfig
from dspark_bench.training.target_recipe import TargetRecipe, TargetShape
from dspark_bench.training.target_trainer import TargetJob, train_target

SHALLOW = TargetRecipe(TargetShape(num_hidden_layers=14), seed=0)
DEEP = TargetRecipe(TargetShape(num_hidden_layers=24), seed=1)


@dataclass(frozen=True)
class StagedJob:
    """Both stages. minutes: training time of both; shallow_share of it goes to the first."""

    work: Path
    out: Path
    minutes: float
    shallow: TargetRecipe = SHALLOW
    deep: TargetRecipe = DEEP
    corpus: CorpusConfig = CorpusConfig()
    shallow_share: float = 0.45
    is_compiled: bool = True

    @property
    def data(self) -> Path:
        """Folder of the prepared data."""
        return self.work / "data"


def train_in_stages(job: StagedJob, console: Console) -> Path:
    """Train what is missing; returns `job.out`, the deep target."""
    shallow_out = job.work / "shallow_target"
    if not _is_finished(shallow_out):
        minutes = job.minutes * job.shallow_share
        first = TargetJob(
            job.work / "shallow",
            shallow_out,
            job.shallow,
            job.corpus,
            max_minutes=minutes,
            data=job.data,
            is_compiled=job.is_compiled,
        )
        train_target(first, console)
    if not _is_finished(job.out):
        second = TargetJob(
            job.work / "deep",
            job.out,
            job.deep,
            job.corpus,
            max_minutes=job.minutes * (1 - job.shallow_share),
            data=job.data,
            is_compiled=job.is_compiled,
            grow_from=shallow_out,
        )
        train_target(second, console)
    return job.out


def _is_finished(directory: Path) -> bool:
    """The manifest is written last."""
    return (directory / "manifest.json").exists()
