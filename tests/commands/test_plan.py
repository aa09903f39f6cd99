"""What is refused before anything runs, and what makes two points the same."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from dspark_bench.commands.sweep_plan import plan_sweep
from dspark_bench.config import validate
from dspark_bench.core.errors import CheckpointError, UsageError
from dspark_bench.measure import build
from dspark_bench.measure.block_plan import PlannedPoint
from dspark_bench.measure.identity import HashCache
from tests.sweeps import tiny_overrides
from tests.tiny_models import TinyZoo, write_block_drafter, write_target


def _plan(overrides: list[str]) -> list[PlannedPoint]:
    return plan_sweep(overrides, HashCache())[1]


def _id(overrides: list[str]) -> str:
    return _plan(overrides)[0].identity.point_id


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("gamma=two", ["gamma=two", "'two'", "Integer"]),
        ("gamma=2.5", ["gamma=2.5", "Integer"]),
        ("gamma=0", ["gamma is 0", "1 or more", "drafter=none"]),
        ("gamma=-1", ["gamma is -1", "1 or more"]),
        ("gamma=99", ["gamma is 99", "1 to 16"]),
        ("gamma=2,99", ["gamma is 99", "1 to 16"]),
        ("drafter.gamma=3", ["drafter.gamma=3", "root", "gamma=3"]),
        ("+drafter.gamma=3", ["drafter.gamma=3", "root", "gamma=3"]),
        ("nonsense=1", ["nonsense"]),
        ("temperature=-1", ["temperature is -1.0", "0 (greedy), 0.001 or more"]),
        ("temperature=nan", ["temperature is nan", "0 (greedy), 0.001 or more"]),
        ("top_p=0", ["top_p is 0.0", "0.0001 to 1"]),
        ("top_k=-1", ["top_k is -1"]),
        ("seed=-1", ["seed is -1"]),
        ("num_requests=0", ["num_requests is 0"]),
        ("num_requests=13", ["13 test prompts", "valid: 1 to 12"]),
        ("max_new_tokens=300", ["max_new_tokens is 300", "256 positions"]),
        ("load.concurrency=0", ["load.concurrency is 0", "1 or more"]),
        ("measure.repeats=0", ["measure.repeats is 0"]),
        ("engine.threads=0", ["engine.threads is 0"]),
        ("engine.device=tpu", ["'tpu'", "auto, cpu, cuda"]),
        ("engine.dtype=int8", ["'int8'", "auto, float32, bfloat16"]),
    ],
)
def test_bad_values_are_one_line_that_says_what_is_valid(
    tiny_zoo: TinyZoo, tmp_path: Path, override: str, parts: list[str]
) -> None:
    with pytest.raises(UsageError) as caught:
        _plan(tiny_overrides(tiny_zoo, tmp_path, override))
    message = str(caught.value)
    assert "\n" not in message
    assert [part for part in parts if part not in message] == []


def test_an_unknown_option_lists_the_valid_ones() -> None:
    with pytest.raises(
        UsageError, match="ar, draft_model, eagle, hydra, jetspec, layer_skip, medusa"
    ):
        _plan(["drafter=nope"])


def _broken(zoo: TinyZoo, folder: Path, kind: str) -> Path:
    path = folder / kind
    if kind == "absent":
        return path
    if kind == "vocabulary":
        write_block_drafter(path, markov_rank=8, vocab_size=64)
        return path
    shutil.copytree(zoo.semi_ar, path)
    if kind == "truncated":
        weights = path / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-100])
    elif kind == "no_weights":
        (path / "model.safetensors").unlink()
    elif kind == "no_json":
        (path / "config.json").write_text("{")
    elif kind == "no_head":
        config = json.loads((path / "config.json").read_text())
        (path / "config.json").write_text(json.dumps(config | {"markov_head_type": "gated"}))
    elif kind == "unread":
        tensors = load_file(path / "model.safetensors")
        save_file(
            tensors | {"markov_head.joint_proj.bias": torch.ones(2)}, path / "model.safetensors"
        )
    elif kind == "unreadable":
        (path / "config.json").unlink()
        (path / "config.json").mkdir()
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("absent", "no checkpoint directory"),
        ("truncated", "cannot read weights"),
        ("no_weights", "holds neither"),
        ("no_json", "not valid JSON"),
        ("unreadable", "cannot read|config.json"),
        ("vocabulary", "vocab_size 64, its target 320"),
        ("no_head", "lacks the tensor 'markov_head.gate_proj.weight'"),
        ("unread", "joint_proj.bias', not asked for by its config.json"),
    ],
)
def test_broken_drafter_checkpoints(
    tiny_zoo: TinyZoo, tmp_path: Path, kind: str, message: str
) -> None:
    path = _broken(tiny_zoo, tmp_path, kind)
    with pytest.raises(CheckpointError, match=message) as caught:
        _plan(tiny_overrides(tiny_zoo, tmp_path, f"drafter.path={path}"))
    assert "\n" not in str(caught.value)


def test_a_head_that_the_files_do_not_hold_is_found_at_once(
    tiny_zoo: TinyZoo, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=r"drafter\.head is 'rnn' .* holds 'vanilla'"):
        _plan(tiny_overrides(tiny_zoo, tmp_path, "drafter.head=checkpoint,vanilla,rnn"))


def test_a_sweep_reads_what_its_points_share_once(
    tiny_zoo: TinyZoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def count(name: str) -> None:
        check = getattr(validate, name)

        def counted(directory: Path, *more: object) -> None:
            read.append(directory)
            check(directory, *more)

        monkeypatch.setattr(validate, name, counted)

    count("check_files")
    count("check_drafter_files")
    assert len(_plan(tiny_overrides(tiny_zoo, tmp_path, "seed=range(0,40)"))) == 40
    assert read == [tiny_zoo.target, tiny_zoo.semi_ar]
    with pytest.raises(UsageError, match=r"seed=1 gamma=99: gamma is 99.* \(2 of 4 points cannot"):
        _plan(tiny_overrides(tiny_zoo, tmp_path, "seed=1,2", "gamma=2,99"))


def test_a_target_without_tokenizer_or_with_another_vocabulary(
    tiny_zoo: TinyZoo, tmp_path: Path
) -> None:
    write_target(tmp_path / "small", vocab_size=300)
    with pytest.raises(CheckpointError, match="vocab_size 320, its target 300"):
        _plan(tiny_overrides(tiny_zoo, tmp_path, f"target.path={tmp_path / 'small'}"))
    (tmp_path / "small" / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match=r"tokenizer\.json"):
        _plan(tiny_overrides(tiny_zoo, tmp_path, f"target.path={tmp_path / 'small'}"))


def test_the_id_ignores_names_and_places(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    elsewhere = tmp_path / "copy"
    shutil.copytree(tiny_zoo.semi_ar, elsewhere)
    base = _id(tiny_overrides(tiny_zoo, tmp_path))
    moved = [f"drafter.path={elsewhere}", f"results_dir={tmp_path / 'x'}", "name=other"]
    assert _id(tiny_overrides(tiny_zoo, tmp_path, *moved)) == base


@pytest.mark.parametrize(
    "change", ["gamma=3", "seed=1", "temperature=0.5", "num_requests=3", "measure.repeats=2"]
)
def test_the_id_depends_on_what_determines_the_result(
    tiny_zoo: TinyZoo, tmp_path: Path, change: str
) -> None:
    base = _id(tiny_overrides(tiny_zoo, tmp_path))
    assert _id(tiny_overrides(tiny_zoo, tmp_path, change)) != base


def test_the_id_depends_on_weights_and_prompts(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    base = _id(tiny_overrides(tiny_zoo, tmp_path))
    write_target(tmp_path / "other", seed=5)
    assert _id(tiny_overrides(tiny_zoo, tmp_path, f"target.path={tmp_path / 'other'}")) != base
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text(prompts.read_text().replace("words", "pages"))
    assert _id(tiny_overrides(tiny_zoo, tmp_path)) != base


def test_without_a_drafter_gamma_makes_no_difference(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    overrides = [
        override
        for override in tiny_overrides(tiny_zoo, tmp_path, "gamma=2,4")
        if not override.startswith("drafter")
    ]
    first, second = _plan([*overrides, "drafter=none"])
    assert first.identity.point_id == second.identity.point_id


def test_a_mistake_of_all_points_is_not_put_down_to_what_is_swept(
    tiny_zoo: TinyZoo, tmp_path: Path
) -> None:
    swept = tiny_overrides(tiny_zoo, tmp_path, "gamma=2,4", f"target.path={tmp_path / 'none'}")
    with pytest.raises(UsageError) as caught:
        _plan(swept)
    assert "gamma" not in str(caught.value) and "points cannot run" not in str(caught.value)
    with pytest.raises(UsageError, match=r"^gamma=99: "):
        _plan(tiny_overrides(tiny_zoo, tmp_path, "gamma=2,99"))


def test_trees_that_no_memory_holds_are_refused_in_one_line(
    tiny_zoo: TinyZoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "device_bytes", lambda device: 2**20)
    tree = ("tree=best_first", "gamma=3", "load.concurrency=2", "num_requests=4")
    _plan(tiny_overrides(tiny_zoo, tmp_path, *tree, "tree.nodes=8"))
    with pytest.raises(UsageError, match=r"trees of 1024 nodes, requests at once 2, .* valid: up"):
        _plan(tiny_overrides(tiny_zoo, tmp_path, *tree, "tree.nodes=1024"))


def test_mistakes_of_each_point_its_own_are_put_down_to_what_is_swept(
    tiny_zoo: TinyZoo, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        _plan(tiny_overrides(tiny_zoo, tmp_path, "gamma=-1,-2"))
    assert str(caught.value).startswith("gamma=-1: ")
    assert "(2 of 2 points cannot run)" in str(caught.value)
