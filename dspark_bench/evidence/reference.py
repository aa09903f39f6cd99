"""Measures the embedded zoo and keeps what a reader needs: `make reference`.

    python -m dspark_bench.evidence.reference --out results/reference [--part domains]

Resumable like any other sweep. `paper`: every exhibit of the paper at its small size, for the
figures. `domains`: 100 held-out prompts per domain at the paper's draft length, for the ratios
between drafters. `long`: the same at twice that length, where drafts live so long. The cycle
records that tables are made from are then thinned to the columns that count acceptance, so that the
folder stays small enough to be kept. Of two more only tables are kept: `speed`, where S is compared
between drafters at the fastest length of each, and `grid`, every drafter, domain, draft length and
temperature.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer
from rich.console import Console

from dspark_bench.commands.sweep import run_sweep
from dspark_bench.commands.sweep_list import run_sweep_list
from dspark_bench.commands.sweep_plan import SweepRequest
from dspark_bench.config.sweep_lists import read_sweep_list
from dspark_bench.evidence.entry import run_bench
from dspark_bench.evidence.reference_grid import keep_grid
from dspark_bench.evidence.reference_origin import measured_on
from dspark_bench.evidence.reference_speed import SWEEPS, keep_speeds, speed_overrides
from dspark_bench.metrics.comparison import accepted_by_prompt, accepted_length_ratio
from dspark_bench.metrics.intervals import Interval

DOMAINS = ("math", "code", "prose")
DRAFTERS = ("parallel", "ar", "semi_ar", "semi_ar_gated", "semi_ar_rnn")
GAMMAS = (1, 2, 4, 7, 8, 12, 15, 16)
PAPER, SPEED, GRID = "paper", "speed", "grid"
KEPT_COLUMNS = (
    *("arm", "repeat", "block", "is_warmup", "cycle", "request_id", "is_prefill"),
    *("num_drafted", "verify_len", "num_accepted", "is_rejected", "num_emitted", "full_width"),
)
COMPARISONS = (
    ("semi_ar", "parallel"),
    ("semi_ar", "ar"),
    ("semi_ar_rnn", "semi_ar"),
    ("semi_ar_gated", "semi_ar"),
)


@dataclass(frozen=True, slots=True)
class Part:
    """One sweep of the reference. Its overrides, and whether per-cycle records are kept."""

    name: str
    overrides: tuple[str, ...]
    keeps_cycles: bool


def parts(num_requests: int) -> tuple[Part, ...]:
    """The sweeps whose points are kept, at the size asked for."""
    many = (
        f"num_requests={num_requests}",
        "measure.precision=null",
        "measure.repeats=1",
        "measure.agreement_requests=24",
    )
    everywhere = f"workload={','.join(DOMAINS)}"
    every_drafter = f"drafter={','.join(DRAFTERS)}"
    block_drafters = f"drafter={','.join(name for name in DRAFTERS if name != 'ar')}"
    return (
        Part("domains", (every_drafter, "gamma=7", everywhere, *many), keeps_cycles=True),
        Part("long", (block_drafters, "gamma=15", "workload=math", *many), keeps_cycles=True),
    )


def grid_overrides(num_requests: int) -> tuple[str, ...]:
    """Every drafter, domain, draft length and temperature; without `speedup_model`, for time."""
    return (
        *(f"drafter={','.join(DRAFTERS)}", f"workload={','.join(DOMAINS)}"),
        *(f"gamma={','.join(map(str, GAMMAS))}", "temperature=0,1"),
        *(
            f"num_requests={num_requests}",
            "measure.precision=null",
            "measure.repeats=1",
            "measure.calibration_requests=0",
        ),
    )


def main(
    out: Annotated[Path, typer.Option(help="Folder that receives one folder per sweep.")],
    part: Annotated[str, typer.Option(help="paper, domains, long, speed, grid or all.")] = "all",
    requests: Annotated[int, typer.Option(help="Prompts per domain, but of `grid`.")] = 100,
    grid_requests: Annotated[int, typer.Option(help="Prompts per domain of `grid`.")] = 16,
) -> None:
    """Measure what is missing, thin the records, and write the tables."""
    console = Console()
    if part in ("all", PAPER):
        measure_exhibits(out, console)
    for item in parts(requests):
        if part in ("all", item.name):
            overrides = (*item.overrides, f"name={item.name}", f"results_dir={out}")
            run_sweep(SweepRequest(overrides), console)
            thin(out / item.name, item.keeps_cycles)
    if part in ("all", SPEED):
        measure_speed(out, requests, console)
    if part in ("all", GRID):
        measure_grid(out, grid_requests, console)
    points = read_points(out / "domains") | read_points(out / "long")
    if points:
        text = tables(points, measured_on(out / "domains", out / "long"))
        (out / "drafters.md").write_text(text, encoding="utf-8")
        console.print(text)


def measure_speed(out: Path, num_requests: int, console: Console) -> None:
    """Its sweeps in a working folder beside `out`, where they resume; their table in `out`."""
    folder = out.parent / SPEED
    for name in SWEEPS:
        run_sweep(SweepRequest(speed_overrides(name, num_requests, folder)), console)
    console.print(keep_speeds(folder, out))


def measure_grid(out: Path, num_requests: int, console: Console) -> None:
    """The grid in a working folder beside `out`, where it resumes; its tables in `out`."""
    overrides = (*grid_overrides(num_requests), f"name={GRID}", f"results_dir={out.parent}")
    run_sweep(SweepRequest(overrides), console)
    console.print(keep_grid(out.parent / GRID, out))


def measure_exhibits(out: Path, console: Console) -> None:
    """Every exhibit of the paper at its small size, one folder each below `out`/paper."""
    overrides = ("+experiment=paper", f"results_dir={out}", f"name={PAPER}")
    found = read_sweep_list(overrides, is_quick=True)
    assert found is not None
    run_sweep_list(found, SweepRequest(overrides), console)
    for exhibit in found.exhibits:
        thin(out / PAPER / exhibit.name, keeps_cycles=False)


def thin(folder: Path, keeps_cycles: bool) -> None:
    """Drop per-cycle times and curves from every point of a sweep, or the records altogether.

    Hydra's own notes go too: they name folders of the machine that measured.
    """
    shutil.rmtree(folder / ".hydra", ignore_errors=True)
    for point in sorted((folder / "points").glob("[!.]*")):
        cycles, requests = point / "cycles.parquet", point / "requests.parquet"
        if not keeps_cycles:
            cycles.unlink(missing_ok=True)
            requests.unlink(missing_ok=True)
        elif cycles.exists():
            frame = pd.read_parquet(cycles)
            kept = [name for name in KEPT_COLUMNS if name in frame.columns]
            frame[kept].to_parquet(cycles, index=False, compression="zstd")
            names = ["arm", "repeat", "block", "is_warmup", "request_id", "prompt_id"]
            pd.read_parquet(requests)[names].to_parquet(requests, index=False, compression="zstd")


@dataclass(frozen=True, slots=True)
class ReadPoint:
    """One finished point: its metrics and its accepted drafts by prompt."""

    metrics: Mapping[str, Any]
    by_prompt: pd.DataFrame


PointKey = tuple[str, int, str]
"""Drafter, gamma, domain."""


def read_points(folder: Path) -> dict[PointKey, ReadPoint]:
    """Every finished point of a sweep whose cycles were kept; none if there is no such folder."""
    found: dict[PointKey, ReadPoint] = {}
    for path in sorted(folder.glob("points/*/metrics.json")):
        metrics = json.loads(path.read_text(encoding="utf-8"))
        keys = metrics["point"]["keys"]
        cycles = pd.read_parquet(path.parent / "cycles.parquet")
        requests = pd.read_parquet(path.parent / "requests.parquet")
        by_prompt = accepted_by_prompt(cycles, requests)
        found[keys["drafter"], int(keys["gamma"]), keys["workload"]] = ReadPoint(metrics, by_prompt)
    return found


def tables(points: Mapping[PointKey, ReadPoint], origin: str) -> str:
    """Markdown: accepted lengths, paired ratios, and both position curves with their counts.

    origin: the sentence of `measured_on`.
    """
    points = {key: points[key] for key in sorted(points, key=_place)}
    return "\n".join(
        [
            "# The zoo's drafters, measured",
            "",
            "Temperature 1, batch 1, `scheduler=fixed`, held-out prompts; made by "
            f"`make reference`. Intervals are 95 %, Student's t over prompts. {origin}",
            "",
            *_lengths(points),
            *_ratios(points),
            *_positions(points),
        ]
    )


def _place(key: PointKey) -> tuple[int, int, str, int, str]:
    """By draft length, domain and drafter, known names first and in their own order."""
    drafter, gamma, domain = key
    domains, drafters = [*DOMAINS, domain], [*DRAFTERS, drafter]
    return gamma, domains.index(domain), domain, drafters.index(drafter), drafter


def _lengths(points: Mapping[PointKey, ReadPoint]) -> list[str]:
    lines = ["## Accepted length (bonus token included) and speedup", ""]
    lines += ["| drafter | gamma | domain | accepted length | S | draft / t_1 | n |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for (drafter, gamma, domain), point in points.items():
        found = point.metrics["intervals"]
        summary = point.metrics["summary"]
        cost = summary["draft_cost_ratio"] * gamma
        tau, speedup = (Interval(**found[name]).text() for name in ("accepted_length", "speedup"))
        n = found["accepted_length"]["n"]
        lines.append(f"| {drafter} | {gamma} | {domain} | {tau} | {speedup} | {cost:.2f} | {n} |")
    return [*lines, ""]


def _ratios(points: Mapping[PointKey, ReadPoint]) -> list[str]:
    domains = list(dict.fromkeys(domain for _, _, domain in points))
    lines = ["## Ratios of accepted length, paired by prompt", ""]
    lines += ["| drafters | gamma | " + " | ".join(domains) + " | mean |"]
    lines += ["|---" * (len(domains) + 3) + "|"]
    gammas = sorted({gamma for _, gamma, _ in points})
    for first, second in COMPARISONS:
        for gamma in gammas:
            found = [_ratio(points, first, second, gamma, domain) for domain in domains]
            values = [item.value for item in found if item is not None and item.value is not None]
            if values:
                cells = " | ".join("-" if item is None else item.text(3) for item in found)
                mean = f"{sum(values) / len(values):.3f}" if len(values) == len(domains) else "-"
                lines.append(f"| {first} / {second} | {gamma} | {cells} | {mean} |")
    return [*lines, ""]


def _ratio(
    points: Mapping[PointKey, ReadPoint], first: str, second: str, gamma: int, domain: str
) -> Interval | None:
    """None where either drafter was not measured there."""
    ours, theirs = points.get((first, gamma, domain)), points.get((second, gamma, domain))
    if ours is None or theirs is None:
        return None
    return accepted_length_ratio(ours.by_prompt, theirs.by_prompt)


def _positions(points: Mapping[PointKey, ReadPoint]) -> list[str]:
    lines = ["## Acceptance along the block", ""]
    lines += [
        "`agreement`: 1 - TV along recorded target continuations, every cycle. `conditional`: "
        "survivors only, with the number of cycles that reached the position in brackets.",
        "",
    ]
    for (drafter, gamma, domain), point in points.items():
        curves = point.metrics["positions"]
        counts = point.metrics["position_counts"]
        lines.append(f"- {drafter}, gamma {gamma}, {domain}")
        lines.append(f"  - agreement: {_curve(curves['agreement'])}")
        lines.append(
            f"  - conditional: {_curve(curves['conditional_acceptance'], _decided(counts))}"
        )
    return [*lines, ""]


def _decided(counts: Mapping[str, Sequence[float]]) -> list[int]:
    """Trials behind each conditional acceptance."""
    return [round(a + b) for a, b in zip(counts["accepted"], counts["rejected"], strict=True)]


def _curve(values: Sequence[float | None], counts: Sequence[int] | None = None) -> str:
    texts = ["-" if value is None else f"{value:.2f}" for value in values]
    if counts is not None:
        texts = [f"{text} ({n})" for text, n in zip(texts, counts, strict=True)]
    return ", ".join(texts)


if __name__ == "__main__":
    run_bench(main, "reference")
