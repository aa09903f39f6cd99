"""Sweeps and `verify` as typed, on targets of other families, with drafters made for them."""

import json
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

from dspark_bench import cli
from tests import tiny_models
from tests.sweeps import read_summary, tiny_overrides
from tests.tiny_models import TinyZoo, tiny_tokenizer

pytestmark = pytest.mark.usefixtures("few_draws")

SHAPE = {
    "vocab_size": tiny_models.VOCAB + 13,
    "hidden_size": tiny_models.HIDDEN,
    "intermediate_size": tiny_models.INTERMEDIATE,
    "num_hidden_layers": tiny_models.LAYERS,
    "num_attention_heads": tiny_models.HEADS,
    "num_key_value_heads": tiny_models.KV_HEADS,
    "max_position_embeddings": tiny_models.MAX_POSITIONS,
    "eos_token_id": tiny_models.EOS_TOKEN,
}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}


def write(folder: Path, family: str) -> None:
    """A random target whose vocabulary is padded beyond its tokenizer's; in shards."""
    torch.manual_seed(0)
    if family == "llama":
        model = LlamaForCausalLM(LlamaConfig(**SHAPE, rope_parameters=LLAMA3))
    else:
        model = MistralForCausalLM(MistralConfig(**SHAPE, sliding_window=9))
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(0, 0.15) if weight.dim() > 1 else weight.uniform_(0.5, 1.5)
    model.save_pretrained(folder, max_shard_size="40KB")
    tiny_tokenizer().save(str(folder / "tokenizer.json"))


@pytest.fixture(scope="module", params=["llama", "mistral"])
def zoo(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TinyZoo:
    folder = tmp_path_factory.mktemp(request.param)
    zoo = TinyZoo(folder / "target", folder / "semi_ar", folder / "parallel", folder / "ar")
    write(zoo.target, request.param)
    tiny_models.write_block_drafter(
        zoo.semi_ar, tiny_models.RANK, vocab_size=tiny_models.VOCAB + 13
    )
    return zoo


def test_a_sweep_runs_and_is_exact(zoo: TinyZoo, tmp_path: Path) -> None:
    overrides = tiny_overrides(zoo, tmp_path, "gamma=2,4", "temperature=0")
    assert cli.execute(["sweep", *overrides]) == 0
    rows = read_summary(tmp_path / "results" / "tiny")
    assert sorted(row["gamma"] for row in rows) == ["2", "4"]
    assert [row["kernels"] for row in rows] == ["compiled"] * 2
    assert [row["lossless"] for row in rows] == ["true"] * 2


def test_torch_s_operations_serve_too(zoo: TinyZoo, tmp_path: Path) -> None:
    overrides = tiny_overrides(zoo, tmp_path, "gamma=4", "engine.kernels=torch")
    assert cli.execute(["sweep", *overrides]) == 0
    (row,) = read_summary(tmp_path / "results" / "tiny")
    assert row["kernels"] == "torch"
    assert float(row["accepted_length"]) > 1.1


def test_verify_passes(zoo: TinyZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.execute(["verify", *tiny_overrides(zoo, tmp_path, "gamma=2")]) == 0
    assert "emitted law" in capsys.readouterr().out


def test_a_drafter_of_another_family_s_shape_is_refused(
    zoo: TinyZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = zoo.semi_ar / "config.json"
    kept = path.read_text()
    path.write_text(json.dumps(json.loads(kept) | {"model_type": "llama"}))
    try:
        assert cli.execute(["sweep", *tiny_overrides(zoo, tmp_path, "gamma=2")]) == 2
    finally:
        path.write_text(kept)
    assert "model_type is 'llama'; valid: 'qwen3'" in " ".join(capsys.readouterr().err.split())
