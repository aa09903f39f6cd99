"""`dspark-bench inspect MODEL`: what a checkpoint is, how to run it, and what it lacks."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from dspark_bench.core.errors import CheckpointError
from dspark_bench.core.features import FINAL_NORM
from dspark_bench.models.backend import Backend, check_files, is_hosted, read_shape
from dspark_bench.models.checkpoint import Header, check_folder, read_headers
from dspark_bench.models.config import read_model_config
from dspark_bench.models.config_values import read_json
from dspark_bench.models.draft_config import DraftConfig, check_fits_target
from dspark_bench.models.draft_formats.reading import Recognised, recognise
from dspark_bench.models.draft_formats.unread import name_unread
from dspark_bench.models.expected_tensors import (
    EMBEDDING,
    Expected,
    check_headers,
    drafter_tensors,
    target_tensors,
)
from dspark_bench.models.hub import find_model

_MOST_NAMES = 4


@dataclass(frozen=True, slots=True)
class Inspection:
    """facts: what is there, by what it is; problem: why it cannot be run, None if it can."""

    facts: dict[str, str]
    problem: str | None


def run_inspect(model: str, target: str | None, console: Console) -> None:
    """Print what a checkpoint is. After that, raises CheckpointError if it cannot be run.

    model, target: folders or names on the hub.
    """
    source = find_model(model)
    beside = None if target is None else find_model(target).folder
    found = inspect(source.folder, beside, model)
    if source.hub is not None:
        found = replace(found, facts=found.facts | {"on the hub": str(source.hub)})
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column()
    for name, value in found.facts.items():
        table.add_row(name, value)
    console.print(table, highlight=False)
    if found.problem is not None:
        raise CheckpointError(found.problem)


def inspect(directory: Path, target: Path | None = None, called: str | None = None) -> Inspection:
    """Look at a folder's configuration and at the headers of its weights.

    target: a target's folder, to say whether a drafter fits it; called: what the folder is called
    on a command line, if not by its path. Raises CheckpointError for a folder
    that is not there, and for one that is nothing known.
    """
    check_folder(directory)
    files = [path.name for path in directory.iterdir()]
    data = read_json(directory / "config.json") if "config.json" in files else {}
    recognised = recognise(data)
    headers, _ = _headers(directory)
    if recognised is not None and EMBEDDING not in headers:
        return _drafter(directory, data, recognised, target, called or str(directory))
    unread = name_unread(data, headers, files)
    if unread is not None:
        return Inspection({"format": f"{unread}: no reader yet"} | _size(headers), None)
    if isinstance(data.get("model_type"), str):
        return _target(directory, data["model_type"], called or str(directory))
    raise CheckpointError(
        f"{directory} looks like no drafter or target that is known here; valid: a folder with "
        "config.json and safetensors (docs/drafter_formats.md)"
    )


def _drafter(
    directory: Path, data: dict[str, Any], recognised: Recognised, target: Path | None, called: str
) -> Inspection:
    layout = recognised.layout
    facts = {"kind": layout.name, "format": recognised.format.name}
    facts["run as"] = f"drafter={layout.drafter} drafter.path={called}"
    headers, problem = _headers(directory)
    try:
        config = recognised.format.parse(data, str(directory / "config.json"))
    except CheckpointError as error:
        return Inspection(facts | _size(headers), str(error))
    facts |= _described(config) | _size(headers)
    if problem is None:
        expected = drafter_tensors(config, headers)
        facts |= _differences(headers, expected)
        problem = _first_problem(directory, headers, expected)
    facts["fits"] = _fits(config)
    if target is not None:
        try:
            check_fits_target(config, read_shape(target, Backend.AUTO), directory)
            facts["with that target"] = "it fits"
        except CheckpointError as error:
            facts["with that target"] = "it does not fit"
            problem = problem or str(error)
    return Inspection(facts, problem)


def _described(config: DraftConfig) -> dict[str, str]:
    model = config.model
    reads = "the inputs of layers 2, n // 2 and n - 3 of its target's n"
    if config.target_layer_ids is not None:
        named = ["the embedding" if i == -1 else str(i) for i in config.target_layer_ids]
        reads = f"the outputs of the target's layers {', '.join(named)} (the first is 0)"
    if config.target_layer_ids == (FINAL_NORM,):
        reads = "the target's state behind its final norm"
    drafted = f"all {model.vocab_size} tokens"
    if config.is_reduced:
        head = "" if config.has_own_head else ", with the target's head"
        drafted = f"{config.draft_vocab_size} of {model.vocab_size} tokens{head}"
    head = f", {config.head_type} head of rank {config.markov_rank}" if config.markov_rank else ""
    return {
        "gamma": "any: not stated" if config.max_gamma is None else f"up to {config.max_gamma}",
        "reads": reads,
        "drafts": drafted,
        "layers": f"{model.num_hidden_layers} of width {model.hidden_size}{head}",
        "confidence": "yes" if config.has_confidence else "none",
    }


def _fits(config: DraftConfig) -> str:
    depth = "7 layers or more"
    if config.num_target_layers is not None:
        depth = f"{config.num_target_layers} layers"
    elif config.target_layer_ids is not None:
        depth = f"{max(1, max(config.target_layer_ids) + 2)} layers or more"
    vocab, width = config.model.vocab_size, config.target_hidden_size
    return f"targets of {vocab} tokens, width {width} and {depth}"


def _target(directory: Path, family: str, called: str) -> Inspection:
    headers, problem = _headers(directory)
    hosted = is_hosted(directory, Backend.AUTO)
    facts = {
        "format": f"a target, {family}{', computed by transformers' if hosted else ''}",
        "run as": f"target.path={called}",
    }
    try:
        shape = read_shape(directory, Backend.AUTO)
        facts["layers"] = f"{shape.num_hidden_layers} of width {shape.hidden_size}"
        facts["vocabulary"] = f"{shape.vocab_size} tokens"
        facts |= _size(headers)
        if problem is None and not hosted:
            facts |= _differences(headers, target_tensors(read_model_config(directory)))
        if problem is None:
            check_files(directory, Backend.AUTO)
    except CheckpointError as error:
        return Inspection(facts | _size(headers), str(error))
    return Inspection(facts, problem)


def _headers(directory: Path) -> tuple[dict[str, Header], str | None]:
    """Of the weights; none and the reason where they cannot be read."""
    try:
        return read_headers(directory), None
    except CheckpointError as error:
        return {}, str(error)


def _size(headers: Mapping[str, Header]) -> dict[str, str]:
    if not headers:
        return {"parameters": "no weights that can be read"}
    weights = [one for one in headers.values() if one.dtype.is_floating_point]
    count = sum(math.prod(one.shape) for one in weights)
    size = sum(math.prod(one.shape) * one.dtype.itemsize for one in headers.values())
    return {"parameters": f"{count} ({size / 2**20:.1f} MiB)"}


def _differences(headers: Mapping[str, Header], expected: Expected) -> dict[str, str]:
    known = {**expected.required, **expected.optional}
    missing = sorted(expected.required.keys() - headers.keys())
    more = sorted(headers.keys() - known.keys())
    facts = {"missing": _listed(missing) if missing else "nothing"}
    return facts | ({"not understood": _listed(more)} if more else {})


def _listed(names: list[str]) -> str:
    rest = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + rest


def _first_problem(
    directory: Path, headers: Mapping[str, Header], expected: Expected
) -> str | None:
    try:
        check_headers(directory, expected, headers)
    except CheckpointError as error:
        return str(error)
    return None
