"""What a name of the trainer stands for is written as a checkpoint that its own drafter reads."""

from pathlib import Path

import pytest

from dspark_bench.models.config_values import read_json
from dspark_bench.models.draft_config import DraftConfig
from dspark_bench.models.draft_decoder import check_decoder_files
from dspark_bench.models.drafter_files import check_drafter_files, kind_of, read_drafter_config
from dspark_bench.training.drafter_trainer import save_drafter
from dspark_bench.training_runs.architectures import ARCHITECTURES, Sizes, build_trainable
from tests import tiny

DECODER = "draft_model"


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_name_is_read_back(name: str, tmp_path: Path) -> None:
    sizes = Sizes(max_gamma=16, num_layers=2, markov_rank=8, seed=0)
    drafter = build_trainable(name, tiny.frozen(), sizes)
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
