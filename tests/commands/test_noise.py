"""Noise floor, machine and GPU from a real sweep to its report; the GPU's readings are a fake's."""

import csv
import io
import json
import os
import shutil
from contextlib import AbstractContextManager
from pathlib import Path

import pandas as pd
import pytest
import torch
from rich.console import Console

from dspark_bench import cli
from dspark_bench.commands import doctor
from dspark_bench.commands.display import SweepDisplay
from dspark_bench.commands.noise_lines import noise_lines
from dspark_bench.commands.sweep import run_sweep
from dspark_bench.commands.sweep_plan import SweepRequest
from dspark_bench.machine.gpu_process import GpuTelemetry, sampled
from dspark_bench.machine.processors import usable_cores
from dspark_bench.measure import block as block_module
from dspark_bench.metrics.machine import Reading, Window, machine_warnings, summarise_machine
from dspark_bench.reading.gather import gather
from dspark_bench.report.markdown import render_markdown
from dspark_bench.report.page import build_page
from tests.sweeps import tiny_overrides
from tests.tiny_models import TinyZoo, write_prompts

_ROOT = str(Path(__file__).parents[2])
_NEW = ("noise_floor", "aa_ratio", "speedup_interval_basis", "other_cores", "is_noisy", "gpu_")


@pytest.fixture(scope="module")
def measured(tiny_zoo: TinyZoo, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A sweep's folder and what it printed."""
    folder = tmp_path_factory.mktemp("noise")
    mark = folder / "read"

    def fake(device: torch.device) -> AbstractContextManager[GpuTelemetry]:
        return sampled("tests.fake_gpu:fake_reader", str(mark), 0.01, [_ROOT])

    write_prompts(folder / "prompts.jsonl", [f"Question: {n} words" for n in range(40)])
    own = ("num_requests=12", "measure.repeats=2", "max_new_tokens=40")
    own += ("measure.calibration_requests=0",)
    console = Console(file=io.StringIO(), width=200)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(block_module, "run_telemetry", fake)
        run_sweep(SweepRequest((*tiny_overrides(tiny_zoo, folder), *own)), console)
    assert isinstance(console.file, io.StringIO)
    return folder / "results" / "tiny", console.file.getvalue()


def test_a_point_keeps_what_was_seen(measured: tuple[Path, str]) -> None:
    (folder,) = (measured[0] / "points").iterdir()
    metrics = json.loads((folder / "metrics.json").read_text())
    # of 24 answers all but those that ended early
    assert 20 <= metrics["noise_floor"]["n"] <= 24 and metrics["noise_floor"]["noise_floor"] > 0
    assert metrics["machine"]["num_turns"] == 48 and metrics["machine"]["elapsed_s"] > 0
    gpu = metrics["gpu"]
    assert gpu["energy_source"] == "counter" and gpu["num_samples"] >= 1
    samples = pd.read_parquet(folder / "gpu.parquet")
    assert {"time_s", "power_w", "arm", "repeat", "block", "is_warmup"} <= set(samples.columns)
    assert len(samples) == gpu["num_samples"]
    environment = json.loads((folder / "environment.json").read_text())
    assert environment["threading"]["backend"] and environment["processors"]["num_usable"] >= 1
    assert str(folder.parent.parent) not in json.dumps(environment)


def test_the_row_and_the_screen_say_it(measured: tuple[Path, str]) -> None:
    folder, shown = measured
    with (folder / "summary.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert float(row["noise_floor"]) > 0 and row["is_noisy"] in ("true", "false")
    assert row["noise_floor_basis"].endswith(" answers of 32 tokens or more, each in halves")
    assert row["speedup_interval_basis"].startswith("12 prompts, Student's t")
    assert "timing noise floor (baseline against itself): " in shown and "noise floor " in shown


def test_the_report_shows_noise_and_gpu(measured: tuple[Path, str], tmp_path: Path) -> None:
    """Readings are put in: how many a fake takes in a short turn depends on who else is at work."""
    folder = Path(shutil.copytree(measured[0], tmp_path / "told"))
    (point,) = (folder / "points").iterdir()
    content = json.loads((point / "metrics.json").read_text())
    content["gpu"]["arms"] = {
        arm: {"power_mean_w": watts, "clock_reasons": {"power_cap": 0.5}}
        for arm, watts in (("speculative", 123.4), ("baseline", 98.7))
    }
    (point / "metrics.json").write_text(json.dumps(content))
    text = render_markdown(build_page(gather(folder), (), ()))
    floor = content["noise_floor"]["noise_floor"]
    noise, _, gpu = text.partition("## Timing noise")[2].partition("## GPU")
    assert f" {floor:.3f} " in noise and f" {content['noise_floor']['n']} " in noise
    assert " 123.4 " in gpu and " 98.7 " in gpu and "power_cap" in gpu


def test_results_without_the_fields_are_read_as_before(
    measured: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder as earlier versions wrote it."""
    folder = tmp_path / "old"
    for path in measured[0].rglob("*"):
        if path.is_file():
            place = folder / path.relative_to(measured[0])
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(path.read_bytes())
    (point,) = (folder / "points").iterdir()
    (point / "gpu.parquet").unlink()
    for name, dropped in (
        ("metrics.json", ("noise_floor", "machine", "gpu")),
        ("environment.json", ("processors", "threading", "swap_bytes")),
    ):
        content = json.loads((point / name).read_text())
        kept = {key: value for key, value in content.items() if key not in dropped}
        if "summary" in kept:
            row = kept["summary"].items()
            kept["summary"] = {key: value for key, value in row if not key.startswith(_NEW)}
        (point / name).write_text(json.dumps(kept))
    with (folder / "summary.csv").open() as file:
        (row,) = csv.DictReader(file)
    old = {key: value for key, value in row.items() if not key.startswith(_NEW)}
    assert len(old) < len(row)
    with (folder / "summary.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(old))
        writer.writeheader()
        writer.writerow(old)
    text = render_markdown(build_page(gather(folder), (), ()))
    assert cli.execute(["recommend", str(folder)]) == 0
    assert "noise floor" not in capsys.readouterr().out
    assert "## Timing noise" not in text and "## GPU" not in text
    assert noise_lines([old], lambda row: "old") == []


def test_lines_below_the_table() -> None:
    def row(**values: object) -> dict[str, object]:
        own = {"drafter": "semi_ar", "speedup": 1.01, "speedup_ci_low": 0.99}
        return {**own, "speedup_ci_high": 1.02, "noise_floor": 0.03, **values}

    rows = [
        row(),
        row(speedup_ci_high=1.2),
        row(drafter="none", noise_floor=0.01),
        row(noise_floor=None, noise_floor_basis="not measured: 0 pairs"),
        row(speedup_ci_low=None, speedup_interval_basis="no interval: 1 prompts"),
    ]
    assert noise_lines(rows, lambda row: "a") == [
        "timing noise floor (baseline against itself): 1.0% to 3.0%",
        "timing noise floor not measured: 0 pairs (1 of 5 points)",
        "a: S is within the noise floor: neither faster nor slower",
        "a: no interval: 1 prompts",
    ]


def test_a_noisy_point_says_what_was_seen_when_it_ends() -> None:
    console = Console(file=io.StringIO(), width=200)
    display = SweepDisplay(console, 1)
    display.begin(["semi_ar gamma=4"])
    seen = ("other processes kept 2.0 of 4 cores busy",)
    display.end("semi_ar gamma=4", "S = 1.50", seen, took_s=3.2)
    assert isinstance(console.file, io.StringIO)
    first, second = console.file.getvalue().splitlines()
    assert first == "[1/1] semi_ar gamma=4: S = 1.50 (3 s)"
    assert second == "  noisy machine: other processes kept 2.0 of 4 cores busy"


def test_what_else_is_doubtful_is_said_when_a_point_ends() -> None:
    console = Console(file=io.StringIO(), width=200)
    display = SweepDisplay(console, 1)
    display.begin(["semi_ar gamma=4"])
    display.end("semi_ar gamma=4", "S = 1.50", (), ("measure.warmup_requests=0: cold",))
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines()[1] == "  warning: measure.warmup_requests=0: cold"


def test_doctor_looks_with_the_same_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = Reading(1.5, 0.0, busy_s=2.0, steal_s=0.5)
    window = Window("idle", 0, 0, False, Reading(0.5, 0.0, busy_s=0.0, steal_s=0.0), busy)
    monkeypatch.setattr(doctor, "watch_idle", lambda seconds: window)
    monkeypatch.setattr(doctor, "nvml_obstacle", lambda: "no NVML: none here")
    found = doctor.diagnose(print)
    cores = os.cpu_count() or 1
    seen = summarise_machine([window], cores)
    assert set(machine_warnings(seen.as_json())) <= set(found.warnings)
    assert any("steal" in warning for warning in found.warnings) is (0.5 / cores > 0.01)
    assert found.facts["GPU"] == "no NVML: none here" and "usable" in found.facts["CPU"]


def test_doctor_names_the_threads_that_runs_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    found = doctor.diagnose(print)
    assert found.facts["threads by default"] == str(max(1, usable_cores() - 1))
    assert int(found.facts["threads by default"]) <= 2
    assert any("default threads follow it" in warning for warning in found.warnings)
