"""Sweeps and `verify` as typed, with drafters in the formats of others."""

from pathlib import Path

import pytest

from dspark_bench import cli
from tests import tiny_formats, tiny_models
from tests.sweeps import read_summary, tiny_overrides
from tests.tiny_models import TinyZoo, tiny_tokenizer

pytestmark = pytest.mark.usefixtures("few_draws")

VOCAB = tiny_models.VOCAB


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("target")
    tiny_formats.random_llama(VOCAB, scale=0.1).save_pretrained(folder)
    tiny_tokenizer().save(str(folder / "tokenizer.json"))
    return folder


def overrides(target: Path, drafter: Path, option: str, folder: Path, *more: str) -> list[str]:
    zoo = TinyZoo(target, drafter, drafter, drafter)
    return tiny_overrides(zoo, folder, f"drafter={option}", f"drafter.path={drafter}", *more)


@pytest.fixture(scope="module")
def eagle3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In SafeAILab's format: half of the vocabulary."""
    tensors = tiny_formats.eagle3_tensors(VOCAB, VOCAB // 2)
    tensors["lm_head.weight"] *= 0.2
    config = tiny_formats.eagle3_config(VOCAB, VOCAB // 2)
    return tiny_formats.write(tmp_path_factory.mktemp("eagle3"), tensors, config)


@pytest.mark.parametrize("temperature", [0, 1])
def test_an_eagle3_head_runs_a_sweep(
    target: Path,
    eagle3: Path,
    tmp_path: Path,
    temperature: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """No trained length in its files: any gamma is taken, and said so. Half of the vocabulary is
    never drafted, and what is sampled is still the target's.
    """
    more = ("gamma=2,20", f"temperature={temperature}", "measure.law_tokens=500")
    assert cli.execute(["sweep", *overrides(target, eagle3, "ar", tmp_path, *more)]) == 0
    rows = read_summary(tmp_path / "results" / "tiny")
    assert sorted(row["gamma"] for row in rows) == ["2", "20"]
    assert [row["kernels"] for row in rows] == ["compiled"] * 2
    assert [row["gamma_trained"] for row in rows] == [""] * 2
    assert [row["drafter_layers"] for row in rows] == ["1"] * 2
    assert [row["lossless"] for row in rows] == ["true"] * 2
    assert "so any gamma is taken" in " ".join(capsys.readouterr().out.split())
    if temperature:
        assert float(rows[0]["accepted_length"]) > 1.1


@pytest.fixture(scope="module")
def dspark(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In speculators' format: slots in place, half of the vocabulary."""
    tensors = tiny_formats.block_tensors(drafted=VOCAB // 2, rank=8, vocab=VOCAB)
    tensors["lm_head.weight"] *= 0.2
    tensors["markov_head.markov_w2.weight"] *= 0.2
    config = tiny_formats.speculators_config(
        "dspark",
        "qwen3",
        2,
        aux_hidden_state_layer_ids=[2, 7],
        block_size=5,
        confidence_head_with_markov=True,
        draft_vocab_size=VOCAB // 2,
        enable_confidence_head=True,
        markov_rank=8,
        mask_token_id=1,
        sample_from_anchor=False,
        transformer_layer_config=tiny_formats.layer_config("qwen3", 2, VOCAB),
    )
    return tiny_formats.write(tmp_path_factory.mktemp("dspark"), tensors, config)


def test_slots_in_place_run_a_sweep(target: Path, dspark: Path, tmp_path: Path) -> None:
    more = ("gamma=4", "measure.law_tokens=500")
    assert cli.execute(["sweep", *overrides(target, dspark, "semi_ar", tmp_path, *more)]) == 0
    (row,) = read_summary(tmp_path / "results" / "tiny")
    assert (row["gamma_trained"], row["drafter_layers"]) == ("4", "2")
    assert (row["drafter_head"], row["lossless"]) == ("vanilla", "true")
    assert float(row["accepted_length"]) > 1.1


def test_a_block_drafts_no_more_than_its_slots(
    target: Path, dspark: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.execute(["sweep", *overrides(target, dspark, "semi_ar", tmp_path, "gamma=5")]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "gamma is 5; valid for drafter=semi_ar: 1 to 4" in said
