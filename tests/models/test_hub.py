"""Names looked up on a hub of the loop-back interface: what is fetched, kept, and refused."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file

from dspark_bench import cli
from dspark_bench.config.compose import Composed, compose_point, hydra_session
from dspark_bench.config.point_config import to_point_config
from dspark_bench.core.errors import CheckpointError
from dspark_bench.models import hub as hub_module
from dspark_bench.models.hub import HubModel, find_model
from tests.hub import COMMIT, Hub, serving
from tests.tiny_models import TinyZoo


def _point_at(monkeypatch: pytest.MonkeyPatch, url: str, is_offline: bool = False) -> None:
    """As another process under another environment."""
    path = "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + path)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", is_offline)
    hub_module._looked_up.cache_clear()


@pytest.fixture
def hub(tiny_zoo: TinyZoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A few repositories, and an empty cache."""
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    shutil.copy(tiny_zoo.ar / "config.json", pickled)
    torch.save(load_file(tiny_zoo.ar / "model.safetensors"), pickled / "pytorch_model.bin")
    (pickled / "training_args.bin").write_bytes(b"junk")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "README.md").write_text("nothing")
    repositories = {
        "tiny/target": tiny_zoo.target,
        "tiny/semi": tiny_zoo.semi_ar,
        "tiny/pickled": pickled,
        "tiny/gated": tiny_zoo.target,
        "tiny/broken": tiny_zoo.target,
        "tiny/empty": tmp_path / "empty",
    }
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with serving(Hub(repositories, {"tiny/gated"}, {"tiny/broken"})) as served:
        _point_at(monkeypatch, served.url)
        yield served
    hub_module._looked_up.cache_clear()


def refused(text: str, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert cli.execute(["inspect", text]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ") and told.count("\n") == 1
    return told


def test_only_what_is_read_is_fetched(hub: Hub, tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    rich = tmp_path / "rich"
    shutil.copytree(tiny_zoo.target, rich)
    needed = {"generation_config.json", "tokenizer_config.json", "chat_template.jinja"}
    extra = {"README.md", "pytorch_model.bin", "optimizer.pt", "consolidated.safetensors"}
    for name in needed | extra | {"original/model.safetensors", "run.py"}:
        (rich / name).parent.mkdir(exist_ok=True)
        (rich / name).write_text("{}")
    hub.repositories["tiny/rich"] = rich
    found = find_model("tiny/rich")
    assert {path.name for path in found.folder.iterdir()} == needed | {
        *("config.json", "model.safetensors", "tokenizer.json")
    }
    assert not [path for path in hub.asked if path.endswith((*extra, "original/model.safetensors"))]


def test_what_a_name_stood_for_is_known(hub: Hub) -> None:
    assert find_model("tiny/target").hub == HubModel("tiny/target", "main", COMMIT)
    assert find_model("tiny/target@v1").hub == HubModel("tiny/target", "v1", COMMIT)
    assert find_model(f"tiny/target@{COMMIT}").hub == HubModel("tiny/target", COMMIT, COMMIT)


def test_a_name_is_looked_up_once_whatever_comes_of_it(hub: Hub) -> None:
    find_model("tiny/target")
    with pytest.raises(CheckpointError):
        find_model("tiny/none")
    asked = len(hub.asked)
    find_model("tiny/target")
    with pytest.raises(CheckpointError, match="tiny/none is no folder here"):
        find_model("tiny/none")
    assert len(hub.asked) == asked


def test_a_folder_wins(hub: Hub, tiny_zoo: TinyZoo, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.repositories["zoo/target"] = tiny_zoo.ar
    monkeypatch.chdir(tiny_zoo.target.parent.parent)
    text = f"{tiny_zoo.target.parent.name}/target"
    assert find_model(text).folder == Path(text)
    assert hub.asked == []


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("tiny/none", ("no repository on http://127", "HF_TOKEN", "`hf auth login`")),
        ("tiny/target@nope", ("no revision 'nope' on", "a branch, a tag")),
        ("tiny/gated", ("is gated on", "HF_TOKEN", "`hf auth login`")),
        ("tiny/broken", ("503", "the same later")),
        ("tiny/empty", ("lacks config.json, model.safetensors",)),
        ("tiny/a--b", ("nor a name on the hub: it holds '--'",)),
    ],
)
def test_refusals_are_one_line(
    text: str, parts: tuple[str, ...], hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    told = refused(text, capsys)
    assert all(part in told for part in parts), told


def test_a_token_opens_a_gated_repository(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_good")
    assert (find_model("tiny/gated").folder / "model.safetensors").is_file()
    assert hub.tokens == {"hf_good"}


def test_a_token_that_is_none_is_one_line(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_bad")
    told = refused("tiny/target", capsys)
    assert "refuses tiny/target to this token" in told and "HF_TOKEN" in told
    assert "hf_bad" not in told


def test_a_cache_that_cannot_be_written_is_one_line(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "file" / "below"))
    told = refused("tiny/target", capsys)
    assert "cannot write tiny/target to the hub's cache" in told
    assert "HF_HOME chooses another folder" in told


@pytest.mark.parametrize(
    ("is_offline", "reason"),
    [(True, "HF_HUB_OFFLINE forbids to fetch it"), (False, "cannot be reached (ConnectError")],
)
def test_without_a_network_the_cache_answers(
    is_offline: bool,
    reason: str,
    hub: Hub,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = find_model("tiny/target@v1")
    asked = len(hub.asked)
    _point_at(monkeypatch, hub.url if is_offline else "http://127.0.0.1:9", is_offline)
    assert find_model("tiny/target@v1") == found
    told = refused("tiny/semi", capsys)
    assert "is no folder here and not in the hub's cache" in told and reason in told
    assert refused("tiny/target@v2", capsys).count(reason) == 1
    (found.folder / "model.safetensors").unlink()
    hub_module._looked_up.cache_clear()
    told = refused("tiny/target@v1", capsys)
    assert "is only in part in the hub's cache" in told and reason in told
    assert len(hub.asked) == asked


def test_a_part_of_a_snapshot_that_the_library_takes_for_a_whole(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Older versions of the library keep no list of what a snapshot should hold."""
    kept = tmp_path / "cache" / "models--by--hand"
    folder = kept / "snapshots" / COMMIT
    (kept / "refs").mkdir(parents=True)
    folder.mkdir(parents=True)
    (kept / "refs" / "main").write_text(COMMIT)
    shutil.copy(hub.repositories["tiny/target"] / "config.json", folder)
    _point_at(monkeypatch, hub.url, is_offline=True)
    assert "lacks model.safetensors; if it was fetched in part" in refused("by/hand", capsys)
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    shutil.copy(
        hub.repositories["tiny/target"] / "model.safetensors", folder / "model-1.safetensors"
    )
    hub_module._looked_up.cache_clear()
    assert "lacks model-2.safetensors;" in refused("by/hand", capsys)
    shutil.copy(folder / "model-1.safetensors", folder / "model-2.safetensors")
    hub_module._looked_up.cache_clear()
    assert find_model("by/hand").folder == folder


def test_pickled_weights_are_refused_unfetched_and_converted(
    hub: Hub, tiny_zoo: TinyZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = refused("tiny/pickled", capsys)
    assert "holds pickled weights only (pytorch_model.bin)" in told
    assert "`dspark-bench convert tiny/pickled --to safetensors --out NEW`" in told
    assert not [path for path in hub.asked if path.endswith(".bin")]
    out = tmp_path / "new"
    words = ["convert", "tiny/pickled", "--to", "safetensors", "--out", str(out)]
    assert cli.execute(words) == 0
    assert not [path for path in hub.asked if path.endswith("training_args.bin")]
    _same(load_file(out / "model.safetensors"), load_file(tiny_zoo.ar / "model.safetensors"))
    assert cli.execute(["inspect", str(out), "--target", "tiny/target"]) == 0
    assert "it fits" in capsys.readouterr().out


def test_inspect_says_what_to_type_and_what_it_was(
    hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.execute(["inspect", "tiny/semi@v1", "--target", "tiny/target"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "run as drafter=semi_ar drafter.path=tiny/semi@v1" in said
    assert f"on the hub tiny/semi at v1, commit {COMMIT}" in said


@pytest.mark.parametrize("verb", ["sweep", "run", "verify", "profile", "calibrate"])
@pytest.mark.parametrize("key", ["target.path", "drafter.path"])
def test_every_verb_understands_names(
    verb: str, key: str, hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [verb, "drafter=semi_ar", f"{key}=tiny/none@v1"]
    assert cli.execute(words) == 2
    told = capsys.readouterr().err
    assert "tiny/none is no folder here, and no repository" in told
    assert told.count("\n") == 1


def test_a_users_class_is_given_the_folder(hub: Hub) -> None:
    with hydra_session():
        found = compose_point(["drafter=semi_ar"])
    mine = {"_target_": "tests.plugins.UniformDrafter", "max_gamma": 8, "path": "tiny/semi"}
    values: dict[str, Any] = found.values | {"drafter": mine}
    point = to_point_config(Composed(values, found.choices | {"drafter": "mine"}), "test")
    assert point.drafter_dir == find_model("tiny/semi").folder
    assert point.drafter_hub == HubModel("tiny/semi", "main", COMMIT)
    assert point.values["drafter"]["path"] == "tiny/semi"


def _same(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("content", ["", "no commit", "\n", COMMIT + "\n"])
def test_a_damaged_cache_is_named(
    content: str, hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = find_model("tiny/semi")
    branch = found.folder.parent.parent / "refs" / "main"
    branch.write_text(content)
    _point_at(monkeypatch, hub.url, is_offline=True)
    told = refused("tiny/semi", capsys)
    assert f"the hub's cache is damaged: {branch} holds no commit" in told
    assert find_model(f"tiny/semi@{COMMIT}").folder == found.folder
    _point_at(monkeypatch, hub.url)
    assert find_model("tiny/semi") == found and branch.read_text() == COMMIT
