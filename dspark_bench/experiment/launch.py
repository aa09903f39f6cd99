"""Hands a task to Hydra's multirun, which expands the overrides and calls the chosen launcher."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig

from dspark_bench.core.errors import UsageError
from dspark_bench.experiment.compose import VERSION_BASE, conf_dir, one_line_errors
from dspark_bench.experiment.failures import reason_of
from dspark_bench.experiment.schema import CONFIG_NAME, register_schema

_RAISE = "HYDRA_FULL_ERROR"
_LAUNCHER = "hydra/launcher="


def launch(task: Callable[[DictConfig], str], overrides: Sequence[str]) -> str | None:
    """Run `task` at every combination. Returns why points were left out, None if none were.

    Raises UsageError if Hydra refuses to start. The task itself raises nothing, so what is returned
    is of the launcher: a worker that was killed, or no room for its files.
    """
    register_schema()
    main = hydra.main(
        config_path=str(conf_dir()), config_name=CONFIG_NAME, version_base=VERSION_BASE
    )
    has_launcher = any(override.lstrip("+").startswith(_LAUNCHER) for override in overrides)
    with command_line(["--multirun", *overrides]), raised_errors(), one_line_errors(runs_ours=True):
        try:
            main(task)()
        except HydraException:
            raise
        except OSError as error:
            return f"left no result: {reason_of(error)}"
        except SystemExit as stop:
            if stop.code not in (None, 0):
                raise UsageError("Hydra could not start the sweep; its message is above") from stop
        except Exception as error:
            if not has_launcher:
                raise
            return f"left no result: {type(error).__name__}: {reason_of(error)}"
    return None


def remove_job_folders(folder: Path) -> None:
    """Remove the empty folders that Hydra makes for its jobs; a launcher's own files stay.

    Raises OSError where nothing may be removed.
    """
    for job in (folder / ".hydra").glob("[0-9]*"):
        if job.is_dir() and not any(job.iterdir()):
            job.rmdir()


@contextmanager
def raised_errors() -> Iterator[None]:
    """Hydra raises what goes wrong, instead of printing it and leaving."""
    before = os.environ.get(_RAISE)
    os.environ[_RAISE] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_RAISE]
        else:
            os.environ[_RAISE] = before


@contextmanager
def command_line(arguments: Sequence[str]) -> Iterator[None]:
    """Hydra reads its arguments from the process's own."""
    typed = sys.argv
    sys.argv = [typed[0], *arguments]
    try:
        yield
    finally:
        sys.argv = typed
