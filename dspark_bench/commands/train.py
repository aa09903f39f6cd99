"""`dspark-bench train`: a new target, or a drafter for a target that this toolkit trained.

`train target=zoo` trains a target of the zoo's shape from nothing; `train drafter=NAME` trains that
drafter against the configured target. Both resume from `train.work`.
"""

import math
import os
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console
from tokenizers import Tokenizer

from dspark_bench.commands.sweep_plan import SweepRequest
from dspark_bench.config.compose import compose_point, hydra_session, search_path_override
from dspark_bench.config.expand import expand
from dspark_bench.config.point_config import ZOO, PointConfig, to_point_config
from dspark_bench.config.schema import TrainSettings
from dspark_bench.config.sweep_lists import refuse_sweep_list, with_plain_group
from dspark_bench.config.validate import check_overrides
from dspark_bench.core.errors import UsageError
from dspark_bench.models.checkpoint import read_tokenizer
from dspark_bench.models.fetchable import FETCHABLE
from dspark_bench.training.corpus import CorpusConfig
from dspark_bench.training.prepared import folder_for, prepare
from dspark_bench.training.process import prepare_process
from dspark_bench.training.target_stages import StagedJob, train_in_stages
from dspark_bench.training.tokenizer import EOS_TOKEN, EOS_TOKEN_ID, MASK_TOKEN, MASK_TOKEN_ID
from dspark_bench.training_runs.architectures import ARCHITECTURES
from dspark_bench.training_runs.responses import ResponsePlan
from dspark_bench.training_runs.train_drafters import DraftersJob, recipe_for, train


def run_train(request: SweepRequest, console: Console) -> Path:
    """Train what the overrides name; returns the checkpoint's folder. Raises UsageError."""
    refuse_sweep_list(request.overrides, request.config_dir)
    overrides = (*request.overrides, *search_path_override(request.config_dir, request.overrides))
    overrides = with_plain_group(overrides)
    check_overrides(overrides)
    expansion = expand(overrides)
    if len(expansion.points) > 1:
        keys = ", ".join(expansion.swept_keys)
        raise UsageError(f"train takes one model, but {keys} has several values")
    with hydra_session():
        composed = compose_point(overrides)
    settings = TrainSettings(**composed.values["train"])
    point = to_point_config(composed, "train")
    _check_numbers(settings)
    out = _out(settings)
    prepare_process(settings.threads or max(1, torch.get_num_threads() - 1))
    if _names(overrides, "drafter"):
        return _train_drafter(point, settings, out, console)
    chosen = point.choices.get("target")
    if chosen in FETCHABLE:
        raise UsageError(
            f"train target={chosen}: fetched models are not trained; valid: target=zoo"
        )
    if _names(overrides, "target"):
        return train_in_stages(StagedJob(Path(settings.work), out, settings.minutes), console)
    raise UsageError("train needs drafter=NAME or target=zoo: what is to be trained?")


def _train_drafter(
    point: PointConfig, settings: TrainSettings, out: Path, console: Console
) -> Path:
    name = _trainable_name(point)
    work = Path(settings.work)
    tokenizer = _fit_tokenizer(point.target_dir)
    data = prepare(folder_for(work, tokenizer), CorpusConfig(), tokenizer=tokenizer)
    job = DraftersJob(
        names=(name,),
        target_dir=point.target_dir,
        data=data,
        work=work / "drafters",
        out=out,
        recipe=recipe_for(settings.steps, point.seed),
        responses=ResponsePlan(num_responses=settings.responses),
    )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return train(job, device, console)[name]


def _trainable_name(point: PointConfig) -> str:
    """The drafter's name in the trainer: semi_ar with another head is another architecture."""
    name = point.drafter.name
    head = point.drafter.arguments.get("head", "checkpoint")
    if name == "semi_ar" and head in ("gated", "rnn"):
        name = f"semi_ar_{head}"
    if name not in ARCHITECTURES:
        raise UsageError(f"drafter is {name!r}; trainable: {', '.join(ARCHITECTURES)}")
    return name


def _fit_tokenizer(target_dir: Path) -> Tokenizer:
    """The target's tokenizer, if the trainers' corpus format can hold its tokens."""
    tokenizer = read_tokenizer(target_dir)
    ends = (tokenizer.token_to_id(EOS_TOKEN), tokenizer.token_to_id(MASK_TOKEN))
    if ends != (EOS_TOKEN_ID, MASK_TOKEN_ID):
        raise UsageError(
            f"{target_dir}: drafters are trained for targets made by `train target=zoo`, whose "
            f"tokens {EOS_TOKEN_ID} and {MASK_TOKEN_ID} are {EOS_TOKEN} and {MASK_TOKEN}; "
            f"here they have the ids {ends[0]} and {ends[1]}; for a chat model: "
            "python -m dspark_bench.evidence.train_smollm2"
        )
    return tokenizer


def _check_numbers(settings: TrainSettings) -> None:
    if not (math.isfinite(settings.minutes) and settings.minutes > 0):
        raise UsageError(f"train.minutes is {settings.minutes}; valid: above 0")
    if settings.responses < 1:
        raise UsageError(f"train.responses is {settings.responses}; valid: 1 or more")
    if settings.steps < 1:
        raise UsageError(f"train.steps is {settings.steps}; valid: 1 or more")
    num_cores = os.cpu_count() or 1
    if settings.threads is not None and not 1 <= settings.threads <= num_cores:
        raise UsageError(f"train.threads is {settings.threads}; valid here: 1 to {num_cores}")


def _check_folder(key: str, folder: Path) -> None:
    """A folder, or a place where one can be made: found before hours of training."""
    nearest = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise UsageError(f"{key} is {folder}: {nearest} is no writable folder")


def _out(settings: TrainSettings) -> Path:
    if settings.out is None:
        raise UsageError("train.out is not given; valid: a folder for the finished checkpoint")
    out = Path(settings.out)
    if out.resolve().is_relative_to(ZOO.resolve()):
        raise UsageError(f"train.out is {out}, inside the embedded zoo; choose another folder")
    _check_folder("train.out", out)
    _check_folder("train.work", Path(settings.work))
    return out


def _names(overrides: Sequence[str], key: str) -> bool:
    return any(o.startswith((f"{key}=", f"{key}.")) for o in overrides)
