"""Verbs that read results, and run no model."""

from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from dspark_bench.cli.app import Words, app, say, wide_console
from dspark_bench.core.errors import UsageError

PANEL: Final = "Read results"


@app.command(rich_help_panel=PANEL)
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


@app.command(rich_help_panel=PANEL)
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


@app.command(rich_help_panel=PANEL)
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

    print_recommendations(path, say, wide_console().width, why, this_machine_id())


@app.command(rich_help_panel=PANEL)
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

    run_export(ExportRequest(path, tuple(words or ()), format, this_machine_id()), say, warn)


@app.command(rich_help_panel=PANEL)
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
    run_whatif(WhatIfRequest(path, tuple(words or ()), change, *where), say)


@app.command(rich_help_panel=PANEL)
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
        run_plan(baseline, margin, wide_console())
        return
    if results is None:
        raise UsageError("check needs the results folder that it is to check")
    if on_inconclusive not in ("fail", "pass"):
        raise UsageError(f"--on-inconclusive is {on_inconclusive!r}; valid: fail, pass")
    choice: Literal["fail", "pass"] = "pass" if on_inconclusive == "pass" else "fail"
    request = CheckRequest(results, baseline, margin, speed_margin, choice, outputs)
    if update:
        run_update(request, wide_console())
        return
    raise typer.Exit(run_check(request, wide_console()))
