"""What the rows put into their folder, made on the spot: the kit, and each case's own input."""

import gzip
import json
import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
import torch

from dspark_bench.commands import block_task, verify
from dspark_bench.machine.environment import Environment
from dspark_bench.machine.watch import MachineReader
from dspark_bench.measure.block import Watcher, run_block
from dspark_bench.measure.block_plan import Block, PlannedPoint
from dspark_bench.measure.build import ModelCache
from dspark_bench.measure.point import PointResult
from dspark_bench.measure.round_records import RoundLog
from dspark_bench.metrics.intervals import Interval
from dspark_bench.metrics.machine import Reading
from dspark_bench.models.checkpoint import read_tensors, write_checkpoint
from dspark_bench.report import page
from tests import tiny_models
from tests.cases.layouts import lines
from tests.report.folders import cells, write_sweep, write_times
from tests.tiny_models import MAX_POSITIONS, Weights, write_prompts, write_tiny_zoo

Prepare = Callable[[Path], None]
TABLE: Final = (tiny_models.VOCAB, tiny_models.HIDDEN)
_QUESTIONS: Final = tuple(f"Question: {n} words, {n * n} lines" for n in range(12))


def write_kit(folder: Path) -> None:
    """A target, a drafter of each kind, and prompts: what every row finds in its folder."""
    write_tiny_zoo(folder)
    write_prompts(folder / "prompts.jsonl", _QUESTIONS)


def own_drafter(target: str, **keys: object) -> Prepare:
    """A drafter of one's own below `own`, for --config-dir."""

    def write(box: Path) -> None:
        lines = [f"_target_: {target}", *(f"{key}: {value}" for key, value in keys.items())]
        (box / "own" / "drafter").mkdir(parents=True)
        (box / "own" / "drafter" / "mine.yaml").write_text("\n".join(lines) + "\n")

    return write


def config(folder: str, **changes: object) -> Prepare:
    """Other values in a checkpoint's config.json."""

    def write(box: Path) -> None:
        path = box / folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return write


def tensors(folder: str, **shapes: tuple[int, ...]) -> Prepare:
    """Further tensors in a checkpoint; `__` in a name stands for a dot."""

    def write(box: Path) -> None:
        held = read_tensors(box / folder, torch.float32, torch.device("cpu"))
        more = {name.replace("__", "."): Weights(9).normal(*s) for name, s in shapes.items()}
        write_checkpoint(box / folder, {**held, **more}, torch.float32)

    return write


def ends_in_generation_config(box: Path) -> None:
    """Nearly every token ends a text, and only generation_config.json says so."""
    ends = list(range(10, tiny_models.VOCAB))
    (box / "target" / "generation_config.json").write_text(json.dumps({"eos_token_id": ends}))


def trained(*names: str) -> Prepare:
    """A folder as train.out: each checkpoint lies in a folder of its own inside."""

    def write(box: Path) -> None:
        for name in names:
            shutil.copytree(box / name, box / "trained" / name)

    return write


def file(name: str, text: str | bytes) -> Prepare:
    """One file."""

    def write(box: Path) -> None:
        content = text.encode() if isinstance(text, str) else text
        (box / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)

    return write


def files(contents: Mapping[str, str | bytes]) -> Prepare:
    """Several, by name."""

    def write(box: Path) -> None:
        for name, content in contents.items():
            file(name, content)(box)

    return write


def long_prompts() -> str:
    """As Spec-Bench: categories, second turns, and one prompt in four is too long."""
    long, kinds = "word " * MAX_POSITIONS, ("writing", "maths")
    turns = [[long if n % 4 == 3 else f"Why {n}?", "And then?"] for n in range(8)]
    return lines(*({"category": kinds[n % 2], "turns": asked} for n, asked in enumerate(turns)))


def two_prompt_files(box: Path) -> None:
    """Results over two files of prompts, each by two draft lengths."""
    rows = [
        cells(f"{name}{gamma}", workload="jsonl", prompts_hash=name * 8, gamma=gamma)
        for name in ("a", "b")
        for gamma in (2, 4)
    ]
    folder = write_sweep(box / "results" / "files", rows)
    for row in rows:
        path = folder / "points" / str(row["point_id"]) / "metrics.json"
        content = json.loads(path.read_text())
        own = "/d/gsm8k.jsonl" if str(row["point_id"]).startswith("a") else "/d/mt-bench.jsonl"
        content["point"]["keys"]["workload.path"] = own
        path.write_text(json.dumps(content))


def leads(num_prompts: int) -> Prepare:
    """One arm a third faster than the other on each of a few prompts."""

    def write(box: Path) -> None:
        rows = [cells("slow"), cells("fast", gamma=7, speedup=1.67)]
        folder = write_sweep(box / "results" / "lead", rows, n=num_prompts)
        for name, factor in (("slow", 1.0), ("fast", 0.75)):
            seconds = {
                str(n): (factor * (0.8 + 0.01 * math.sin(n + factor)), 1.0)
                for n in range(num_prompts)
            }
            write_times(folder / "points" / name, seconds)

    return write


def behind(box: Path) -> None:
    """S of 1.50 and of 1.27: the second is 15.3 % behind, the first 18.1 % ahead."""
    rows = [cells("a", speedup=1.5), cells("b", speedup=1.27, gamma=7)]
    write_sweep(box / "results" / "behind", rows)


def killed(box: Path) -> None:
    """What a sweep leaves that was killed: whole points, and no tables."""
    folder = write_sweep(box / "results" / "killed", [cells("a"), cells("b", gamma=7)])
    (folder / "summary.csv").unlink()
    (folder / "sweep.json").unlink()
    (folder / "points" / ".aside-c").mkdir()


def one_measurement(patch: pytest.MonkeyPatch) -> None:
    """The first point is measured, and stands for every other; S is 3.25, from 2.75 to 4.00."""
    kept: list[PointResult] = []

    def run(
        block: Block,
        environment: Environment,
        models: ModelCache,
        watcher: Watcher,
        log: RoundLog | None = None,
    ) -> None:
        def keep(_: PlannedPoint, result: PointResult | Exception) -> None:
            assert isinstance(result, PointResult)
            figures = result.summary.headline | {"speedup": Interval(3.25, 2.75, 4.0, 6)}
            kept.append(replace(result, summary=replace(result.summary, headline=figures)))

        if not kept:
            own = replace(watcher, on_point=keep)
            run_block(Block(block.points[:1]), environment, models, own, log)
        for planned in block.points:
            watcher.on_point(planned, kept[0])

    patch.setattr(block_task, "run_block", run)


def no_figures(patch: pytest.MonkeyPatch) -> None:
    """A report without its pictures, which take seconds."""
    patch.setattr(page, "draw_figures", lambda *_: ((), ()))


def few_draws(patch: pytest.MonkeyPatch) -> None:
    """As many as it takes to see what the rows plant."""
    patch.setattr(verify, "DISTRIBUTION_REQUESTS", 1_000)
    patch.setattr(verify, "EMITTED_TOKENS", 512)


def short_turns_beside_others(patch: pytest.MonkeyPatch) -> None:
    """Turns of 0.05 s, and three quarters of all cores busy with other processes."""
    read, taken = MachineReader.read, []

    def later(reader: MachineReader) -> Reading:
        taken.append(0.05 * len(taken))
        busy_s = 0.75 * torch.multiprocessing.cpu_count() * taken[-1]
        return replace(read(reader), time_s=taken[-1], own_s=0.0, busy_s=busy_s)

    patch.setattr(MachineReader, "read", later)
