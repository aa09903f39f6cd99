"""GGUF files as model directories: weights, tokenizer, chat template, and what is refused."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM
from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

from dspark_bench.core.errors import CheckpointError
from dspark_bench.core.model_cache import model_folder
from dspark_bench.models.attention import Span, plan_attention
from dspark_bench.models.checkpoint import read_tokenizer
from dspark_bench.models.config import read_model_config
from dspark_bench.models.gguf_convert import MANIFEST, convert_gguf, damage
from dspark_bench.models.gguf_file import halves_from_pairs
from dspark_bench.models.target import TargetModel
from dspark_bench.workloads.chat import chat_renderer
from dspark_bench.workloads.prompt import ChatFormat, Message, Prompt
from tests import tiny
from tests.tiny_gguf import llama, tokens, write_gguf

_KINDS = (GGMLQuantizationType.F32, GGMLQuantizationType.Q4_1, GGMLQuantizationType.Q8_0)
_TEXT = "hi hi 1234 <|im_start|>user\nwhy, it's so?<|im_end|>\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gguf")
    convert_gguf(write_gguf(folder / "tiny.gguf", llama()), folder / "out", {"name": "tiny"})
    return folder / "out"


def _logits(target: TargetModel, ids: torch.Tensor) -> torch.Tensor:
    cache = target.new_cache(1, len(ids))
    with torch.inference_mode():
        return target.forward(ids, plan_attention([Span(0, 0, len(ids))], cache), cache).logits


def _transformers_reading(path: Path) -> LlamaForCausalLM:
    """transformers' own reading of a GGUF file, its weights rounded to bf16, computed in fp32."""
    read = load_gguf_checkpoint(str(path))["config"]
    names = ("model_type", "_model_name_or_path")
    model = LlamaForCausalLM(LlamaConfig(**{k: v for k, v in read.items() if k not in names}))
    found = load_gguf_checkpoint(str(path), return_tensors=True, model_to_load=model)["tensors"]
    rounded = {name: values.bfloat16().float() for name, values in found.items()}
    left = model.load_state_dict(rounded, strict=False)
    assert not left.unexpected_keys
    assert left.missing_keys in ([], ["lm_head.weight"])
    return model.eval()


@pytest.mark.parametrize("kind", _KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("is_tied", [True, False])
def test_logits_equal_transformers_reading_of_the_same_file(
    kind: GGMLQuantizationType, is_tied: bool, tmp_path: Path
) -> None:
    path = write_gguf(tmp_path / "tiny.gguf", llama(is_tied), kind)
    convert_gguf(path, tmp_path / "out", {})
    ours = TargetModel.load(tmp_path / "out", torch.float32, tiny.CPU)
    reference = _transformers_reading(path)
    ids = torch.randint(0, len(tokens()), (40,), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = reference(ids[None]).logits[0]
    assert expected.std() > 0.1
    assert (_logits(ours, ids) - expected).abs().max() < 1e-4
    assert ours.config.tie_word_embeddings == is_tied


def test_weights_are_those_that_the_file_was_written_from(made: Path) -> None:
    """Without transformers' reader between: its permutation and ours could be wrong alike."""
    original = llama()
    read = AutoModelForCausalLM.from_pretrained(made, dtype=torch.float32)
    for (name, expected), found in zip(original.named_parameters(), read.parameters(), strict=True):
        assert torch.equal(found, expected.bfloat16().float()), name


def test_rows_in_pairs_become_halves_by_hand() -> None:
    """Two heads of four rows: r0 r2 r1 r3 in GGUF is r0 r1 r2 r3."""
    rows = np.array([[0], [2], [1], [3], [10], [12], [11], [13]], dtype=np.float32)
    ordered = halves_from_pairs(rows, 2)
    assert ordered.ravel().tolist() == [0, 1, 2, 3, 10, 11, 12, 13]


def test_the_shape_comes_from_the_files_metadata(made: Path) -> None:
    config = read_model_config(made)
    assert config.rope.theta == 100000.0
    assert config.rms_norm_eps == 1e-5
    assert (config.num_attention_heads, config.num_key_value_heads, config.head_dim) == (4, 2, 16)
    assert config.max_position_embeddings == 256
    assert json.loads((made / "config.json").read_text())["dtype"] == "bfloat16"


def test_every_token_that_ends_a_text_ends_one_here(made: Path) -> None:
    assert read_model_config(made).eos_token_ids == (2, 0)


def test_digits_are_read_one_by_one_and_special_tokens_whole(made: Path) -> None:
    tokenizer = read_tokenizer(made)
    found = tokenizer.encode(_TEXT, add_special_tokens=False)
    assert found.tokens[:7] == ["hi", "Ġhi", "Ġ", "1", "2", "3", "4"]  # "12" is a merge
    assert found.tokens.count("<|im_start|>") == 1
    assert tokenizer.decode(found.ids, skip_special_tokens=False) == _TEXT
    assert "<|im_end|>" not in tokenizer.decode(found.ids)


def test_gpt2s_split_joins_digits(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "tiny.gguf", llama(), split="gpt-2")
    convert_gguf(path, tmp_path / "out", {})
    assert "12" in read_tokenizer(tmp_path / "out").encode("1234").tokens


def test_transformers_reads_the_same_tokenizer_and_template(made: Path) -> None:
    theirs = AutoTokenizer.from_pretrained(made)
    ours = read_tokenizer(made)
    assert theirs(_TEXT)["input_ids"] == ours.encode(_TEXT).ids
    assert theirs.eos_token_id == 2
    messages = (Message("system", "be brief"), Message("user", "hi 12"))
    rendered = chat_renderer(ChatFormat(), made).render(Prompt("a", "user", "hi 12", messages))
    assert rendered == theirs.apply_chat_template(
        [{"role": m.role, "content": m.content} for m in messages],
        tokenize=False,
        add_generation_prompt=True,
    )


def test_damage_is_named(made: Path, tmp_path: Path) -> None:
    assert damage(made) is None
    path = write_gguf(tmp_path / "tiny.gguf", llama())
    out = tmp_path / "out"
    convert_gguf(path, out, {})
    with (out / "model.safetensors").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x55")
    assert damage(out) == "model.safetensors has changed"
    (out / "tokenizer.json").unlink()
    (out / "model.safetensors").unlink()
    assert damage(out) == "model.safetensors is missing"
    (out / MANIFEST).write_text("{")
    assert "manifest.json cannot be read" in str(damage(out))


@pytest.mark.parametrize(
    ("more", "tensor", "split", "told"),
    [
        ({"llama.rope.scaling.type": "yarn"}, None, "smollm", "llama.rope.scaling.type ('yarn')"),
        ({}, "rope_freqs.weight", "smollm", "'rope_freqs.weight' is not one of"),
        ({}, "blk.0.attn_q.bias", "smollm", "'blk.0.attn_q.bias' is not one of"),
        ({}, None, "llama-bpe", "tokenizer.ggml.pre is 'llama-bpe'; supported: 'smollm', 'gpt-2'"),
    ],
)
def test_what_is_not_computed_is_refused_by_name(
    more: dict[str, str], tensor: str | None, split: str, told: str, tmp_path: Path
) -> None:
    path = write_gguf(tmp_path / "a.gguf", llama(), split=split, more=more, extra_tensor=tensor)
    with pytest.raises(CheckpointError) as error:
        convert_gguf(path, tmp_path / "out", {})
    assert told in str(error.value)


def test_a_file_that_is_no_gguf_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(b"GGUF but not really, and far too short")
    with pytest.raises(CheckpointError, match=r"cannot read .*a\.gguf"):
        convert_gguf(tmp_path / "a.gguf", tmp_path / "out", {})


@pytest.mark.slow
@pytest.mark.skipif(not model_folder("smollm2").is_dir(), reason="fetch smollm2 brings the model")
def test_smollm2_equals_transformers_and_knows_paris() -> None:
    """The fetched model. SMOLLM2_GGUF=FILE, unpacked from the package, adds its own reading."""
    folder = model_folder("smollm2")
    assert damage(folder) is None
    ours = TargetModel.load(folder, torch.float32, tiny.CPU)
    file = os.environ.get("SMOLLM2_GGUF")
    reference = (
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        if file is None
        else _transformers_reading(Path(file))
    )
    question = (Message("user", "What is the capital of France?"),)
    text = chat_renderer(ChatFormat(), folder).render(Prompt("a", "user", "", question))
    tokenizer = read_tokenizer(folder)
    ids = torch.tensor(tokenizer.encode(text, add_special_tokens=False).ids)
    with torch.inference_mode():
        expected = reference(ids[None]).logits[0]
    assert (_logits(ours, ids) - expected).abs().max() < 1e-3 * expected.abs().max()
    for _ in range(8):
        ids = torch.cat([ids, _logits(ours, ids)[-1].argmax()[None]])
    assert "Paris" in tokenizer.decode(ids[-8:].tolist())
