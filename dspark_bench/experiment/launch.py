"""Hands a task to Hydra's multirun, which expands the overrides and calls the chosen launcher."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import hydra
from omegaconf import DictConfig

from dspark_bench.core.errors import UsageError
from dspark_bench.experiment.compose import VERSION_BASE, conf_dir
from dspark_bench.experiment.schema import CONFIG_NAME, register_schema


def launch(task: Callable[[DictConfig], str], overrides: Sequence[str]) -> None:
    """Run `task` at every combination. Raises UsageError if Hydra refuses to start."""
    register_schema()
    main = hydra.main(
        config_path=str(conf_dir()), config_name=CONFIG_NAME, version_base=VERSION_BASE
    )
    with command_line(["--multirun", *overrides]):
        try:
            main(task)()
        except SystemExit as stop:
            if stop.code not in (None, 0):
                raise UsageError("Hydra could not start the sweep; its message is above") from stop


def remove_job_folders(folder: Path) -> None:
    """Remove the empty folders that Hydra makes for its jobs; a launcher's own files stay."""
    for job in (folder / ".hydra").glob("[0-9]*"):
        if job.is_dir() and not any(job.iterdir()):
            job.rmdir()


@contextmanager
def command_line(arguments: Sequence[str]) -> Iterator[None]:
    """Hydra reads its arguments from the process's own."""
    typed = sys.argv
    sys.argv = [typed[0], *arguments]
    try:
        yield
    finally:
        sys.argv = typed
