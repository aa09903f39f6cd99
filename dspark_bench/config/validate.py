"""Checks of a point before anything runs: what is wrong, the value, and what is valid."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from dspark_bench.config.plugin_fit import find_class
from dspark_bench.config.point_config import PLUGIN_GROUPS, Component, PointConfig
from dspark_bench.config.schema import GROUPS
from dspark_bench.config.shipped import shipped_targets
from dspark_bench.config.sizes import FEWEST_ROUNDS
from dspark_bench.core.errors import CheckpointError, ResultsError, UsageError
from dspark_bench.core.model_cache import model_folder
from dspark_bench.models.backend import check_files, read_shape
from dspark_bench.models.checkpoint import check_folder, read_tokenizer
from dspark_bench.models.draft_config import (
    CHECKPOINT_HEAD,
    DECODER,
    DSPARK,
    DraftConfig,
    check_head,
)
from dspark_bench.models.draft_decoder import check_decoder_files
from dspark_bench.models.drafter_files import (
    check_drafter_files,
    check_fits,
    read_drafter_config,
)
from dspark_bench.models.fetchable import FETCHABLE

_MAX_NAME_BYTES = 200
COPY_NOISE = ("shared", "own")
_FINEST = 0.001
_MAX_ARMS = 64
_MAX_REPEATS = 10_000
_AT_MOST = {
    "measure.repeats": _MAX_REPEATS,
    "measure.max_rounds": _MAX_REPEATS,
    "measure.max_arms": _MAX_ARMS,
    "measure.copies": _MAX_ARMS,
    "measure.copy": _MAX_ARMS,
}
_MIN_TEMPERATURE = 0.001
_MIN_TOP_P = 0.000_1
"""Far below what samples otherwise than greedily; below the next, single precision ends."""
DEVICES = ("auto", "cpu", "cuda")
_HYDRA_FOLDERS = (
    *("hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir", "hydra.job.chdir"),
    *("hydra.output_subdir", "hydra.mode", "hydra.runtime.output_dir"),
)
DTYPES = ("auto", "float32", "bfloat16")
KERNELS = ("auto", "torch")
_AT_LEAST_HINTS = {
    "gamma": "; no speculation is drafter=none",
    "top_k": " (0 keeps all tokens)",
}
_PROBE_BYTES = 1 << 18


def check_overrides(overrides: Sequence[str]) -> None:
    """Refuse overrides that would hand gamma to a plug-in behind the root's back, choose nothing
    where something must be chosen, or move Hydra's folders out of the results.
    """
    for override in overrides:
        key, _, value = override.lstrip("+~").partition("=")
        group, _, rest = key.partition(".")
        if group in GROUPS and rest == "gamma":
            raise UsageError(f"{override}: gamma lives at the root; write gamma={value}")
        if key in GROUPS and value.strip("'\"") in ("null", "") and not override.startswith("~"):
            raise UsageError(f"{override!r} names no option; valid: a name (dspark-bench list)")
        if key in GROUPS and value.startswith("["):
            raise UsageError(f"{override!r} names several options; valid: one, or {key}=a,b")
        if key in _HYDRA_FOLDERS:
            raise UsageError(f"{override}: results_dir= and name= say where results go")


def check_point(point: PointConfig, sound: set[str] | None = None) -> None:
    """Check numbers, plug-ins, and checkpoints. Raises UsageError.

    sound: checkpoints that were found to be so for an earlier point of the same sweep, by what was
    asked of them: they are not read again, and those of this point are added.
    """
    _check_name(point.name)
    if not str(point.values["results_dir"]).strip():
        raise UsageError(f"results_dir is {point.values['results_dir']!r}; valid: a folder")
    _check_numbers(point)
    _check_bounds(point)
    _check_engine(point)
    for group in PLUGIN_GROUPS:
        _check_component(group, getattr(point, group))
    asked = repr(
        (point.target_dir, point.target_backend, point.drafter_dir, point.drafter, point.gamma)
    )
    if sound is not None and asked in sound:
        return
    _check_target(point)
    if point.drafter_dir is not None:
        _check_drafter(point, point.drafter_dir)
    elif point.drafter.is_own and "path" in point.drafter.arguments:
        raise CheckpointError(_nothing_shipped(point))
    if sound is not None:
        sound.add(asked)


def _check_name(name: str) -> None:
    """A name is one folder below results_dir."""
    is_plain = name.isprintable() and not set("/\\") & set(name)
    if not is_plain or name in ("", ".", "..") or len(name.encode()) > _MAX_NAME_BYTES:
        raise UsageError(
            f"name is {name!r}; valid: a folder's name of up to {_MAX_NAME_BYTES} bytes without "
            "/, \\ or control characters"
        )


def check_writable(folder: Path) -> None:
    """Raise ResultsError if `folder` cannot be made and written to; leaves it existing.

    A full disk takes an empty file, so a point's worth of bytes is written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=folder, prefix=".aside-probe-") as file:
            file.write(bytes(_PROBE_BYTES))
            file.flush()
    except OSError as error:
        raise ResultsError(
            f"cannot write results to {folder}: {error.strerror or error}; "
            "name a writable folder with results_dir="
        ) from error


def _check_numbers(point: PointConfig) -> None:
    values = {**point.values, **{f"measure.{k}": v for k, v in point.values["measure"].items()}}
    values["num_requests"] = point.num_requests
    at_least = {
        "gamma": 1,
        "seed": 0,
        "top_k": 0,
        "max_new_tokens": 1,
        "num_requests": 1,
        "measure.repeats": 1,
        "measure.max_arms": 1,
        "measure.max_rounds": 1,
        "measure.copies": 1,
        "measure.copy": 0,
        "measure.warmup_requests": 0,
        "measure.calibration_requests": 0,
        "measure.calibration_concurrency": 1,
        "measure.agreement_requests": 0,
        "measure.law_tokens": 0,
    }
    for key, minimum in at_least.items():
        if values[key] < minimum:
            hint = _AT_LEAST_HINTS.get(key, "")
            raise UsageError(f"{key} is {values[key]}; valid: {minimum} or more{hint}")
    for key, most in _AT_MOST.items():
        if values[key] > most:
            raise UsageError(f"{key} is {values[key]}; valid: {at_least[key]} to {most}")
    sampling = point.sampling
    is_known = math.isfinite(sampling.temperature)
    if not (is_known and (sampling.temperature == 0 or sampling.temperature >= _MIN_TEMPERATURE)):
        raise UsageError(
            f"temperature is {sampling.temperature}; valid: 0 (greedy), {_MIN_TEMPERATURE} or more"
        )
    if not _MIN_TOP_P <= sampling.top_p <= 1:
        raise UsageError(f"top_p is {sampling.top_p}; valid: {_MIN_TOP_P} to 1")


def _check_bounds(point: PointConfig) -> None:
    """Seconds and counts that may be absent."""
    longest = point.measure.max_turn_s
    if longest is not None and not (math.isfinite(longest) and longest > 0):
        raise UsageError(f"measure.max_turn_s is {longest}; valid: above 0 seconds, or null")
    limit = point.measure.time_limit_s
    if limit is not None and not (math.isfinite(limit) and limit > 0):
        raise UsageError(f"measure.time_limit_s is {limit}; valid: above 0 seconds, or null")
    _check_precision(point)
    noise = point.measure.copy_noise
    if noise not in COPY_NOISE:
        raise UsageError(f"measure.copy_noise is {noise!r}; valid: {', '.join(COPY_NOISE)}")
    queue = point.measure.max_waiting
    if queue is not None and queue < 0:
        raise UsageError(f"measure.max_waiting is {queue}; valid: 0 or more, or null")
    for key, bound in (("ttft_s", point.slo.ttft_s), ("tpot_s", point.slo.tpot_s)):
        if bound is not None and not (math.isfinite(bound) and bound >= 0):
            raise UsageError(f"slo.{key} is {bound}; valid: 0 or more seconds, or null")


def _check_precision(point: PointConfig) -> None:
    precision, rounds = point.measure.precision, point.measure.max_rounds
    if precision is None:
        return
    if not (math.isfinite(precision) and _FINEST <= precision <= 1):
        raise UsageError(
            f"measure.precision is {precision}; valid: {_FINEST} to 1 (0.05: S to 5 %), or null"
        )
    users = point.load.arguments.get("concurrency")
    is_alone = point.load.name == "closed" and users == 1
    least = 1 if is_alone else FEWEST_ROUNDS
    if rounds < least:
        where = "" if is_alone else ", since a round is one unit where requests share a batch"
        raise UsageError(f"measure.max_rounds is {rounds}; valid: {least} or more{where}")


def _check_engine(point: PointConfig) -> None:
    engine = point.engine
    if engine.device not in DEVICES:
        raise UsageError(f"engine.device is {engine.device!r}; valid: {', '.join(DEVICES)}")
    if engine.dtype not in DTYPES:
        raise UsageError(f"engine.dtype is {engine.dtype!r}; valid: {', '.join(DTYPES)}")
    if engine.kernels not in KERNELS:
        raise UsageError(f"engine.kernels is {engine.kernels!r}; valid: {', '.join(KERNELS)}")
    most = engine.prefill_tokens
    if most is not None and most < 1:
        raise UsageError(f"engine.prefill_tokens is {most}; valid: 1 or more, or null")
    num_cores = os.cpu_count() or 1
    if engine.threads is not None and not 1 <= engine.threads <= num_cores:
        raise UsageError(f"engine.threads is {engine.threads}; valid here: 1 to {num_cores}")


def _check_component(group: str, component: Component) -> None:
    if "gamma" in component.arguments:
        value = component.arguments["gamma"]
        raise UsageError(f"{group}.gamma={value}: gamma lives at the root; write gamma={value}")
    if component.class_path is None:
        if group not in ("drafter", "tree"):
            raise UsageError(f"{group}={component.name} names no class; give its YAML a _target_")
        return
    if not isinstance(component.class_path, str) or not component.class_path:
        raise UsageError(
            f"{group}={component.name}: _target_ is {component.class_path!r}; "
            "valid: package.module.Class"
        )
    try:
        find_class(component.class_path)
    except Exception as error:
        reason = str(error).strip().splitlines()[-1] if str(error).strip() else repr(error)
        raise UsageError(
            f"{group}={component.name}: cannot import {component.class_path} ({reason}); "
            "is it on PYTHONPATH?"
        ) from error


def _check_target(point: PointConfig) -> None:
    directory, name = point.target_dir, point.choices.get("target")
    is_fetchable = name in FETCHABLE and directory == model_folder(str(name))
    if is_fetchable and not directory.is_dir():
        raise CheckpointError(
            f"target={name} is not in the model cache ({directory}); `dspark-bench fetch {name}` "
            f"brings it ({FETCHABLE[str(name)].download_megabytes} MB)"
        )
    check_files(directory, point.target_backend)
    read_tokenizer(directory)


def _nothing_shipped(point: PointConfig) -> str:
    """Why a null path means nothing for this target."""
    option = point.drafter.name
    targets = ", ".join(shipped_targets(option))
    shipped = f"shipped are those for target={targets}" if targets else "none is shipped"
    return (
        f"drafter={option} has no checkpoint for the target {point.target_dir}; {shipped}; valid: "
        "drafter.path=FOLDER, or drafter=ngram, which needs no checkpoint"
    )


def _check_drafter(point: PointConfig, directory: Path) -> None:
    """A file-level look; a user's class, with a format of its own, judges when it is built."""
    if not point.drafter.is_own:
        if not directory.exists():
            raise CheckpointError(f"drafter.path is {directory}: no such file or folder")
        return
    check_folder(directory)
    ours: Any = find_class(str(point.drafter.class_path))
    if "READS" not in vars(ours):
        raise UsageError(
            f"drafter={point.drafter.name} reads no checkpoint, so drafter.path={directory} means "
            "nothing; valid: leave it out"
        )
    shape = read_shape(point.target_dir, point.target_backend)
    if ours.READS == DECODER:
        check_decoder_files(directory, shape, point.target_dir)
        return
    config = read_drafter_config(directory, ours.READS)
    check_fits(config, shape, directory)
    check_gamma(point, config.max_gamma)
    if isinstance(config, DraftConfig) and config.layout == DSPARK:
        check_head(config, point.drafter.arguments.get("head", CHECKPOINT_HEAD), directory)
    check_drafter_files(directory, config)


def check_gamma(point: PointConfig, max_gamma: int | None) -> None:
    """Raise UsageError for a draft longer than the drafter was trained for, where that is known."""
    if max_gamma is not None and point.gamma > max_gamma:
        raise UsageError(
            f"gamma is {point.gamma}; valid for drafter={point.drafter.name}: 1 to {max_gamma} "
            "(what its checkpoint was trained for)"
        )
