"""One malformed input: what is broken, the command that meets it, and what must come of it.

Three outcomes are right. `refused`: one line on stderr that starts with `error: ` and holds `says`,
and the exit code. `named`: the command goes on without the broken part, exits with the code, and
its output holds `says`. `either`: of damage at random bytes, which a file may bear: exit code 0 and
no error, or as `refused`. Never a traceback, a hang, or a file written outside the results folder.
"""

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

TIMEOUT_S: Final = 60.0
Verdict = Literal["refused", "named", "either"]
Prepare = Callable[[Path], None]

SWEEP: Final = (
    "target.path=target",
    "drafter=semi_ar",
    "drafter.path=semi_ar",
    "workload=jsonl",
    "workload.path=prompts.jsonl",
    "name=tiny",
    "gamma=2",
    "num_requests=2",
    "max_new_tokens=8",
    "measure.precision=null",
    "measure.repeats=1",
    "measure.warmup_requests=0",
    "measure.calibration_requests=2",
    "measure.agreement_requests=1",
    "measure.law_tokens=0",
    "engine=cpu",
    "engine.threads=1",
)
"""A sweep over the tiny checkpoints of the box, which takes a second; results go to `results`."""


@dataclass(frozen=True, slots=True)
class Case:
    """arguments: the command line; prepare: breaks something in the box (its working folder);
    writable: folders of the box that the command may write to.
    """

    category: str
    name: str
    arguments: tuple[str, ...]
    says: str
    prepare: Prepare | None = None
    exit_code: int = 2
    verdict: Verdict = "refused"
    writable: tuple[str, ...] = ("results",)

    @property
    def id(self) -> str:
        """Unique over the catalogue."""
        return f"{self.category}: {self.name}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command did. written: files changed outside the writable folders."""

    exit_code: int
    out: str
    err: str
    written: tuple[str, ...]
    is_hang: bool = False

    @property
    def has_traceback(self) -> bool:
        """Whether either stream shows one."""
        return "Traceback (most recent call last)" in self.out + self.err


def overridden(verb: str, *more: str) -> tuple[str, ...]:
    """The tiny sweep's overrides with others in place of those of the same key."""
    keys = {override.lstrip("+~").split("=", 1)[0] for override in more}
    kept = [override for override in SWEEP if override.split("=", 1)[0] not in keys]
    return (verb, *kept, *more)


def either(
    category: str, name: str, arguments: tuple[str, ...], prepare: Prepare, says: str = ""
) -> Case:
    """A case of damage that may be borne."""
    return Case(category, name, arguments, says, prepare, verdict="either")


def one_line(case: Case, outcome: Outcome) -> bool:
    """Whether the message is as it must be."""
    if case.verdict == "named":
        return case.says in outcome.out + outcome.err and "error: " not in outcome.err
    if case.verdict == "either" and outcome.exit_code == 0:
        return "error: " not in outcome.err
    lines = outcome.err.splitlines()
    return len(lines) == 1 and lines[0].startswith("error: ") and case.says in lines[0]


def problems(case: Case, outcome: Outcome) -> list[str]:
    """What is wrong with an outcome; empty if nothing is."""
    found = []
    if outcome.is_hang:
        found.append(f"still running after {TIMEOUT_S:.0f} s")
    if outcome.has_traceback:
        found.append("a traceback")
    valid = {0, case.exit_code} if case.verdict == "either" else {case.exit_code}
    if outcome.exit_code not in valid:
        found.append(f"exit code {outcome.exit_code}, expected {case.exit_code}")
    if not one_line(case, outcome):
        found.append(f"stderr is not one line with {case.says!r}")
    if outcome.written:
        found.append(f"wrote {', '.join(outcome.written)}")
    return found


def describe(case: Case, outcome: Outcome) -> str:
    """Everything that is needed to look into a wrong outcome."""
    command = " ".join(case.arguments)[:600]
    wrong = "; ".join(problems(case, outcome))
    return (
        f"{case.id}: {wrong}\n$ dspark-bench {command}\n{outcome.out[-600:]}{outcome.err[-3000:]}"
    )


def open_box(stock: Path, box: Path, case: Case) -> dict[str, str]:
    """Fill a working folder with everything that is sound, break what the case breaks, and return
    what lies where.
    """
    shutil.copytree(stock, box)
    if case.prepare is not None:
        case.prepare(box)
    return tree(box)


def changed(before: dict[str, str], box: Path, case: Case) -> tuple[str, ...]:
    """Files and folders that came, went or changed outside the case's writable folders."""
    after = tree(box)
    names = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    return tuple(name for name in names if name.split("/", 1)[0] not in case.writable)


def tree(folder: Path) -> dict[str, str]:
    """Every path below a folder with a hash of its content; links are not followed."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        is_file = path.is_file() and not path.is_symlink()
        found[name] = hashlib.sha256(path.read_bytes()).hexdigest() if is_file else "-"
    return found
