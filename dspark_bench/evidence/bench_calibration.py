"""Do the zoo's confidences hold on prompts that nobody fitted on? For `make bench-calibration`.

Decodes the zoo's *test* prompts at full width with fresh noise until there are enough cycles, and
scores survival before and after calibration, with the temperatures that lie beside the drafter, or
with ones fitted now on the calibration prompts (and not written) where there are none.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import pandas as pd
import torch
import typer
from rich.console import Console

from dspark_bench.commands.calibrate import (
    CalibrationJob,
    fit_calibration,
    prepare_job,
    with_temperatures,
)
from dspark_bench.commands.calibration_table import calibration_table
from dspark_bench.config.compose import compose_point, hydra_session
from dspark_bench.config.point_config import PointConfig, to_point_config
from dspark_bench.evidence.entry import run_bench
from dspark_bench.measure.build import build_acceptance, choose_threads
from dspark_bench.measure.build_prompts import build_prompts
from dspark_bench.measure.calibration_file import find_calibration
from dspark_bench.measure.full_width import decode_full_width
from dspark_bench.measure.identity import HashCache
from dspark_bench.metrics.calibration import Calibration, collect_trials

ECE_BAR: Final = 0.02
AUC_LOSS_BAR: Final = 0.005
NUM_TEST_PROMPTS: Final = 600
_NOISE: Final = -100
"""Noise seeds count down from here, apart from those that temperatures are fitted with."""


def main(
    drafter: Annotated[str, typer.Option(help="One of the zoo's.")] = "semi_ar",
    gamma: Annotated[int, typer.Option(help="Draft tokens per cycle.")] = 7,
    temperature: Annotated[float, typer.Option(help="Of the sampling.")] = 1.0,
    cycles: Annotated[int, typer.Option(help="Fewest decode cycles.")] = 20_000,
    threads: Annotated[int, typer.Option(help="CPU threads; 0: all cores but one.")] = 0,
    calibration: Annotated[Path | None, typer.Option(help="File that calibrate wrote.")] = None,
) -> None:
    """Print the scores by position and whether they meet the bars; exits 0 whatever they show."""
    overrides = [f"drafter={drafter}", f"gamma={gamma}", f"temperature={temperature}"]
    overrides += [f"num_requests={NUM_TEST_PROMPTS}", "measure.calibration_concurrency=32"]
    overrides += [f"engine.threads={threads or 'null'}"]
    overrides += [] if calibration is None else [f"calibrator.path={calibration}"]
    with hydra_session():
        point = to_point_config(compose_point(overrides), "bench_calibration")
    torch.set_num_threads(choose_threads(point))
    console = Console(width=100)
    job = prepare_job(point, has_gamma=True, has_requests=False)
    temperatures = _temperatures(job, console)
    frame = _decode_test(point, job, cycles, console)
    before = collect_trials(frame, gamma)
    after = with_temperatures(before, temperatures)
    title = f"drafter={drafter} gamma={gamma} temperature={temperature:g} on zoo test prompts"
    title += f", n={before.num_cycles} cycles"
    console.print(calibration_table(title, temperatures, before, after))
    console.print(verdict(before.scores(), after.scores()))


def verdict(before: Sequence[Calibration], after: Sequence[Calibration]) -> str:
    """Both bars against the worst position, positions that never occurred left out."""
    errors = [new.ece for new in after if new.n]
    losses = [
        old.auc - new.auc
        for old, new in zip(before, after, strict=True)
        if old.auc == old.auc and new.auc == new.auc
    ]
    worst, loss = max(errors, default=0.0), max(losses, default=0.0)
    is_met = worst <= ECE_BAR and loss <= AUC_LOSS_BAR
    return (
        f"largest ECE after {100 * worst:.2f} % (bar {100 * ECE_BAR:g} %), largest loss of AUC "
        f"{loss:.4f} (bar {AUC_LOSS_BAR}): {'met' if is_met else 'MISSED'}"
    )


def _temperatures(job: CalibrationJob, console: Console) -> tuple[float, ...]:
    """The stored ones, one per position of the point; else fitted now."""
    hashes, point = HashCache(), job.point
    found = find_calibration(
        point, hashes.checkpoint(point.target_dir), hashes.drafter(point)
    ).stored
    if found is not None and len(found.temperatures) >= point.gamma:
        console.print("temperatures: read")
        return found.temperatures[: point.gamma]
    console.print("temperatures: none stored; fitting on the calibration prompts")
    return fit_calibration(job, console).temperatures


def _decode_test(
    point: PointConfig, job: CalibrationJob, num_cycles: int, console: Console
) -> pd.DataFrame:
    """Decode cycles of the test prompts, all of them once or more."""
    requests = build_prompts(point, job.target.config).requests
    frames: list[pd.DataFrame] = []
    while sum(map(len, frames)) < num_cycles:
        noise = _NOISE - len(frames)
        acceptance = build_acceptance(point)
        frames.append(
            decode_full_width(point, job.target, job.drafter, requests, noise, acceptance)
        )
        console.print(f"{sum(map(len, frames))} of {num_cycles} cycles")
        if point.sampling.is_greedy:
            break
    return pd.concat(frames, ignore_index=True)


if __name__ == "__main__":
    run_bench(main, "bench-calibration")
