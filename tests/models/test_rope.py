"""Frequencies of every kind of rotary embedding, against transformers' definitions."""

import math
from typing import Any

import pytest
import torch
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from dspark_bench.core.errors import CheckpointError
from dspark_bench.models.rope import Rope, RopeKind, frequencies, rotations
from dspark_bench.models.rope_config import read_rope

_LLAMA3 = {"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
_YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}
KINDS: dict[str, dict[str, Any]] = {
    "linear": {"rope_type": "linear", "factor": 2.5},
    "llama 3.2": {**_LLAMA3, "original_max_position_embeddings": 8192},
    "llama3 of the whole length": _LLAMA3,
    "qwen 2.5": _YARN,
    "yarn, own waves": {**_YARN, "beta_fast": 20, "beta_slow": 2},
    "yarn, not truncated": {**_YARN, "truncate": False},
    "yarn, own factor": {**_YARN, "attention_factor": 1.3},
    "yarn, two scales": {**_YARN, "mscale": 0.707, "mscale_all_dim": 1.2},
    "yarn, one scale": {**_YARN, "mscale": 0.707},
    "yarn of a short context": {**_YARN, "original_max_position_embeddings": 8},
    "yarn of the whole length": {"rope_type": "yarn", "factor": 2.0},
    "yarn that shrinks": {**_YARN, "factor": 0.5},
}


@pytest.mark.parametrize("head_dim", [16, 128])
@pytest.mark.parametrize("kind", KINDS)
def test_frequencies_are_those_of_transformers(kind: str, head_dim: int) -> None:
    keys = {**KINDS[kind], "rope_theta": 500000.0}
    config = LlamaConfig(head_dim=head_dim, max_position_embeddings=1 << 17, rope_parameters=keys)
    wanted, factor = ROPE_INIT_FUNCTIONS[keys["rope_type"]](config)
    rope = read_rope({"rope_parameters": keys}, "", 1 << 17)
    torch.testing.assert_close(frequencies(rope, head_dim).float(), wanted, rtol=1e-5, atol=0)
    assert rope.attention_factor == pytest.approx(factor, rel=1e-12)


def test_a_rotation_by_hand() -> None:
    """Position 3 of the second of two pairs: base 100, so a tenth of a radian per position."""
    rope = Rope(100.0, RopeKind.LINEAR, factor=2.0, attention_factor=1.5)
    table = rotations(rope, 4, 5)
    assert table.shape == (5, 2)
    expected = 1.5 * complex(math.cos(0.15), math.sin(0.15))
    assert abs(complex(table[3, 1]) - expected) < 1e-6
    assert abs(complex(table[0, 0]) - 1.5) < 1e-6


def test_long_tables_are_seamless(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = rotations(Rope(1e4), 8, 20)
    monkeypatch.setattr("dspark_bench.models.rope.CHUNK_POSITIONS", 7)
    assert torch.equal(rotations(Rope(1e4), 8, 20), whole)


@pytest.mark.parametrize("kind", KINDS)
def test_old_files_say_it_in_other_keys(kind: str) -> None:
    keys = {**KINDS[kind], "rope_theta": 500000.0}
    new = read_rope({"rope_parameters": keys}, "", 1 << 17)
    named = {("type" if key == "rope_type" else key): value for key, value in KINDS[kind].items()}
    assert read_rope({"rope_scaling": named, "rope_theta": 500000.0}, "", 1 << 17) == new
    both = {"rope_parameters": keys, "rope_scaling": named, "rope_theta": 500000}
    assert read_rope(both, "", 1 << 17) == new


def test_without_a_word_it_is_the_plain_one() -> None:
    plain = Rope(10000.0)
    for said in ({}, {"rope_scaling": None}, {"rope_scaling": {}}, {"rope_theta": None}):
        assert read_rope(said, "", 64) == plain


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"rope_type": "dynamic", "factor": 2.0}, "rope_type is 'dynamic'; supported: 'default', "),
        ({"rope_type": ["yarn"]}, r"rope_type is \['yarn'\]; supported"),
        ({"type": "su"}, "type is 'su'; supported"),
        ({"rope_type": "yarn", "type": "linear", "factor": 2.0}, "rope_type and type differ"),
        ({"rope_type": "linear"}, "lacks the key 'factor'"),
        ({"rope_type": "linear", "factor": "4"}, "factor is '4'; valid: a number above 0"),
        ({"rope_type": "linear", "factor": 4, "truncate": True}, "'truncate'"),
        ({"rope_type": "default", "factor": 4}, "'factor'"),
        ({**_LLAMA3, "beta_fast": 32}, "'beta_fast'"),
        ({**_LLAMA3, "low_freq_factor": 4.0}, "high_freq_factor is 4; valid: above low_freq_fac"),
        ({**_LLAMA3, "high_freq_factor": None}, "lacks the key 'high_freq_factor'"),
        ({**_YARN, "truncate": 1}, "truncate is 1; valid: true or false"),
        ({**_YARN, "finetuned": True}, "'finetuned'"),
        ({**_YARN, "rope_theta": 1.0}, "rope_theta is 1; valid for 'yarn': above 1"),
        ({**_YARN, "original_max_position_embeddings": 0}, "original_max_position_embeddings is 0"),
        ({**_YARN, "mscale": 0, "mscale_all_dim": 1}, "mscale is 0"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(keys: dict[str, Any], says: str) -> None:
    with pytest.raises(CheckpointError, match=says):
        read_rope({"rope_parameters": keys}, "config.json", 1 << 17)


def test_two_places_that_differ_are_refused() -> None:
    two = {"rope_parameters": {"rope_type": "default"}, "rope_scaling": KINDS["linear"]}
    with pytest.raises(CheckpointError, match="rope_parameters and rope_scaling differ"):
        read_rope(two, "config.json", 64)
