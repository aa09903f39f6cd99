"""Checkpoints that say something else than what is computed: exit code and line of the command."""

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from rich.console import Console

from dspark_bench.commands.foreign_lines import foreign_lines
from dspark_bench.commands.sweep import run_sweep
from dspark_bench.commands.sweep_plan import SweepRequest
from dspark_bench.core.errors import UsageError
from dspark_bench.models.checkpoint import read_tensors, write_checkpoint
from dspark_bench.reading.gather import gather
from dspark_bench.report.page import build_page
from dspark_bench.report.warnings import find_warnings
from tests import tiny_models
from tests.sweeps import tiny_overrides
from tests.tiny_models import TinyZoo, Weights

CPU = torch.device("cpu")
Edit = Callable[[Path], None]


def config(**changes: object) -> Edit:
    def edit(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return edit


def extra(name: str, *shape: int) -> Edit:
    def edit(folder: Path) -> None:
        tensors = read_tensors(folder, torch.float32, CPU)
        write_checkpoint(folder, {**tensors, name: Weights(9).normal(*shape)}, torch.float32)

    return edit


def run(overrides: list[str]) -> str:
    console = Console(file=io.StringIO(), width=200)
    run_sweep(SweepRequest(tuple(overrides), is_single=True), console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("drafter", "folder", "edit", "says"),
    [
        ("none", "target", config(tie_word_embeddings=False), "lacks the tensor 'lm_head.weight'"),
        ("semi_ar", "semi_ar", config(sample_from_anchor=False), "sample_from_anchor is False"),
        ("semi_ar", "semi_ar", config(dflash_config={"causal_head": True}), "causal_head is True"),
        ("semi_ar", "semi_ar", config(layer_types=["sliding_attention"]), "'sliding_attention'"),
        ("semi_ar", "semi_ar", config(draft_vocab_size=160), "expected (160, 8)"),
        ("semi_ar", "semi_ar", extra("markov_head.gate_proj.bias", 8), "markov_head_type 'gated'"),
        ("semi_ar", "semi_ar", extra("fc_norm.weight", 32), "holds the tensor 'fc_norm.weight'"),
        ("parallel", "semi_ar", config(), "use drafter=semi_ar"),
        ("semi_ar", "parallel", config(), "use drafter=parallel"),
        ("semi_ar", "ar", config(), "use drafter=ar"),
        ("ar", "semi_ar", config(), "use drafter=semi_ar"),
        ("ar", "parallel", config(), "use drafter=parallel"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(
    tiny_zoo: TinyZoo, tmp_path: Path, drafter: str, folder: str, edit: Edit, says: str
) -> None:
    copy = Path(shutil.copytree(getattr(tiny_zoo, folder), tmp_path / folder))
    edit(copy)
    place = "target.path" if folder == "target" else "drafter.path"
    kept = [
        override
        for override in tiny_overrides(tiny_zoo, tmp_path, "gamma=2")
        if not override.startswith(("drafter", place))
    ]
    with pytest.raises(UsageError) as caught:
        run([*kept, f"drafter={drafter}", f"{place}={copy}"])
    assert caught.value.exit_code == 2
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_drafter_of_another_target_is_asked_about(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(tiny_zoo.semi_ar, tmp_path / "other"))
    extra("embed_tokens.weight", tiny_models.VOCAB, tiny_models.HIDDEN)(copy)
    extra("lm_head.weight", tiny_models.VOCAB, tiny_models.HIDDEN)(copy)
    shown = run(tiny_overrides(tiny_zoo, tmp_path, "gamma=2", f"drafter.path={copy}"))
    assert "the drafter's own lm_head.weight differs from its target's" in shown
    metrics = next((tmp_path / "results/tiny/points").glob("*/metrics.json"))
    assert "the drafter's own embed_tokens.weight differs" in metrics.read_text()


QUESTION = "another target, layout or layer ids?"


def test_next_to_no_accepted_draft_is_asked_about(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    row = {"accepted_length": 1.0, "acceptance_rate": 0.0}
    (line,) = foreign_lines([row, row | {"accepted_length": 2.0, "acceptance_rate": 0.5}], str)
    assert QUESTION in line
    run(tiny_overrides(tiny_zoo, tmp_path, "gamma=2"))
    folder = tmp_path / "results/tiny"
    assert QUESTION not in " ".join(find_warnings(gather(folder)))
    summary = folder / "summary.csv"
    pd.read_csv(summary).assign(**row).to_csv(summary, index=False)
    for path in folder.glob("points/*/metrics.json"):
        content = json.loads(path.read_text())
        path.write_text(json.dumps(_with(content, row)))
    assert any(QUESTION in line for line in find_warnings(gather(folder)))
    assert QUESTION in build_page(gather(folder), (), ()).headline


def _with(content: dict[str, object], row: dict[str, float]) -> dict[str, object]:
    return {
        key: _with(value, row) if isinstance(value, dict) else row.get(key, value)
        for key, value in content.items()
    }


def test_an_output_ends_at_the_tokens_of_both_files(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(tiny_zoo.target, tmp_path / "ends"))
    ends = list(range(10, tiny_models.VOCAB))
    (copy / "generation_config.json").write_text(json.dumps({"eos_token_id": ends}))
    run(tiny_overrides(tiny_zoo, tmp_path, "drafter=semi_ar", "gamma=2", f"target.path={copy}"))
    requests = pd.read_parquet(next((tmp_path / "results/tiny").glob("points/*/requests.parquet")))
    assert set(requests["finish_reason"]) == {"eos"}
    for tokens in requests["output_tokens"]:
        assert tokens[-1] in (0, *ends)
        assert not set(tokens[:-1].tolist()) & {0, *ends}
