"""Models that transformers computes: their own logits, over ragged batches on this cache."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM

from dspark_bench.core.errors import CheckpointError, UsageError
from dspark_bench.core.features import FINAL_NORM
from dspark_bench.models.attention import plan_attention
from dspark_bench.models.hosted import attention as attention_module
from dspark_bench.models.hosted.attention import PASS, ProbePass, hosted_attention
from dspark_bench.models.hosted.shape import hosted_shape
from dspark_bench.models.hosted.target import HostedTarget
from dspark_bench.models.scoring import Scoring
from dspark_bench.models.spans import Span
from tests.models.hosted.families import FAMILIES, write_model
from tests.tiny_models import HIDDEN, LAYERS, VOCAB

_CPU = torch.device("cpu")


@pytest.fixture(scope="module", params=FAMILIES)
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[HostedTarget, Any]:
    """A target, and the same model with its own attention."""
    folder = write_model(tmp_path_factory.mktemp("hosted"), request.param)
    own = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
    return HostedTarget.load(folder, torch.float32, _CPU), own


def _tokens(length: int, seed: int) -> list[int]:
    make = torch.Generator().manual_seed(seed)
    return torch.randint(2, VOCAB, (length,), generator=make).tolist()


def _own(model: Any, tokens: Sequence[int]) -> Tensor:
    """[L, V] of a lone sequence."""
    with torch.inference_mode():
        logits: Tensor = model(input_ids=torch.tensor([tokens]), use_cache=False).logits[0]
    return logits


def _forward(target: HostedTarget, cache: Any, spans: list[Span], tokens: list[int]) -> Tensor:
    with torch.inference_mode():
        return target.forward(torch.tensor(tokens), plan_attention(spans, cache), cache).logits


def test_a_ragged_batch_has_the_logits_of_lone_sequences(pair: tuple[HostedTarget, Any]) -> None:
    """Prompts of three lengths in one pass, then chains of three lengths, one after a rollback."""
    target, own = pair
    cache = target.new_cache(4, 64)
    texts = [_tokens(length, seed) for seed, length in enumerate((23, 9, 15))]
    spans = [Span(row, 0, 12 - 3 * row) for row in range(3)]
    flat = [token for row, text in enumerate(texts) for token in text[: 12 - 3 * row]]
    found = _forward(target, cache, spans, flat)
    expected = [_own(own, text[: 12 - 3 * row]) for row, text in enumerate(texts)]
    torch.testing.assert_close(found, torch.cat(expected), atol=1e-4, rtol=1e-4)
    wrong = [Span(0, 12, 4), Span(2, 6, 2)]
    _forward(target, cache, wrong, [5, 6, 7, 8, 9, 10])  # rejected: overwritten below
    spans = [Span(0, 12, 11), Span(2, 6, 9)]
    found = _forward(target, cache, spans, [*texts[0][12:], *texts[2][6:]])
    expected = [_own(own, texts[0])[12:], _own(own, texts[2])[6:]]
    torch.testing.assert_close(found, torch.cat(expected), atol=1e-4, rtol=1e-4)


def test_a_tree_gives_each_node_what_its_path_gives_as_a_chain(
    pair: tuple[HostedTarget, Any],
) -> None:
    target, own = pair
    cache = target.new_cache(1, 64)
    prompt, nodes = _tokens(10, 3), _tokens(5, 4)
    parents = (-1, 0, 0, 2, 1)
    _forward(target, cache, [Span(0, 0, 10)], prompt)
    found = _forward(target, cache, [Span(0, 10, 5, parents=parents)], nodes)
    for node, path in enumerate(((0,), (0, 1), (0, 2), (0, 2, 3), (0, 1, 4))):
        expected = _own(own, [*prompt, *(nodes[place] for place in path)])[-1]
        torch.testing.assert_close(found[node], expected, atol=1e-4, rtol=1e-4)


def test_features_are_the_states_between_layers_and_rows_are_chosen(
    pair: tuple[HostedTarget, Any],
) -> None:
    target, own = pair
    tokens = _tokens(9, 5)
    cache = target.new_cache(1, 16)
    with torch.inference_mode():
        plan, rows = plan_attention([Span(0, 0, 9)], cache), torch.tensor([8, 2])
        output = target.forward(torch.tensor(tokens), plan, cache, rows, (2, -1, FINAL_NORM))
        states = own(input_ids=torch.tensor([tokens]), output_hidden_states=True).hidden_states
    torch.testing.assert_close(output.logits, _own(own, tokens)[[8, 2]], atol=1e-4, rtol=1e-4)
    expected = torch.cat([states[3][0], states[0][0], states[-1][0]], dim=-1)
    torch.testing.assert_close(output.features, expected, atol=1e-4, rtol=1e-4)


def test_weights_of_a_step_are_counted_once_and_of_experts_those_in_use(
    pair: tuple[HostedTarget, Any],
) -> None:
    target, own = pair
    experts = sum(w.nbytes for name, w in own.named_parameters() if ".experts." in name)
    others = sum(w.nbytes for name, w in own.named_parameters() if ".experts." not in name)
    is_tied = own.config.tie_word_embeddings
    tables = 0 if is_tied else target.embed.nbytes
    assert target.num_weight_bytes == others - tables + experts // 2
    assert not target.is_batch_invariant and target.kernel_choice.name == "torch"


def _refused(folder: Path, family: str, match: str, **more: Any) -> None:
    write_model(folder, family, **more)
    with pytest.raises(CheckpointError, match=match):
        HostedTarget.load(folder, torch.float32, _CPU)


def test_a_layer_that_is_computed_otherwise_is_found_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here by leaving out the soft cap, as a model might that asks for it in another way."""
    real = attention_module._read

    def deaf(module: nn.Module, settings: dict[str, Any]) -> tuple[Scoring, int | None]:
        scoring, window = real(module, settings)
        return Scoring(scoring.scale), window

    monkeypatch.setattr(attention_module, "_read", deaf)
    _refused(tmp_path, "gemma2", "gives other logits with this project's attention")


@pytest.mark.parametrize(
    ("family", "more"),
    [
        ("olmoe", {"num_experts": 4, "num_experts_per_tok": 2, "sliding_window": 100}),
        ("bart", {"d_model": HIDDEN, "decoder_layers": LAYERS, "decoder_attention_heads": 2}),
    ],
)
def test_windows_and_positions_that_are_kept_elsewhere_are_found_at_once(
    tmp_path: Path, family: str, more: dict[str, Any]
) -> None:
    """olmoe names a window that it does not mask by, beyond any short text; bart counts positions
    by itself.
    """
    _refused(tmp_path, family, "gives other logits with this project's attention", **more)


def test_what_attention_is_asked_for_and_does_not_know_is_refused() -> None:
    module = nn.Linear(1, 1)
    module.layer_idx = 0  # type: ignore[assignment]
    q, k = torch.zeros(1, 2, 3, 16), torch.zeros(1, 1, 3, 16)
    own = {PASS: ProbePass(), "dropout": 0.0, "position_ids": q, "output_router_logits": True}
    out, weights = hosted_attention(module, q, k, k, None, use_cache=False, **own)
    assert out.shape == (1, 3, 2, 16) and weights is None
    with pytest.raises(CheckpointError, match="asks attention for position_bias, which is not"):
        hosted_attention(module, q, k, k, None, position_bias=q, **own)
    with pytest.raises(CheckpointError, match="drops out weights"):
        hosted_attention(module, q, k, k, None, **{**own, "dropout": 0.1})
    with pytest.raises(CheckpointError, match="under a mask of its own"):
        hosted_attention(module, q, k, k, q, **own)
    with pytest.raises(CheckpointError, match="keys of 16 and values of 8"):
        hosted_attention(module, q, k, k[..., :8], None, **own)
    with pytest.raises(CheckpointError, match="does not hand its keywords to attention"):
        hosted_attention(module, q, k, k, None)
    module.is_causal = False  # type: ignore[assignment]
    with pytest.raises(CheckpointError, match="is not causal"):
        hosted_attention(module, q, k, k, None, **own)


@pytest.mark.parametrize(
    ("family", "more", "match"),
    [
        ("mamba", {}, "mamba has layers of the type linear_attention"),
        (
            "qwen3_next",
            {"num_hidden_layers": 4, "layer_types": ["linear_attention", "full_attention"] * 2},
            "layers of the type linear_attention",
        ),
        ("gemma3n_text", {"num_kv_shared_layers": 2}, "share keys and values"),
    ],
)
def test_what_keeps_other_state_than_keys_and_values_is_refused_by_name(
    tmp_path: Path, family: str, more: dict[str, Any], match: str
) -> None:
    AutoConfig.for_model(family, **more).save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match=match):
        hosted_shape(tmp_path)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ('{"model_type": "t5"}', "model_type is 't5', no language model of this transformers"),
        ('{"model_type": "new", "auto_map": {"AutoModel": "x"}}', "code of its own, auto_map"),
        ('{"model_type": "olmo2", "quantization_config": {}}', "quantised weights"),
        ('{"model_type": "olmo2", "eos_token_id": 999999}', "eos_token_id is 999999"),
    ],
)
def test_configurations_that_cannot_be_targets(tmp_path: Path, content: str, match: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(CheckpointError, match=match):
        hosted_shape(tmp_path)


def test_positions_end_where_rotation_would_depend_on_other_requests(tmp_path: Path) -> None:
    rope = {
        "rope_type": "dynamic",
        "factor": 4.0,
        "rope_theta": 10000.0,
        "original_max_position_embeddings": 32,
    }
    folder = write_model(tmp_path, "olmo2", rope_parameters=rope)
    target = HostedTarget.load(folder, torch.float32, _CPU)
    assert target.config.max_position_embeddings == 32
    with pytest.raises(UsageError, match="max_len is 33; valid for this target: 1 to 32"):
        target.new_cache(1, 33)


def test_a_tensor_that_is_missing_is_named_and_never_made_up(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = write_model(tmp_path, "olmo2")
    tensors = load_file(folder / "model.safetensors")
    lost = tensors.pop("model.layers.1.mlp.up_proj.weight")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"lacks model[.]layers[.]1[.]mlp[.]up_proj[.]weight"):
        HostedTarget.load(folder, torch.float32, _CPU)
    tensors |= {"model.layers.1.mlp.up_proj.weight": lost, "model.extra": lost.clone()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"nobody reads, model[.]extra"):
        HostedTarget.load(folder, torch.float32, _CPU)
