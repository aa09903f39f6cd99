"""Where results come from: which folders hold sweeps, which came in the box, and which machine.

What came in the box lies below a folder with the file `SHIPPED`. It is left out wherever a user's
own results stand beside it, and shown, under a heading that says so, if it was asked for by path or
if there is nothing else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from dspark_bench.core.errors import ResultsError

SHIPPED: Final = "SHIPPED.md"
_UNKNOWN = "an unknown machine"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a point was measured. is_here: on the machine that asks (False if it does not say which
    one it is); machine: its parts in words, the same for equal `machine_id` only; is_shipped: it
    came with the package; is_compared: whether the machine that asks is known.
    """

    machine_id: str = ""
    machine: str = _UNKNOWN
    is_here: bool = False
    is_shipped: bool = False
    is_compared: bool = False

    @property
    def heading(self) -> str:
        """What stands above results of this origin."""
        if self.is_shipped:
            return f"Came with dspark-bench, measured on {self.machine}"
        return f"{'This' if self.is_here else 'Another'} machine: {self.machine}"

    @property
    def is_named(self) -> bool:
        """Whether a heading is due even where everything has this origin: not measured here."""
        return self.is_shipped or (self.is_compared and not self.is_here and bool(self.machine_id))

    @property
    def order(self) -> tuple[bool, bool, str]:
        """This machine first, what came in the box last."""
        return self.is_shipped, not self.is_here, self.machine


@dataclass(frozen=True, slots=True)
class FoundSweep:
    """A sweep's folder and its name below the folder that was asked for."""

    name: str
    folder: Path
    is_shipped: bool = False


def find_sweeps(path: Path) -> list[Path]:
    """Folders at or below `path` that hold a sweep. Raises ResultsError if there is none."""
    if not path.is_dir():
        raise ResultsError(f"{path} is not a folder; valid: results/<name> or a folder of sweeps")
    found = {file.parent for file in path.rglob("sweep.json")}
    found |= {file.parents[2] for file in path.rglob("points/[!.]*/metrics.json")}
    if not found:
        raise ResultsError(f"no sweep in {path}: neither it nor a folder below has a sweep.json")
    return sorted(found)


def discover(paths: Sequence[Path]) -> tuple[list[FoundSweep], tuple[str, ...]]:
    """The sweeps to show, each with its name, and the names of those left out.

    Raises ResultsError if a path holds none.
    """
    shown: list[FoundSweep] = []
    hidden: list[FoundSweep] = []
    for root in paths:
        for folder in find_sweeps(root):
            name = _sweep_name(folder, root, is_alone=len(paths) == 1)
            is_shipped, is_asked = _is_shipped(folder), _is_shipped(root)
            found = FoundSweep(name, folder, is_shipped)
            (hidden if is_shipped and not is_asked else shown).append(found)
    if not shown:
        return hidden, ()
    return shown, tuple(sweep.name for sweep in hidden)


def _is_shipped(folder: Path) -> bool:
    """Whether a folder lies in one that came with the package."""
    place = folder.resolve()
    return any((parent / SHIPPED).is_file() for parent in (place, *place.parents))


def origin_of(environment: Mapping[str, Any], here: str | None, is_shipped: bool) -> Origin:
    """Origin of a point by its environment.json. here: machine_id of the machine that asks."""
    machine_id = str(environment.get("machine_id") or "")
    is_here = machine_id == here
    return Origin(machine_id, machine_text(environment), is_here, is_shipped, here is not None)


def machine_text(environment: Mapping[str, Any]) -> str:
    """Processor, cores and GPUs in words."""
    cpu, gpus = environment.get("cpu_model"), environment.get("gpus")
    names = (
        [str(gpu.get("name")) for gpu in gpus or () if isinstance(gpu, dict)]
        if (isinstance(gpus, list))
        else []
    )
    if not cpu:
        return ", ".join(names) or _UNKNOWN
    return ", ".join([f"{cpu} ({environment.get('num_cores')} cores)", *names])


def told_apart(origins: Sequence[Origin]) -> dict[Origin, Origin]:
    """Origins whose words would be the same for two machines, with their ids added."""
    ids: dict[str, set[str]] = {}
    for origin in origins:
        ids.setdefault(origin.machine, set()).add(origin.machine_id)
    return {
        origin: replace(origin, machine=f"{origin.machine}, id {origin.machine_id[:8] or '-'}")
        if len(ids[origin.machine]) > 1
        else origin
        for origin in origins
    }


def _sweep_name(folder: Path, root: Path, is_alone: bool) -> str:
    """Path below the root, which names itself where it is the sweep or one of several roots."""
    below = folder.relative_to(root)
    if not below.parts:
        return folder.resolve().name
    return below.as_posix() if is_alone else (Path(root.resolve().name) / below).as_posix()
