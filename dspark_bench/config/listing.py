"""`dspark-bench list`: every option of every group, from the comments of its YAML file.

Reads comments only: no option is composed and nothing is imported, so that a plug-in that cannot be
imported, or a file that is no YAML, is still listed.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from dspark_bench.config.compose import conf_dir
from dspark_bench.config.schema import GROUPS
from dspark_bench.config.wording import did_you_mean
from dspark_bench.core.errors import UsageError

_HINT = "dspark-bench list GROUP says what each option is; GROUP=OPTION chooses it"


@dataclass(frozen=True, slots=True)
class Option:
    """One YAML file of one group."""

    group: str
    name: str
    summary: str


def list_options(config_dir: Path | None = None, group: str | None = None) -> list[Option]:
    """Shipped options, then those of `--config-dir`; of one group or of all.

    Raises UsageError for a group or a folder that does not exist.
    """
    if group is not None and group not in GROUPS:
        hint = did_you_mean(group, GROUPS)
        raise UsageError(f"there is no group {group!r}{hint}; valid: {', '.join(GROUPS)}")
    folders = [conf_dir()]
    if config_dir is not None:
        if not config_dir.is_dir():
            raise UsageError(f"--config-dir {config_dir}: no such folder")
        folders.append(config_dir)
    return [
        Option(name, path.stem, _summary(path))
        for name in (GROUPS if group is None else (group,))
        for folder in folders
        for path in sorted((folder / name).glob("*.yaml"))
    ]


def overview(options: Sequence[Option], width: int) -> str:
    """Each group with its options' names, no line wider than `width` characters."""
    by_group: dict[str, list[str]] = {}
    for option in options:
        by_group.setdefault(option.group, []).append(option.name)
    column = max(len(group) for group in by_group) + 2
    lines = [
        textwrap.fill(
            ", ".join(dict.fromkeys(names)),
            width,
            initial_indent=group.ljust(column),
            subsequent_indent=" " * column,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for group, names in by_group.items()
    ]
    return "\n".join([*lines, "", _HINT])


def option_table(options: Sequence[Option]) -> Table:
    """One line per option: how it is written, and what it is."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column()
    for option in options:
        table.add_row(f"{option.group}={option.name}", option.summary)
    return table


def _summary(path: Path) -> str:
    """The first comment after the commands that open the file."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return f"(cannot be read: {error})"
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        text = line.removeprefix("#").strip()
        if text and not text.startswith(("dspark-bench", "@package")):
            return text
    return ""
