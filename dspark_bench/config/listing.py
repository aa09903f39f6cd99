"""`dspark-bench list`: every option of every group, from the comments of its YAML file.

Reads text only: nothing is imported, so a plug-in that cannot be imported is still listed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from dspark_bench.config.compose import conf_dir
from dspark_bench.core.errors import UsageError

LISTED_GROUPS = (
    "target",
    "drafter",
    "scheduler",
    "cost",
    "calibrator",
    "load",
    "lengths",
    "workload",
    "acceptance",
    "engine",
    "measure",
    "slo",
    "experiment",
)


@dataclass(frozen=True, slots=True)
class Option:
    """One YAML file of one group."""

    group: str
    name: str
    summary: str


def list_options(config_dir: Path | None = None) -> list[Option]:
    """Shipped options, then those of `--config-dir`."""
    folders = [conf_dir()]
    if config_dir is not None:
        if not config_dir.is_dir():
            raise UsageError(f"--config-dir {config_dir}: no such folder")
        folders.append(config_dir)
    return [
        Option(group, path.stem, _summary(path))
        for group in LISTED_GROUPS
        for folder in folders
        for path in sorted((folder / group).glob("*.yaml"))
    ]


def option_table(options: Sequence[Option]) -> Table:
    """One line per option."""
    table = Table(box=None, pad_edge=False)
    for name in ("group", "option", "what it is"):
        table.add_column(name)
    for option in options:
        table.add_row(option.group, f"{option.group}={option.name}", option.summary)
    return table


def _summary(path: Path) -> str:
    """The first comment after the commands that open the file."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {error}") from error
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        text = line.removeprefix("#").strip()
        if text and not text.startswith(("dspark-bench", "@package")):
            return text
    return ""
