"""What a name of the trainer stands for is written as a checkpoint that its own drafter reads."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dspark_bench.models.draft_formats.reading import read_any_draft_config
from dspark_bench.models.expected_tensors import check_drafter_headers
from dspark_bench.training.drafter_trainer import DrafterRecipe, save_drafter
from dspark_bench.training.prepared import PreparedData
from dspark_bench.training_runs.train_drafters import (
    ARCHITECTURES,
    DraftersJob,
    build_trainable,
)
from tests import tiny

READ_BY = {"parallel": "parallel", "ar": "ar", "eagle": "eagle", "jetspec": "jetspec"}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_name_is_read_back(name: str, tmp_path: Path) -> None:
    recipe = DrafterRecipe(num_steps=1)
    work: Any = PreparedData(tmp_path)
    job = DraftersJob((name,), tiny.target_dir(), work, tmp_path, tmp_path, recipe)
    job = replace(job, num_layers=2, markov_rank=8)
    drafter = build_trainable(name, tiny.frozen(), job)
    save_drafter(drafter, tiny.frozen(), tiny.target_dir(), tmp_path / name, {})
    config = read_any_draft_config(tmp_path / name)
    assert config is not None
    check_drafter_headers(tmp_path / name, config)
    assert config.layout.drafter == READ_BY.get(name, "semi_ar")
    assert config.max_gamma in (None, job.max_gamma)
    assert config.target_layer_ids == drafter.feature_layers
