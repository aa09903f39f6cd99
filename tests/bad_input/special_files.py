"""Pipes, devices and links to themselves in the places of files: nobody may wait for them."""

from pathlib import Path
from typing import Final

from tests.bad_input.case import Case, either, overridden
from tests.bad_input.edits import link, pipe, with_point
from tests.bad_input.gate import CHECK, GATE
from tests.bad_input.results import DONE

_READ: Final[dict[str, tuple[str, ...]]] = {
    "prompts.jsonl": overridden("sweep"),
    "target/config.json": overridden("sweep"),
    "target/model.safetensors": overridden("sweep"),
    "target/tokenizer.json": overridden("sweep"),
    "trace.jsonl": overridden("sweep", "load=trace", "load.path=trace.jsonl", "load.time_unit=ms"),
    "costs.json": overridden(
        "sweep", "scheduler=hardware_aware", "cost=file", "cost.path=costs.json"
    ),
    "calibration.json": overridden("sweep", "calibrator.path=calibration.json"),
    "baseline.json": CHECK,
    f"{GATE}/sweep.json": CHECK,
}
_DEVICES: Final = ("/dev/null", "/dev/zero")


def cases() -> list[Case]:
    """The catalogue's part."""
    found = [
        Case("special files", f"{kind}: {name}", arguments, _named(name, kind), make(name))
        for name, arguments in _READ.items()
        for kind, make in (("a pipe", pipe), ("a link to itself", link))
    ]
    found += [
        Case(
            "special files", f"{path}: prompts", overridden("sweep", f"workload.path={path}"), path
        )
        for path in _DEVICES
    ]
    found += [
        Case("special files", f"{path}: baseline", ("check", GATE, "--baseline", path), path)
        for path in _DEVICES
    ]
    found += [
        either(
            "special files",
            f"a pipe: {verb}: sweep.json",
            (verb, DONE),
            pipe(f"{DONE}/sweep.json"),
            "pipe or a device",
        )
        for verb in ("plot", "report", "recommend")
    ]
    return [
        *found,
        Case(
            "special files",
            "a pipe: cycles.parquet",
            CHECK,
            "pipe or a device",
            with_point(GATE, pipe("cycles.parquet")),
        ),
        Case(
            "special files",
            "a target that is a link to itself",
            overridden("sweep", "target.path=loop"),
            "no checkpoint directory at loop",
            link("loop"),
        ),
        Case(
            "special files",
            "a --config-dir that is a link to itself",
            (*overridden("sweep"), "--config-dir", "loop"),
            "--config-dir loop: no such folder",
            link("loop"),
        ),
        Case(
            "special files",
            "results that are a link to itself",
            overridden("sweep", "results_dir=loop"),
            "cannot write results to loop",
            link("loop"),
        ),
    ]


def _named(name: str, kind: str) -> str:
    """A results folder whose plan is no file holds no sweep."""
    if name == f"{GATE}/sweep.json" and kind != "a pipe":
        return f"no sweep in {GATE}"
    return Path(name).name
