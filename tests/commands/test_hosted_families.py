"""Sweeps and `verify` as typed, on targets that transformers computes."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from transformers import AutoModelForCausalLM

from dspark_bench import cli
from dspark_bench.models.checkpoint import read_tokenizer
from tests.models.hosted.families import write_model
from tests.sweeps import read_summary, tiny_overrides
from tests.tiny_models import EOS_TOKEN, TinyZoo

pytestmark = pytest.mark.usefixtures("few_draws")


def _requests(folder: Path) -> pd.DataFrame:
    (point,) = (folder / "results" / "tiny" / "points").iterdir()
    rows = pd.read_parquet(point / "requests.parquet")
    return rows[~rows["is_warmup"]]


@pytest.mark.parametrize("family", ["gemma2", pytest.param("gpt_oss", marks=pytest.mark.slow)])
def test_greedy_output_is_that_of_generate(tiny_zoo: TinyZoo, tmp_path: Path, family: str) -> None:
    """Both arms, whatever the drafter proposes, two requests at once."""
    target = write_model(tmp_path / family, family)
    more = (f"target.path={target}", "temperature=0", "max_new_tokens=24", "load.concurrency=2")
    assert cli.execute(["sweep", *tiny_overrides(tiny_zoo, tmp_path, "gamma=4", *more)]) == 0
    (row,) = read_summary(tmp_path / "results" / "tiny")
    assert row["kernels"] == "torch" and row["lossless_evidence"] in ("exact", "near_tie")
    model = AutoModelForCausalLM.from_pretrained(target).eval()
    prompts = pd.read_json(tmp_path / "prompts.jsonl", lines=True)
    tokenizer = read_tokenizer(target)
    expected = set()
    for text in prompts.iloc[:, 0]:
        tokens = torch.tensor([tokenizer.encode(str(text)).ids])
        output = model.generate(tokens, max_new_tokens=24, do_sample=False, eos_token_id=EOS_TOKEN)
        expected.add(tuple(output[0, tokens.shape[1] :].tolist()))
    found = _requests(tmp_path)
    assert set(found["arm"]) == {"baseline", "speculative"} and len(found) == 4
    for tokens in found["output_tokens"]:
        assert tuple(tokens.tolist()) in expected


def test_a_family_that_is_known_here_gives_the_same_either_way(
    tiny_zoo: TinyZoo, tmp_path: Path
) -> None:
    outputs = []
    for backend in ("own", "transformers"):
        folder = tmp_path / backend
        folder.mkdir()
        more = (f"target.backend={backend}", "temperature=0", "gamma=4")
        assert cli.execute(["sweep", *tiny_overrides(tiny_zoo, folder, *more)]) == 0
        outputs.append([list(tokens) for tokens in _requests(folder)["output_tokens"]])
    assert outputs[0] == outputs[1]


def test_sampled_output_follows_the_target_s_law(
    tiny_zoo: TinyZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = write_model(tmp_path / "gemma2", "gemma2")
    overrides = tiny_overrides(tiny_zoo, tmp_path, f"target.path={target}", "gamma=2")
    assert cli.execute(["verify", *overrides]) == 0
    assert "emitted law" in capsys.readouterr().out


def test_what_backends_there_are_and_what_each_computes_is_said(
    tiny_zoo: TinyZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = write_model(tmp_path / "olmo2", "olmo2")
    own = tiny_overrides(tiny_zoo, tmp_path, f"target.path={target}")
    assert cli.execute(["sweep", *own, "target.backend=vllm"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "target.backend is 'vllm'; valid: auto, own, transformers" in said
    assert cli.execute(["sweep", *own, "target.backend=own"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "model_type is 'olmo2'; supported: 'qwen3', 'qwen2', 'llama', 'mistral'" in said
    assert "target.backend=transformers" in said
