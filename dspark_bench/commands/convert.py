"""`dspark-bench convert`: a drafter in another format, or pickled weights as safetensors."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from dspark_bench.core.errors import CheckpointError, UsageError
from dspark_bench.core.wording import number_of
from dspark_bench.models.draft_formats.conversion import SLUGS, convert
from dspark_bench.models.draft_formats.reading import read_any_draft_config
from dspark_bench.models.hub import find_model
from dspark_bench.models.safetensors_convert import (
    has_only_pickles,
    refuse_existing,
    write_as_safetensors,
)

SAFETENSORS: Final = "safetensors"


@dataclass(frozen=True, slots=True)
class ConvertRequest:
    """model, target: folders or names on the hub; to: a format's slug, or safetensors."""

    model: str
    to: str
    out: Path
    target: str | None = None


def run_convert(request: ConvertRequest, say: Callable[[str], None]) -> None:
    """Write the folder `out`, whole or not at all. Raises UsageError, CheckpointError."""
    if request.to not in (*SLUGS, SAFETENSORS):
        valid = ", ".join((*sorted(SLUGS), SAFETENSORS))
        raise UsageError(f"--to is {request.to!r}; valid: {valid}")
    refuse_existing(request.out)
    source = find_model(request.model, takes_pickles=True).folder
    if request.to == SAFETENSORS:
        count = write_as_safetensors(source, request.out)
        say(f"{number_of(count, 'tensor')}, read without running code, written to {request.out}")
        say(f"next: dspark-bench inspect {request.out}")
        return
    target = None if request.target is None else find_model(request.target).folder
    with _readable(source, request.out) as folder:
        config = convert(folder, request.to, request.out, target)
    say(f"{config.layout.name}, read as {config.format_name}, written to {request.out}")
    written = read_any_draft_config(request.out)
    if config.num_target_layers and written and written.num_target_layers is None:
        say(
            f"note: {written.format_name} has no place for its target's depth, "
            f"{number_of(config.num_target_layers, 'layer')}: a target of another depth is not "
            "refused by it"
        )


@contextmanager
def _readable(source: Path, out: Path) -> Iterator[Path]:
    """The checkpoint with safetensors: itself, or for the time being a copy beside `out`."""
    if not has_only_pickles(source):
        yield source
        return
    near = next(path for path in out.absolute().parents if path.is_dir())
    try:
        with TemporaryDirectory(prefix=f".{out.name}-", dir=near) as work:
            folder = Path(work) / "unpickled"
            write_as_safetensors(source, folder)
            try:
                yield folder
            except CheckpointError as error:
                raise CheckpointError(str(error).replace(str(folder), str(source))) from error
    except OSError as error:
        raise UsageError(f"--out is {out}: {error.strerror or error}") from error
