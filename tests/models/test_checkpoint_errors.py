import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import Qwen3ForCausalLM

from dspark_bench.core.errors import CheckpointError, UsageError
from dspark_bench.models import checkpoint
from dspark_bench.models.attention import Span, plan_attention
from dspark_bench.models.checkpoint import (
    content_hash,
    read_tensors,
    read_tokenizer,
)
from dspark_bench.models.target import TargetModel
from tests import tiny


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny.target_dir(), tmp_path / "copy"))


def load(path: Path) -> TargetModel:
    return TargetModel.load(path, torch.float32, tiny.CPU)


def edit(path: Path, **changes: object) -> None:
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, **changes}))


def test_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no checkpoint directory at .*nowhere"):
        load(tmp_path / "nowhere")


def test_truncated_weights_are_named(copy: Path) -> None:
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"cannot read weights .*model\.safetensors"):
        load(copy)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "gemma2"}, "model_type is 'gemma2'; supported: 'qwen3', 'qwen2', 'llama'"),
        ({"hidden_act": "gelu"}, "hidden_act is 'gelu'"),
        ({"attention_bias": True}, r"lacks the tensor 'model\.layers\.0\.self_attn\.q_proj\.bias'"),
        ({"rope_parameters": {"rope_type": "dynamic"}}, "rope_type is 'dynamic'"),
        ({"vocab_size": 63}, r"shape \(64, 32\); expected \(63, 32\)"),
        ({"num_hidden_layers": 5}, r"lacks the tensor 'model\.layers\.4"),
        ({"hidden_size": "wide"}, "hidden_size is 'wide'; valid: a whole number"),
    ],
)
def test_unfit_configs_are_explained(copy: Path, changes: dict[str, object], message: str) -> None:
    edit(copy, **changes)
    with pytest.raises(CheckpointError, match=message):
        load(copy)


def test_broken_json_is_named(copy: Path) -> None:
    (copy / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="not valid JSON"):
        load(copy)


def test_missing_tokenizer_is_named(copy: Path) -> None:
    with pytest.raises(CheckpointError, match=r"tokenizer\.json"):
        read_tokenizer(copy)


def test_hash_follows_content_not_place(copy: Path) -> None:
    assert content_hash(copy) == content_hash(tiny.target_dir())
    edit(copy, rms_norm_eps=1e-5)
    assert content_hash(copy) != content_hash(tiny.target_dir())


def test_sharded_weights_are_read(tmp_path: Path) -> None:
    tiny.qwen().save_pretrained(tmp_path, max_shard_size="20KB")
    assert (tmp_path / "model.safetensors.index.json").exists()
    assert torch.equal(load(tmp_path).embed, tiny.target().embed)


def test_the_hash_knows_what_ends_an_output(copy: Path) -> None:
    before = content_hash(copy)
    (copy / "generation_config.json").write_text(json.dumps({"eos_token_id": [tiny.EOS]}))
    assert content_hash(copy) == before
    (copy / "generation_config.json").write_text(json.dumps({"eos_token_id": [tiny.EOS, 5]}))
    assert content_hash(copy) != before


def stored(path: Path) -> dict[str, Tensor]:
    return dict(read_tensors(path, torch.float32, tiny.CPU))


def store(path: Path, tensors: dict[str, Tensor]) -> None:
    save_file({k: v.contiguous() for k, v in tensors.items()}, path / "model.safetensors")


def logits(model: TargetModel) -> Tensor:
    cache = model.new_cache(1, 16)
    with torch.inference_mode():
        plan = plan_attention([Span(0, 0, 8)], cache)
        return model.forward(torch.arange(1, 9), plan, cache).logits


def test_an_untied_head_that_is_missing_is_refused(tmp_path: Path) -> None:
    path = Path(shutil.copytree(tiny.target_dir(False), tmp_path / "untied"))
    tensors = stored(path)
    del tensors["lm_head.weight"]
    store(path, tensors)
    with pytest.raises(CheckpointError, match=r"lacks the tensor 'lm_head\.weight'.*tie_word_emb"):
        load(path)


def test_a_head_that_repeats_a_tied_embedding_is_shared(copy: Path) -> None:
    tensors = stored(copy)
    store(copy, {**tensors, "lm_head.weight": tensors["model.embed_tokens.weight"].clone()})
    model = load(copy)
    assert model.head_weight is model.embed
    assert model.notes == ()


def test_a_head_of_its_own_is_used_though_the_config_ties_it(copy: Path) -> None:
    """As transformers decides it, and noted."""
    tensors = stored(copy)
    other = torch.randn(tiny.VOCAB, 32, generator=torch.Generator().manual_seed(8))
    store(copy, {**tensors, "lm_head.weight": other})
    model = load(copy)
    (note,) = model.notes
    assert "tie_word_embeddings=true" in note and "lm_head.weight" in note
    reference = Qwen3ForCausalLM.from_pretrained(copy)
    with torch.inference_mode():
        wanted = reference(torch.arange(1, 9).unsqueeze(0)).logits[0]
    assert (logits(model) - wanted).abs().max() < 1e-4
    assert (logits(model) - logits(tiny.target())).abs().max() > 0.1


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        ({"lm_head.bias": torch.ones(tiny.VOCAB)}, "lm_head.bias"),
        ({"model.layers.0.self_attn.q_proj.bias": torch.ones(32)}, "q_proj.bias"),
        ({"model.layers.0.self_attn.q_proj.weight_scale": torch.ones(1)}, "weight_scale"),
        ({"score.weight": torch.ones(1, 32)}, "score.weight"),
        ({"a": torch.ones(1), "b": torch.ones(1)}, "'a' and 1 more"),
    ],
)
def test_a_tensor_that_nobody_reads_is_named(
    copy: Path, extra: dict[str, Tensor], says: str
) -> None:
    store(copy, stored(copy) | extra)
    with pytest.raises(CheckpointError, match=r"not asked for by its config\.json") as caught:
        load(copy)
    assert says in str(caught.value)


def test_a_rotary_table_beside_the_weights_is_computed_anyway(copy: Path) -> None:
    store(copy, stored(copy) | {"model.rotary_emb.inv_freq": torch.ones(4)})
    assert torch.equal(logits(load(copy)), logits(tiny.target()))


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.int8])
def test_quantised_numbers_are_refused(copy: Path, dtype: torch.dtype) -> None:
    name = "model.layers.0.mlp.up_proj.weight"
    tensors = stored(copy)
    store(copy, tensors | {name: tensors[name].to(dtype)})
    with pytest.raises(CheckpointError) as caught:
        load(copy)
    assert name in str(caught.value) and str(dtype).removeprefix("torch.") in str(caught.value)


def test_every_tensor_is_looked_at_once_for_numbers_that_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many files hold them."""
    tiny.qwen().save_pretrained(tmp_path, max_shard_size="8KB")
    files = sorted(tmp_path.glob("*.safetensors"))
    looked: list[int] = []
    finite = torch.isfinite

    def counted(tensor: Tensor) -> Tensor:
        looked.append(tensor.numel())
        return finite(tensor)

    monkeypatch.setattr(checkpoint.torch, "isfinite", counted)
    tensors = read_tensors(tmp_path, torch.float32, tiny.CPU)
    assert len(files) > 3
    assert len(looked) == len(tensors)
    assert sum(looked) == sum(tensor.numel() for tensor in tensors.values())
    last = load_file(files[-1])
    name = sorted(last)[-1]
    last[name].view(-1)[-1] = torch.nan
    save_file(last, files[-1], metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=f"{files[-1].name}: tensor '{name}' holds NaN"):
        read_tensors(tmp_path, torch.float32, tiny.CPU)


def test_a_tensor_in_two_files_is_refused(tmp_path: Path) -> None:
    tiny.qwen().save_pretrained(tmp_path, max_shard_size="20KB")
    first, second = sorted(tmp_path.glob("*.safetensors"))[:2]
    both = load_file(second) | dict([next(iter(load_file(first).items()))])
    save_file(both, second, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="is in another file of its folder too"):
        read_tensors(tmp_path, torch.float32, tiny.CPU)


@pytest.mark.parametrize("max_len", [0, 257])
def test_more_positions_than_the_target_has_are_refused(max_len: int) -> None:
    with pytest.raises(UsageError, match=rf"max_len is {max_len}; valid for this target: 1 to 256"):
        tiny.serve(tiny.requests(1), None, max_len=max_len)


def test_bfloat16_needs_no_special_instructions(copy: Path) -> None:
    """The packed product is for processors that have them."""
    model = TargetModel.load(copy, torch.bfloat16, tiny.CPU)
    exact = logits(tiny.target())
    assert (logits(model) - exact).abs().max() < 0.1 * exact.abs().max()
