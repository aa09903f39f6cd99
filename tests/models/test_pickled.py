"""Pickled weights: read tensor by tensor, refused where a file wants more than tensors."""

import json
import pickle
import shutil
import warnings
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from dspark_bench import cli
from dspark_bench.core.errors import CheckpointError
from dspark_bench.models.checkpoint import read_tensors
from dspark_bench.models.pickled import pickled_files, read_pickled
from dspark_bench.models.safetensors_convert import write_as_safetensors
from tests.tiny_models import TinyZoo

WEIGHTS = {"a": torch.arange(6.0).view(2, 3), "b": torch.ones(2, dtype=torch.bfloat16)}


@pytest.fixture
def pickled(tiny_zoo: TinyZoo, tmp_path: Path) -> Callable[..., Path]:
    """Folders as those of the tiny zoo, with pickled weights in the place of safetensors."""

    def make(owner: str, num_files: int = 1, name: str = "pytorch_model.bin") -> Path:
        folder = tmp_path / f"pickled-{owner}"
        shutil.copytree(getattr(tiny_zoo, owner), folder)
        tensors = load_file(folder / "model.safetensors")
        (folder / "model.safetensors").unlink()
        if num_files == 1:
            torch.save(tensors, folder / name)
            return folder
        weight_map = {}
        for place in range(num_files):
            part = f"pytorch_model-{place + 1:05d}-of-{num_files:05d}.bin"
            names = sorted(tensors)[place::num_files]
            torch.save({name: tensors[name] for name in names}, folder / part)
            weight_map |= dict.fromkeys(names, part)
        index = {"weight_map": weight_map}
        (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
        return folder

    return make


def _same(ours: Path, theirs: Path) -> None:
    mine, yours = (read_tensors(f, torch.float32, torch.device("cpu")) for f in (ours, theirs))
    assert mine.keys() == yours.keys()
    assert all(torch.equal(mine[name], yours[name]) for name in mine)


@pytest.mark.parametrize("num_files", [1, 3])
def test_a_target_is_written_whole(
    num_files: int,
    pickled: Callable[..., Path],
    tiny_zoo: TinyZoo,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source, out = pickled("target", num_files), tmp_path / "new"
    assert cli.execute(["convert", str(source), "--to", "safetensors", "--out", str(out)]) == 0
    _same(out, tiny_zoo.target)
    assert {path.name for path in out.glob("*.json")} >= {"config.json", "tokenizer.json"}
    assert len(list(out.glob("*.safetensors"))) == num_files
    assert not list(tmp_path.glob(".new-*"))
    capsys.readouterr()
    assert cli.execute(["inspect", str(out)]) == 0
    assert "missing nothing" in " ".join(capsys.readouterr().out.split())


def test_a_drafter_goes_into_a_format_at_once(
    pickled: Callable[..., Path], tiny_zoo: TinyZoo, tmp_path: Path
) -> None:
    words = ["--to", "deepspec", "--out"]
    ours = ["convert", str(pickled("ar", name="drafter.pt")), *words, str(tmp_path / "a")]
    assert cli.execute(ours) == 0
    assert cli.execute(["convert", str(tiny_zoo.ar), *words, str(tmp_path / "b")]) == 0
    _same(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a" / "config.json").read_text() == (
        tmp_path / "b" / "config.json"
    ).read_text()
    assert not list(tmp_path.glob(".a-*"))


def test_an_error_names_the_folder_that_was_named(
    pickled: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = pickled("parallel")
    torch.save(WEIGHTS, source / "pytorch_model.bin")
    words = ["convert", str(source), "--to", "zlab", "--out", str(tmp_path / "a")]
    assert cli.execute(words) == 2
    assert capsys.readouterr().err.startswith(f"error: {source}")
    assert not list(tmp_path.glob(".a-*"))


@pytest.mark.parametrize(
    "stored",
    [
        WEIGHTS,
        OrderedDict(WEIGHTS),
        {"state_dict": WEIGHTS, "step": 3},
        {name: torch.nn.Parameter(one.float()) for name, one in WEIGHTS.items()},
    ],
    ids=["plain", "ordered", "nested", "parameters"],
)
@pytest.mark.parametrize("is_new", [True, False])
def test_a_state_dict_is_read(stored: Any, is_new: bool, tmp_path: Path) -> None:
    torch.save(stored, tmp_path / "w.pt", _use_new_zipfile_serialization=is_new)
    found = read_pickled(tmp_path / "w.pt")
    assert found.keys() == WEIGHTS.keys()
    assert all(torch.equal(found[name].float(), WEIGHTS[name].float()) for name in WEIGHTS)


def test_tied_tensors_become_two(tmp_path: Path) -> None:
    table = torch.arange(6.0).view(2, 3)
    folder = tmp_path / "tied"
    folder.mkdir()
    torch.save({"embed": table, "head": table, "turned": table.T}, folder / "medusa_lm_head.pt")
    (folder / "config.json").write_text("{}")
    out = tmp_path / "new"
    assert cli.execute(["convert", str(folder), "--to", "safetensors", "--out", str(out)]) == 0
    found = load_file(out / "model.safetensors")
    assert torch.equal(found["embed"], table) and torch.equal(found["head"], table)
    assert torch.equal(found["turned"], table.T)


class _Evil:
    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        import os

        return os.mkdir, (str(self._mark),)


def _bad(kind: str, path: Path, mark: Path) -> None:
    content: dict[str, Any] = {
        "code": {"a": torch.ones(1), "b": _Evil(mark)},
        "module": torch.nn.Linear(1, 1),
        "list": [torch.ones(1)],
        "mixed": {"a": torch.ones(1), "step": 3},
        "numbers": {"step": 3},
    }
    if kind in content:
        torch.save(content[kind], path)
    elif kind == "plain pickle of code":
        import pickle

        path.write_bytes(pickle.dumps(_Evil(mark), protocol=2))
    elif kind == "cut":
        torch.save(WEIGHTS, path)
        path.write_bytes(path.read_bytes()[:200])
    else:
        path.write_bytes(b"" if kind == "empty" else b"junk" * 9)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("code", "asks for posix.mkdir to be run"),
        ("plain pickle of code", "is not read"),
        ("module", "asks for torch.nn.modules.linear.Linear to be run"),
        ("list", "holds list, no tensors by name"),
        ("mixed", "'step' is int, no tensor"),
        ("numbers", "holds dict, no tensors by name"),
        ("cut", "cannot read pickled weights"),
        ("empty", "cannot read pickled weights"),
        ("junk", "cannot read pickled weights"),
    ],
)
def test_what_is_more_or_less_than_tensors_is_one_line(
    kind: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, mark = tmp_path / "model", tmp_path / "code-ran"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    _bad(kind, folder / "pytorch_model.bin", mark)
    words = ["convert", str(folder), "--to", "safetensors", "--out", str(tmp_path / "new")]
    assert cli.execute(words) == 2
    told = capsys.readouterr().err
    assert reason in told and told.count("\n") == 1
    assert "weights_only" not in told
    assert not mark.exists() and not (tmp_path / "new").exists()
    assert not list(tmp_path.glob(".new-*"))


def test_which_files_are_the_weights(tmp_path: Path) -> None:
    assert pickled_files(tmp_path) == []
    for name in ("optimizer.pt", "training_args.bin", "rng_state_0.pth", "scheduler.pt"):
        (tmp_path / name).write_text("")
    assert pickled_files(tmp_path) == []
    (tmp_path / "heads.pt").write_text("")
    assert pickled_files(tmp_path) == [tmp_path / "heads.pt"]
    (tmp_path / "more.pth").write_text("")
    with pytest.raises(CheckpointError, match=r"several pickled files \(heads.pt, more.pth\)"):
        pickled_files(tmp_path)
    (tmp_path / "pytorch_model.bin").write_text("")
    assert pickled_files(tmp_path) == [tmp_path / "pytorch_model.bin"]
    index = tmp_path / "pytorch_model.bin.index.json"
    index.write_text(
        json.dumps({"weight_map": {"a": "heads.pt", "b": "more.pth", "c": "heads.pt"}})
    )
    assert pickled_files(tmp_path) == [tmp_path / "heads.pt", tmp_path / "more.pth"]
    index.write_text(json.dumps({"weight_map": {"a": "../heads.pt"}}))
    with pytest.raises(CheckpointError, match=r"names '../heads.pt', which is not beside it"):
        pickled_files(tmp_path)


def test_bad_input_of_convert_is_one_line(
    tiny_zoo: TinyZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def told(*words: object) -> str:
        assert cli.execute(["convert", *map(str, words)]) == 2
        return capsys.readouterr().err

    new = tmp_path / "new"
    assert "holds safetensors already" in told(tiny_zoo.ar, "--to", "safetensors", "--out", new)
    assert "no checkpoint directory at" in told(new, "--to", "safetensors", "--out", new)
    assert "valid: deepspec, eagle, safeailab, speculators, zlab, safetensors" in told(
        tiny_zoo.ar, "--to", "gguf", "--out", new
    )
    assert "which exists" in told(tiny_zoo.ar, "--to", "safetensors", "--out", tmp_path)
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "holds no pickled weights" in told(empty, "--to", "safetensors", "--out", new)


def test_two_files_with_one_tensor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("x.bin", "y.bin"):
        torch.save({"a": torch.ones(1)}, tmp_path / name)
    weight_map = {"a": "x.bin", "b": "y.bin"}
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))
    words = ["convert", str(tmp_path), "--to", "safetensors", "--out", str(tmp_path / "new")]
    assert cli.execute(words) == 2
    assert "tensor 'a' is in another file too" in capsys.readouterr().err


def test_views_are_written_as_the_numbers_that_they_are_read_as(tmp_path: Path) -> None:
    pair = torch.tensor([1 + 2j, -3 - 4j])
    folder, out = tmp_path / "views", tmp_path / "out"
    folder.mkdir()
    views = {"conjugate": pair.conj(), "negative": pair.clone().conj().imag, "plain": pair.clone()}
    torch.save(views, folder / "pytorch_model.bin")
    write_as_safetensors(folder, out)
    found = load_file(out / "model.safetensors")
    assert found["conjugate"].tolist() == [1 - 2j, -3 + 4j]
    assert found["negative"].tolist() == [-2, 4]
    assert torch.equal(found["plain"], pair)


def test_a_name_that_safetensors_reserves_is_refused(tmp_path: Path) -> None:
    """Its library writes a file that it then cannot read."""
    folder, out = tmp_path / "named", tmp_path / "out"
    folder.mkdir()
    torch.save({"__metadata__": torch.ones(2)}, folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="cannot hold a tensor called '__metadata__'"):
        write_as_safetensors(folder, out)
    assert not out.exists()


def test_torch_warns_of_nothing_beside_the_one_line(tmp_path: Path) -> None:
    path = tmp_path / "weights.bin"
    path.write_bytes(pickle.dumps(WEIGHTS, protocol=4))
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        with pytest.raises(CheckpointError, match="not read"):
            read_pickled(path)
    assert heard == []


def test_out_that_no_file_system_takes_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for slug in ("safetensors", "deepspec"):
        out = tmp_path / ("x" * 300)
        assert cli.execute(["convert", str(tmp_path), "--to", slug, "--out", str(out)]) == 2
        assert "File name too long" in capsys.readouterr().err


def test_one_tensor_is_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"a": torch.ones(2)}, tmp_path / "pytorch_model.bin")
    out = str(tmp_path / "out")
    assert cli.execute(["convert", str(tmp_path), "--to", "safetensors", "--out", out]) == 0
    assert "1 tensor, read" in capsys.readouterr().out
