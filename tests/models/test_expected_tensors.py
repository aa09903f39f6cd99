"""What the headers of a checkpoint's files tell, against what the models make of the files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import dspark_bench
from dspark_bench.core.errors import CheckpointError
from dspark_bench.drafters.ar import AutoregressiveDrafter
from dspark_bench.drafters.parallel import ParallelDrafter
from dspark_bench.drafters.semi_ar import SemiAutoregressiveDrafter
from dspark_bench.models import checkpoint
from dspark_bench.models.checkpoint import naming
from dspark_bench.models.config import read_model_config
from dspark_bench.models.config_values import read_json
from dspark_bench.models.draft_config import DFLASH, DSPARK, EAGLE3, Layout
from dspark_bench.models.draft_formats.reading import read_draft_config
from dspark_bench.models.drafter_files import check_drafter_files, kind_of, parse_drafter
from dspark_bench.models.expected_tensors import (
    Expected,
    check_headers,
    drafter_tensors,
    target_tensors,
)
from dspark_bench.models.target import TargetModel
from tests import tiny_models
from tests.tiny_models import RANK, Weights, write_block_drafter, write_eagle_drafter, write_target

CPU = torch.device("cpu")
LAYOUTS = {"ar": EAGLE3, "parallel": DFLASH}
CLASSES: dict[str, Any] = {EAGLE3.name: AutoregressiveDrafter, DFLASH.name: ParallelDrafter}
KINDS = ("target", "untied", "vanilla", "gated", "rnn", "unjudged", "plain", "parallel", "ar")


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> TargetModel:
    folder = tmp_path_factory.mktemp("target")
    write_target(folder)
    return TargetModel.load(folder, torch.float32, CPU)


def edit_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit(folder: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


def write(folder: Path, kind: str) -> None:
    """A checkpoint of every shape that there is. `plain`: its confidence head reads no table."""
    if kind in ("target", "untied"):
        write_target(folder)
        if kind == "untied":
            edit_config(folder, tie_word_embeddings=False)
            head = Weights(3).normal(tiny_models.VOCAB, tiny_models.HIDDEN)
            edit(folder, lambda t: t.update({"lm_head.weight": head}))
    elif kind == "ar":
        write_eagle_drafter(folder)
    elif kind == "parallel":
        write_block_drafter(folder, markov_rank=0)
    else:
        head_type = kind if kind in ("gated", "rnn") else "vanilla"
        write_block_drafter(folder, RANK, head_type)
    if kind == "unjudged":
        edit_config(folder, enable_confidence_head=False)
        names = [f"confidence_head.proj.{part}" for part in ("weight", "bias")]
        edit(folder, lambda t: [t.pop(name) for name in names])
    if kind == "plain":
        edit_config(folder, confidence_head_with_markov=False)
        short = torch.ones(1, tiny_models.HIDDEN)
        edit(folder, lambda t: t.update({"confidence_head.proj.weight": short}))


def expected(folder: Path, kind: str) -> Expected:
    if kind in ("target", "untied"):
        return target_tensors(read_model_config(folder))
    return drafter_tensors(read_draft_config(folder, LAYOUTS.get(kind, DSPARK)))


def by_headers(folder: Path, kind: str) -> None:
    check_headers(folder, expected(folder, kind))


def by_model(folder: Path, kind: str, target: TargetModel) -> None:
    if kind in ("target", "untied"):
        TargetModel.load(folder, torch.float32, CPU)
        return
    layout: Layout = LAYOUTS.get(kind, DSPARK)
    with naming(folder):
        CLASSES.get(layout.name, SemiAutoregressiveDrafter)(folder, target)


@pytest.mark.parametrize("kind", KINDS)
def test_headers_ask_for_what_the_model_reads(
    tmp_path: Path, target: TargetModel, kind: str
) -> None:
    """These files hold no tensor too many and none too few, or the model would refuse them."""
    write(tmp_path, kind)
    by_model(tmp_path, kind, target)
    by_headers(tmp_path, kind)
    assert set(expected(tmp_path, kind).required) == set(load_file(tmp_path / "model.safetensors"))


CHANGES: dict[str, Callable[[dict[str, Tensor]], object]] = {
    "missing": lambda t: t.pop("norm.weight"),
    "another shape": lambda t: t.update({"fc.weight": torch.ones(2, 2)}),
    "no dimension": lambda t: t.update({"fc.weight": torch.tensor(1.0)}),
    "whole numbers": lambda t: t.update({"fc.weight": t["fc.weight"].to(torch.int8)}),
    "eight bits": lambda t: t.update({"fc.weight": t["fc.weight"].to(torch.float8_e5m2)}),
    "unread": lambda t: t.update({"layers.9.mlp.up_proj.weight": torch.ones(2)}),
    "another head": lambda t: t.update({"markov_head.gate_proj.bias": torch.ones(8)}),
    "reduced": lambda t: t.update({"d2t": torch.zeros(2, dtype=torch.int64)}),
    "copy of another shape": lambda t: t.update({"embed_tokens.weight": torch.ones(2, 32)}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_headers_refuse_in_the_models_own_words(
    tmp_path: Path, target: TargetModel, change: str
) -> None:
    write(tmp_path, "vanilla")
    edit(tmp_path, CHANGES[change])
    said = []
    for check in (lambda: by_headers(tmp_path, "vanilla"), lambda: by_model(tmp_path, "", target)):
        with pytest.raises(CheckpointError) as caught:
            check()
        said.append(str(caught.value))
    assert said[0] == said[1]


@pytest.mark.parametrize("kind", ["vanilla", "ar"])
def test_copies_and_computed_tables_are_let_be(tmp_path: Path, kind: str) -> None:
    write(tmp_path, kind)
    copy = torch.ones(tiny_models.VOCAB, tiny_models.HIDDEN)
    more = {"embed_tokens.weight": copy, "lm_head.weight": copy + 1}
    edit(tmp_path, lambda t: t.update(more | {"rotary_emb.inv_freq": torch.ones(8)}))
    by_headers(tmp_path, kind)


def test_no_weight_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "vanilla")
    read: list[str] = []
    opened = checkpoint.safe_open

    class Counted:
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self._file = opened(*args, **kwargs).__enter__()

        def __enter__(self) -> "Counted":
            return self

        def __exit__(self, *args: object) -> None:
            return None

        def __getattr__(self, name: str) -> Any:
            read.append(name)
            return getattr(self._file, name)

    monkeypatch.setattr(checkpoint, "safe_open", Counted)
    by_headers(tmp_path, "vanilla")
    assert set(read) == {"keys", "get_slice"}


def test_the_zoo_is_as_its_headers_say() -> None:
    zoo = Path(dspark_bench.__file__).parent / "zoo"
    check_headers(zoo / "target", target_tensors(read_model_config(zoo / "target")))
    folders = sorted(path.parent for path in (zoo / "drafters").rglob("config.json"))
    assert len(folders) > 3
    for folder in folders:
        config = read_json(folder / "config.json")
        if kind_of(config) is not None:
            check_drafter_files(folder, parse_drafter(config, folder))
            continue
        with pytest.raises(CheckpointError, match="embed_tokens"):  # the target's serves it
            check_headers(folder, target_tensors(read_model_config(folder)))
