"""What a name of the trainer stands for is written as a checkpoint that its own drafter reads."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dspark_bench.models.config_values import read_json
from dspark_bench.models.draft_config import DraftConfig
from dspark_bench.models.draft_decoder import check_decoder_files
from dspark_bench.models.drafter_files import check_drafter_files, kind_of, read_drafter_config
from dspark_bench.training.drafter_trainer import DrafterRecipe, save_drafter
from dspark_bench.training.prepared import PreparedData
from dspark_bench.training_runs.train_drafters import (
    ARCHITECTURES,
    DraftersJob,
    build_trainable,
)
from tests import tiny

DECODER = "draft_model"


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_name_is_read_back(name: str, tmp_path: Path) -> None:
    recipe = DrafterRecipe(num_steps=1)
    work: Any = PreparedData(tmp_path)
    job = DraftersJob((name,), tiny.target_dir(), work, tmp_path, tmp_path, recipe)
    job = replace(job, num_layers=2, markov_rank=8)
    drafter = build_trainable(name, tiny.frozen(), job)
    folder = tmp_path / name
    save_drafter(drafter, tiny.frozen(), tiny.target_dir(), folder, {})
    kind = kind_of(read_json(folder / "config.json"))
    if name == DECODER:
        assert kind is None
        check_decoder_files(folder, tiny.target().config, tiny.target_dir())
        return
    assert kind is not None
    assert name.startswith(kind.layout.drafter)
    config = read_drafter_config(folder, kind.layout)
    check_drafter_files(folder, config)
    assert config.max_gamma in (None, drafter.max_gamma)
    if isinstance(config, DraftConfig):
        assert config.target_layer_ids == drafter.feature_layers
