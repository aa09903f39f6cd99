"""What the verbs share: the Typer application, and how they print."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from dspark_bench.report.setting_table import Line

app: Final = typer.Typer(
    name="dspark-bench",
    help="Benchmark speculative decoding: which drafter, which draft length, how much faster, why.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_PIPE_WIDTH = 160

ConfigDir = Annotated[
    Path | None,
    typer.Option(help="Folder with YAML groups of your own (drafter/mine.yaml)."),
]
Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY=VALUE",
        help="Only points with these values, such as drafter=semi_ar workload=math.",
        show_default=False,
    ),
]


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            found = version("dspark-bench")
        except PackageNotFoundError:
            found = "(run from its sources, not installed)"
        typer.echo(f"dspark-bench {found}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    """Benchmark speculative decoding: which drafter, which draft length, how much faster, why."""


def say(line: "Line") -> None:
    """One line of text, bold where it heads others."""
    typer.echo(typer.style(line.text, bold=True) if line.is_bold else line.text)


def wide_console() -> "Console":
    """Output to a file or a pipe is not cut to a terminal's width."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=max(console.width, _PIPE_WIDTH))
