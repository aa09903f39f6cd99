"""Runs the blocks of a sweep: one after another here, or by a launcher of Hydra's.

Without an override of Hydra's own its launcher would do the same, after composing its settings
three times over.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig

from dspark_bench.config.compose import VERSION_BASE, conf_dir, one_line_errors
from dspark_bench.config.hydra_process import command_line, raised_errors, unvalidated_batches
from dspark_bench.config.schema import LAUNCH_NAME
from dspark_bench.core.errors import UsageError
from dspark_bench.store.failures import reason_of

_LAUNCHER = "hydra/launcher="


def run_here(run: Callable[[int], str], num_blocks: int) -> str | None:
    """Run block after block. Returns why points were left out, None if none were."""
    try:
        for index in range(num_blocks):
            run(index)
    except OSError as error:
        return f"left no result: {reason_of(error)}"
    return None


def launch(task: Callable[[DictConfig], str], overrides: Sequence[str]) -> str | None:
    """Run `task` at every combination, by Hydra's multirun. Returns why points were left out, if
    any were.

    overrides: Hydra's own, the place of its files, and keys that are added; the task brings the
    points, so nothing of theirs is composed again.
    Raises UsageError if Hydra refuses to start. The task itself raises nothing, so what is returned
    is of the launcher: a worker that was killed, or no room for its files.
    """
    main = hydra.main(
        config_path=str(conf_dir()), config_name=LAUNCH_NAME, version_base=VERSION_BASE
    )
    has_launcher = any(override.lstrip("+").startswith(_LAUNCHER) for override in overrides)
    with (
        command_line(["--multirun", *overrides]),
        raised_errors(),
        unvalidated_batches(),
        one_line_errors(runs_ours=True),
    ):
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
            return f"left no result: {reason_of(error)}"
    return None


def remove_job_folders(folder: Path) -> None:
    """Remove the empty folders that Hydra makes for its jobs; a launcher's own files stay.

    Raises OSError where nothing may be removed.
    """
    for job in (folder / ".hydra").glob("[0-9]*"):
        if job.is_dir() and not any(job.iterdir()):
            job.rmdir()
