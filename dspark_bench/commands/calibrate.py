"""`dspark-bench calibrate`: sequential temperature scaling for a drafter, and what it does.

Decodes the workload's calibration prompts, never its test prompts, at full width; fits on half of
them and scores survival on the other half, before and after. The temperatures of the first half are
what is written, so the scores speak for the file.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import torch
from rich.console import Console

from dspark_bench.commands.calibration_table import calibration_table
from dspark_bench.commands.kernel_notice import prepare_kernels
from dspark_bench.commands.sweep_plan import SweepRequest
from dspark_bench.config.compose import compose_point, hydra_session, search_path_override
from dspark_bench.config.expand import expand
from dspark_bench.config.point_config import PointConfig, to_point_config
from dspark_bench.config.sweep_lists import refuse_sweep_list, with_plain_group
from dspark_bench.config.validate import check_overrides, check_point
from dspark_bench.core.calibration import scale
from dspark_bench.core.errors import UsageError
from dspark_bench.core.protocols import Drafter
from dspark_bench.core.types import Request
from dspark_bench.measure.build import (
    ModelCache,
    build_acceptance,
    build_drafter,
    choose_threads,
    refuse_simulated,
)
from dspark_bench.measure.build_prompts import build_calibration_requests
from dspark_bench.measure.build_tree import refuse_tree
from dspark_bench.measure.calibration_file import (
    METHOD,
    add_entry,
    calibration_path,
    check_can_write,
    drafter_key,
)
from dspark_bench.measure.foreseen import gives_confidence
from dspark_bench.measure.full_width import decode_full_width
from dspark_bench.measure.identity import HashCache
from dspark_bench.metrics.calibration import Calibration, Trials, collect_trials, reliability, score
from dspark_bench.metrics.temperature_scaling import fit_temperatures
from dspark_bench.models.target import LoadedTarget
from dspark_bench.workloads.requests import requests_hash

DEFAULT_REQUESTS: Final = 300
_REQUESTS_KEY: Final = "measure.calibration_requests"
_NOISE: Final = -3
"""Noise seeds count down from here: no timed run, warm-up or prediction has them."""


@dataclass(frozen=True, slots=True)
class CalibrationJob:
    """What is to be calibrated: a point whose gamma is final, its models and its prompts."""

    point: PointConfig
    target: LoadedTarget
    drafter: Drafter
    requests: tuple[Request, ...]


@dataclass(frozen=True, slots=True)
class Fit:
    """Temperatures [K], and the trials that they were fitted on and that they are scored on."""

    temperatures: tuple[float, ...]
    fitted: Trials
    held_out: Trials

    @property
    def calibrated(self) -> Trials:
        """The held-out trials with calibrated confidences."""
        return with_temperatures(self.held_out, self.temperatures)


def run_calibrate(request: SweepRequest, console: Console) -> Path:
    """Calibrate what the overrides name; returns the file. Raises UsageError."""
    refuse_sweep_list(request.overrides, request.config_dir)
    overrides = (*request.overrides, *search_path_override(request.config_dir, request.overrides))
    point = _point(with_plain_group(overrides))
    refuse_simulated(point, "calibrate")
    refuse_tree(point, "calibrate")
    path = calibration_path(point)
    is_lost = path is None and gives_confidence(point) is False
    if is_lost and point.calibrator.name == "checkpoint":
        raise _nothing_to_calibrate(point)
    if path is None:
        raise UsageError(
            f"calibrator={point.calibrator.name} with drafter={point.drafter.name} has no file to "
            "write; valid: calibrator=checkpoint, with calibrator.path=FILE if the drafter has no "
            "folder"
        )
    check_can_write(path)
    torch.set_num_threads(choose_threads(point))
    prepare_kernels(point, console)
    job = prepare_job(point, _is_given(overrides, "gamma"), _is_given(overrides, _REQUESTS_KEY))
    fit = fit_calibration(job, console)
    console.print(calibration_table(_title(job), fit.temperatures, fit.held_out, fit.calibrated))
    add_entry(path, _entry(job, fit))
    console.print(f"written: {path}", soft_wrap=True)
    worse = worse_line(fit)
    if worse is not None:
        console.print(f"warning: {worse}; delete {path} to run without", soft_wrap=True)
    return path


def prepare_job(point: PointConfig, has_gamma: bool, has_requests: bool) -> CalibrationJob:
    """Load the models and choose the prompts. Raises UsageError if there is nothing to calibrate.

    has_gamma: the point's gamma was asked for, otherwise it becomes the drafter's longest, if that
    is known, and stays the configured one if not; has_requests: likewise the number of requests,
    otherwise all there are, up to 300.
    """
    target = ModelCache().target(point)
    drafter = build_drafter(point if has_gamma else _with_gamma(point, 1), target)
    if drafter is None or not drafter.spec.has_confidence:
        raise _nothing_to_calibrate(point)
    if not has_gamma:
        point = _with_gamma(point, drafter.spec.max_gamma or point.gamma)
    wanted = point.measure.calibration_requests if has_requests else None
    requests = build_calibration_requests(point, target.config, wanted, DEFAULT_REQUESTS)
    if len(requests) < 2:
        raise UsageError(
            f"{len(requests)} calibration prompts; valid: 2 or more, half to fit on and half to "
            "score on (a fifth of workload.path's lines is set aside)"
        )
    return CalibrationJob(point, target, drafter, requests)


def _nothing_to_calibrate(point: PointConfig) -> UsageError:
    return UsageError(
        f"drafter={point.drafter.name} has no confidence head, so there is nothing to calibrate; "
        "valid: a drafter that has one, or draws its tokens from a distribution"
    )


def fit_calibration(job: CalibrationJob, console: Console) -> Fit:
    """Decode the prompts at full width, fit on half of them, keep the other half for scores.

    Sampling repeats every prompt `measure.repeats` times with fresh noise; greedy once.
    """
    fitted, held_out = split_by_prompt(job.requests)
    num_repeats = 1 if job.point.sampling.is_greedy else job.point.measure.repeats
    frames = []
    for repeat in range(num_repeats):
        noise = _NOISE - repeat
        frames.append(
            decode_full_width(
                job.point, job.target, job.drafter, job.requests, noise, build_acceptance(job.point)
            )
        )
        total = sum(map(len, frames))
        console.print(f"[{repeat + 1}/{num_repeats}] {total} cycles of {len(job.requests)} prompts")
    cycles = pd.concat(frames, ignore_index=True)

    def part(ids: frozenset[int]) -> Trials:
        return collect_trials(cycles[cycles["request_id"].isin(ids)], job.point.gamma)

    trials = part(fitted)
    return Fit(fit_temperatures(trials), trials, part(held_out))


def worse_line(fit: Fit) -> str | None:
    """That the held-out prompts are forecast worse than without temperatures; None if not.

    By the Brier score of survival, which is least for the true probabilities, over all positions.
    """
    before, after = brier(fit.held_out), brier(fit.calibrated)
    if not after > before:
        return None
    return (
        f"this calibration made things worse on held-out prompts (Brier score of survival "
        f"{before:.4f} before, {after:.4f} after); more prompts "
        f"({_REQUESTS_KEY}, measure.repeats) may help"
    )


def brier(trials: Trials) -> float:
    """Mean over all trials of all positions; NaN without any."""
    known = [score for score in trials.scores() if score.n]
    total = sum(score.n for score in known)
    return sum(score.brier * score.n for score in known) / total if total else float("nan")


def split_by_prompt(requests: Sequence[Request]) -> tuple[frozenset[int], frozenset[int]]:
    """Request ids to fit on and to score on: every other prompt of each domain."""
    seen: dict[str, int] = {}
    halves: tuple[list[int], list[int]] = ([], [])
    for request in requests:
        place = seen.get(request.domain, 0)
        halves[place % 2].append(request.request_id)
        seen[request.domain] = place + 1
    return frozenset(halves[0]), frozenset(halves[1])


def with_temperatures(trials: Trials, temperatures: Sequence[float]) -> Trials:
    """The same trials with calibrated confidences; NaN stays NaN."""
    return replace(trials, confidence=scale(trials.confidence, np.asarray(temperatures)))


def _point(overrides: Sequence[str]) -> PointConfig:
    """The one point named. A gamma that was not asked for is no reason to refuse a drafter."""
    check_overrides(overrides)
    expansion = expand(overrides)
    if len(expansion.points) > 1:
        keys = ", ".join(expansion.swept_keys)
        raise UsageError(f"calibrate takes one drafter and sampling, but {keys} has several values")
    with hydra_session():
        point = to_point_config(compose_point(expansion.points[0]), "calibrate")
    if not point.has_drafter:
        raise UsageError("drafter=none drafts nothing, so there is nothing to calibrate")
    check_point(point if _is_given(overrides, "gamma") else _with_gamma(point, 1))
    return point


def _with_gamma(point: PointConfig, gamma: int) -> PointConfig:
    return replace(point, gamma=gamma, values={**point.values, "gamma": gamma})


def _is_given(overrides: Sequence[str], key: str) -> bool:
    return any(override.lstrip("+").startswith(f"{key}=") for override in overrides)


def _title(job: CalibrationJob) -> str:
    point = job.point
    return (
        f"survival of drafter={point.drafter.name} on held-out calibration prompts: "
        f"gamma {point.gamma}, temperature {point.sampling.temperature:g}, {point.workload.name}"
    )


def _entry(job: CalibrationJob, fit: Fit) -> dict[str, Any]:
    """What is stored, as plain JSON."""
    hashes, point, calibrated = HashCache(), job.point, fit.calibrated
    return {
        "sampling": asdict(point.sampling),
        "target_hash": hashes.checkpoint(point.target_dir),
        "drafter_hash": drafter_key(point, hashes.drafter(point)),
        "method": METHOD,
        "temperatures": list(fit.temperatures),
        "drafter": point.drafter.name,
        "gamma": point.gamma,
        "workload": point.workload.name,
        "prompts_hash": requests_hash(job.requests),
        "seed": point.seed,
        "dtype": str(job.target.dtype).removeprefix("torch."),
        "num_prompts": len(job.requests),
        "num_cycles_fitted": fit.fitted.num_cycles,
        "num_cycles_held_out": fit.held_out.num_cycles,
        "held_out": [
            {
                "position": place,
                "before": _scores(fit.held_out, place),
                "after": _scores(calibrated, place),
            }
            for place in range(1, point.gamma + 1)
        ],
    }


def _scores(trials: Trials, position: int) -> dict[str, Any]:
    """Scores and reliability diagram of one position; null where undefined."""
    pairs = trials.pairs(position)
    found: Calibration = score(*pairs)
    values = asdict(found) | {"reliability": asdict(reliability(*pairs))}
    return {key: _plain(value) for key, value in values.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and np.isnan(value) else value
