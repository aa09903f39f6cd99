"""`dspark-bench inspect MODEL`: what a checkpoint is, how to run it, and what it lacks."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from dspark_bench.commands.drafter_facts import described, fits
from dspark_bench.core.errors import CheckpointError
from dspark_bench.models.backend import Backend, check_files, is_hosted, read_shape
from dspark_bench.models.checkpoint import Header, check_folder, read_headers
from dspark_bench.models.config import read_model_config
from dspark_bench.models.config_values import read_json
from dspark_bench.models.draft_config import EAGLE
from dspark_bench.models.draft_decoder import check_decoder_files, decoder_tensors
from dspark_bench.models.draft_formats.unread import name_unread
from dspark_bench.models.drafter_files import (
    Kind,
    check_fits,
    kind_of,
    owned_headers,
    parse_drafter,
    tensors_of,
)
from dspark_bench.models.expected_tensors import (
    EMBEDDING,
    Expected,
    check_headers,
    target_tensors,
)
from dspark_bench.models.families import FAMILIES
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
    kind = kind_of(data)
    headers, _ = _headers(directory)
    is_whole = EMBEDDING in headers  # a target of one layer has the configuration of an EAGLE
    if kind is not None and not (kind.layout == EAGLE and is_whole):
        return _drafter(directory, data, kind, target, called or str(directory))
    unread = name_unread(data, headers, files)
    if unread is not None:
        return Inspection({"format": f"{unread}: no reader yet"} | _size(headers), None)
    if isinstance(data.get("model_type"), str):
        called = called or str(directory)
        if data["model_type"] in FAMILIES and headers and EMBEDDING not in headers:
            return _bare_decoder(directory, headers, target, called)
        return _target(directory, data["model_type"], target, called)
    raise CheckpointError(
        f"{directory} looks like no drafter or target that is known here; valid: a folder with "
        "config.json and safetensors (docs/drafter_formats.md)"
    )


def _drafter(
    directory: Path, data: dict[str, Any], kind: Kind, target: Path | None, called: str
) -> Inspection:
    facts = {"kind": kind.layout.name, "format": kind.format_name or "not known"}
    facts["run as"] = f"drafter={kind.layout.drafter} drafter.path={called}"
    headers, problem = _headers(directory)
    try:
        config = parse_drafter(data, directory)
    except CheckpointError as error:
        return Inspection(facts | _size(headers), str(error))
    headers = owned_headers(config, headers)
    facts["format"] = kind.format_name or config.format_name
    facts |= described(config) | _size(headers)
    if problem is None:
        expected = tensors_of(config, headers)
        facts |= _differences(headers, expected)
        problem = _first_problem(directory, headers, expected)
    facts["fits"] = fits(config)
    if target is not None:
        try:
            check_fits(config, read_shape(target, Backend.AUTO), directory)
            facts["with that target"] = "it fits"
        except CheckpointError as error:
            facts["with that target"] = "it does not fit"
            problem = problem or str(error)
    return Inspection(facts, problem)


def _target(directory: Path, family: str, target: Path | None, called: str) -> Inspection:
    headers, problem = _headers(directory)
    hosted = is_hosted(directory, Backend.AUTO)
    facts = {
        "format": f"a target, {family}{', computed by transformers' if hosted else ''}",
        "run as": f"target.path={called}",
    }
    if not hosted:
        facts["or beside a larger one"] = f"drafter=draft_model drafter.path={called}"
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
    if problem is None and target is not None and not hosted:
        said, problem = _drafts_for(directory, target)
        facts["with that target"] = said
    return Inspection(facts, problem)


def _bare_decoder(
    directory: Path, headers: Mapping[str, Header], target: Path | None, called: str
) -> Inspection:
    """A decoder without an embedding, which only a drafter can be."""
    facts = {
        "kind": "draft model",
        "format": "a decoder without an embedding: it takes its target's, and its head",
        "run as": f"drafter=draft_model drafter.path={called}",
    }
    try:
        config = read_model_config(directory)
    except CheckpointError as error:
        return Inspection(facts | _size(headers), str(error))
    expected = decoder_tensors(config, None, headers)
    vocab, width = config.vocab_size, config.hidden_size
    facts |= {"layers": f"{config.num_hidden_layers} of width {width}"} | _size(headers)
    facts |= _differences(headers, expected)
    facts["fits"] = f"targets of {vocab} tokens and width {width}"
    problem = _first_problem(directory, headers, expected)
    if target is not None and problem is None:
        said, problem = _drafts_for(directory, target)
        facts["with that target"] = said
    return Inspection(facts, problem)


def _drafts_for(directory: Path, target: Path) -> tuple[str, str | None]:
    """Whether a decoder can draft for a target, and why not."""
    try:
        check_decoder_files(directory, read_shape(target, Backend.AUTO), target)
    except CheckpointError as error:
        return "it does not fit", str(error)
    return "it fits", None


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
