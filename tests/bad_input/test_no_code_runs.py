"""Reading a checkpoint never runs code that lies in it, whatever its files promise."""

import json
import os
from pathlib import Path

import pytest

from dspark_bench import cli
from tests.sweeps import tiny_overrides
from tests.tiny_models import TinyZoo, write_tiny_zoo

_CODE = "import pathlib\npathlib.Path({mark!r}).touch()\nclass Model: pass\nclass Fast: pass\n"


class _Payload:
    """Touches a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[object, tuple[str, int]]:
        return os.open, (str(self._mark), os.O_CREAT)


@pytest.fixture
def zoo(tmp_path: Path) -> TinyZoo:
    return write_tiny_zoo(tmp_path / "zoo")


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "code-ran"


def _write_pickles(folder: Path, mark: Path) -> None:
    import pickle

    for name in ("pytorch_model.bin", "model.pt", "training_args.bin", "scheduler.pkl"):
        (folder / name).write_bytes(pickle.dumps(_Payload(mark)))


def _ask_for_code(folder: Path, mark: Path) -> None:
    """Custom code for model and tokenizer, as `trust_remote_code` would load it."""
    for name in ("modeling_evil.py", "tokenization_evil.py", "configuration_evil.py"):
        (folder / name).write_text(_CODE.format(mark=str(mark)))
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {
        "AutoConfig": "configuration_evil.Model",
        "AutoModel": "modeling_evil.Model",
        "AutoModelForCausalLM": "modeling_evil.Model",
    }
    (folder / "config.json").write_text(json.dumps(config))
    tokenizer = {
        "tokenizer_class": "Fast",
        "auto_map": {"AutoTokenizer": ["tokenization_evil.Fast", "tokenization_evil.Fast"]},
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))


def test_the_payloads_would_run(mark: Path, tmp_path: Path) -> None:
    import pickle

    _write_pickles(tmp_path, mark)
    os.close(pickle.loads((tmp_path / "model.pt").read_bytes()))
    assert mark.exists()
    mark.unlink()
    exec(_CODE.format(mark=str(mark)))
    assert mark.exists()


@pytest.mark.parametrize("owner", ["target", "semi_ar"])
def test_pickled_weights_are_refused_unread(
    zoo: TinyZoo, mark: Path, tmp_path: Path, owner: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = getattr(zoo, owner)
    (folder / "model.safetensors").unlink()
    _write_pickles(folder, mark)
    assert cli.execute(["sweep", *tiny_overrides(zoo, tmp_path)]) == 2
    shown = capsys.readouterr().err
    assert "pytorch_model.bin" in shown and f"`dspark-bench convert {folder} --to" in shown
    assert not mark.exists()
    words = ["convert", str(folder), "--to", "safetensors", "--out", str(tmp_path / "new")]
    assert cli.execute(words) == 2
    assert "is not read" in capsys.readouterr().err
    assert not mark.exists() and not (tmp_path / "new").exists()


def test_a_pickle_under_the_name_of_safetensors_is_refused_unread(
    zoo: TinyZoo, mark: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _write_pickles(zoo.semi_ar, mark)
    (zoo.semi_ar / "model.pt").replace(zoo.semi_ar / "model.safetensors")
    assert cli.execute(["sweep", *tiny_overrides(zoo, tmp_path)]) == 2
    assert "cannot read weights" in capsys.readouterr().err
    assert not mark.exists()


def test_code_that_a_config_asks_for_is_never_imported(
    zoo: TinyZoo, mark: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (zoo.target, zoo.semi_ar):
        _ask_for_code(folder, mark)
        _write_pickles(folder, mark)
    monkeypatch.chdir(zoo.target)
    overrides = tiny_overrides(zoo, tmp_path, "gamma=2")
    assert cli.execute(["run", *overrides]) == 0
    assert not mark.exists()


def test_a_chat_template_cannot_reach_python(
    zoo: TinyZoo, mark: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    template = (
        "{{ cycler.__init__.__globals__.os.open('" + str(mark) + "', 64) }}"
        "{{ messages.__class__.__base__.__subclasses__() }}"
    )
    (zoo.target / "chat_template.jinja").write_text(template)
    lines = [json.dumps({"turns": [f"word {n}"]}) for n in range(15)]
    (tmp_path / "prompts.jsonl").write_text("\n".join(lines))
    assert cli.execute(["sweep", *tiny_overrides(zoo, tmp_path)]) == 2
    assert "chat template" in capsys.readouterr().err
    assert not mark.exists()
