"""Verbs that run models: they take Hydra overrides."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from dspark_bench.cli.app import ConfigDir, app, wide_console
from dspark_bench.core.errors import UsageError

if TYPE_CHECKING:
    from dspark_bench.commands.sweep_plan import SweepRequest

PANEL: Final = "Measure"
PASS_THROUGH: Final = {"allow_extra_args": True, "ignore_unknown_options": True}

Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY=VALUE",
        help="Hydra overrides and flags, such as gamma=2,4,8 or --cfg job.",
        show_default=False,
    ),
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Measure finished points again.")]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Show the points and the time they will take; run nothing."),
]


@app.command(rich_help_panel=PANEL, context_settings=PASS_THROUGH)
def sweep(
    overrides: Overrides = None,
    config_dir: ConfigDir = None,
    fresh: Fresh = False,
    dry_run: DryRun = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="The small size of an experiment that has sizes.")
    ] = False,
) -> None:
    """Run every combination of the swept values against its paired baseline.

    +experiment=paper runs every exhibit of the DSpark paper, each into a folder of its own.
    """
    from dspark_bench.config.hydra_flags import split_arguments
    from dspark_bench.config.sweep_lists import read_sweep_list

    split = split_arguments(overrides or [])
    found = read_sweep_list(split.overrides, quick, config_dir)
    if found is None:
        _run_points(overrides or [], config_dir, fresh, dry_run, is_single=False)
        return
    if split.flags:
        raise UsageError(f"{split.flags[0]} shows one point, but {found.name} is a list of sweeps")
    from dspark_bench.commands.sweep_list import dry_run_sweep_list, run_sweep_list
    from dspark_bench.commands.sweep_plan import SweepRequest

    act = dry_run_sweep_list if dry_run else run_sweep_list
    act(found, SweepRequest(split.overrides, config_dir, fresh), wide_console())


@app.command(rich_help_panel=PANEL, context_settings=PASS_THROUGH)
def run(
    overrides: Overrides = None,
    config_dir: ConfigDir = None,
    fresh: Fresh = False,
    dry_run: DryRun = False,
) -> None:
    """Run one point."""
    _run_points(overrides or [], config_dir, fresh, dry_run, is_single=True)


@app.command(rich_help_panel=PANEL, context_settings=PASS_THROUGH)
def verify(overrides: Overrides = None, config_dir: ConfigDir = None) -> None:
    """Check that a drafter and a scheduler leave the target's output as it is."""
    from rich.console import Console

    from dspark_bench.commands.verify import run_verify

    run_verify(_request(overrides or [], config_dir), Console())


@app.command(rich_help_panel=PANEL, context_settings=PASS_THROUGH)
def profile(overrides: Overrides = None, config_dir: ConfigDir = None) -> None:
    """Measure what a decode cycle costs here, by batch size and draft length."""
    from rich.console import Console

    from dspark_bench.commands.profile import run_profile

    run_profile(_request(overrides or [], config_dir), Console())


@app.command(rich_help_panel=PANEL, context_settings=PASS_THROUGH)
def train(overrides: Overrides = None, config_dir: ConfigDir = None) -> None:
    """Train a drafter (drafter=NAME) or a target (target=zoo) into train.out=FOLDER."""
    from rich.console import Console

    from dspark_bench.commands.train import run_train

    folder = run_train(_request(overrides or [], config_dir), Console())
    typer.echo(f"checkpoint: {folder}")


@app.command(rich_help_panel=PANEL, context_settings=PASS_THROUGH)
def calibrate(overrides: Overrides = None, config_dir: ConfigDir = None) -> None:
    """Fit a drafter's confidences to what is accepted; show ECE and AUC before and after."""
    from dspark_bench.commands.calibrate import run_calibrate

    run_calibrate(_request(overrides or [], config_dir), wide_console())


@app.command(rich_help_panel=PANEL, context_settings=PASS_THROUGH)
def converse(
    out: Annotated[Path, typer.Option(help="File to be made: JSON lines for workload=jsonl.")],
    overrides: Overrides = None,
    config_dir: ConfigDir = None,
) -> None:
    """Let the target answer a file's conversations; write a prompt for each of their turns."""
    from rich.console import Console

    from dspark_bench.commands.converse import ConverseRequest, run_converse

    run_converse(ConverseRequest(_request(overrides or [], config_dir), out), Console())


def _request(arguments: Sequence[str], config_dir: Path | None) -> "SweepRequest":
    from dspark_bench.commands.sweep_plan import SweepRequest
    from dspark_bench.config.hydra_flags import split_arguments

    split = split_arguments(arguments)
    if split.flags:
        raise UsageError(f"{split.flags[0]} belongs to sweep and run")
    return SweepRequest(split.overrides, config_dir)


def _run_points(
    arguments: Sequence[str],
    config_dir: Path | None,
    is_fresh: bool,
    is_dry_run: bool,
    is_single: bool,
) -> None:
    from dspark_bench.commands.dry_run import dry_run_sweep
    from dspark_bench.commands.sweep import run_sweep
    from dspark_bench.commands.sweep_plan import SweepRequest
    from dspark_bench.config.hydra_flags import Arguments, show, split_arguments
    from dspark_bench.config.sweep_lists import refuse_sweep_list, with_plain_group

    split = split_arguments(arguments)
    refuse_sweep_list(split.overrides, config_dir)
    overrides = with_plain_group(split.overrides)
    if split.flags:
        show(Arguments(overrides, split.flags), config_dir)
        return
    act = dry_run_sweep if is_dry_run else run_sweep
    act(SweepRequest(overrides, config_dir, is_fresh, is_single), wide_console())
