"""Measures the embedded zoo and keeps what a reader needs: `make reference`.

    python -m dspark_bench.experiment.reference --out results/reference [--part bars]

Two sweeps, each resumable like any other. `bars`: 100 held-out prompts per domain at the paper's
draft length and at the long one, for the ratios between drafters. `grid`: every drafter, domain,
draft length and temperature. The cycle records that tables are made from are then thinned to the
columns that count acceptance, so that the folder stays small enough to be kept.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer
from rich.console import Console

from dspark_bench.experiment.sweep import SweepRequest, run_sweep
from dspark_bench.metrics.comparison import accepted_by_prompt, accepted_length_ratio
from dspark_bench.metrics.intervals import Interval

DOMAINS = ("math", "code", "prose")
DRAFTERS = ("parallel", "ar", "semi_ar", "semi_ar_gated", "semi_ar_rnn")
GAMMAS = (1, 2, 4, 7, 8, 12, 15, 16)
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


def parts(num_bar_requests: int, num_grid_requests: int) -> tuple[Part, ...]:
    """The sweeps at the sizes asked for."""
    shared = ("measure.repeats=1", f"workload={','.join(DOMAINS)}")
    bars = (
        f"drafter={','.join(DRAFTERS)}",
        "gamma=7,15",
        f"num_requests={num_bar_requests}",
        "measure.agreement_requests=24",
    )
    grid = (
        f"drafter={','.join(DRAFTERS)}",
        f"gamma={','.join(map(str, GAMMAS))}",
        "temperature=0,1",
        f"num_requests={num_grid_requests}",
    )
    return (
        Part("bars", (*shared, *bars), keeps_cycles=True),
        Part("grid", (*shared, *grid), keeps_cycles=False),
    )


def main(
    out: Annotated[Path, typer.Option(help="Folder that receives one folder per sweep.")],
    part: Annotated[str, typer.Option(help="bars, grid or all.")] = "all",
    bar_requests: Annotated[int, typer.Option(help="Prompts per domain of `bars`.")] = 100,
    grid_requests: Annotated[int, typer.Option(help="Prompts per domain of `grid`.")] = 16,
) -> None:
    """Measure what is missing, thin the records, and write the tables."""
    console = Console()
    for item in parts(bar_requests, grid_requests):
        if part in ("all", item.name):
            run_sweep(
                SweepRequest((*item.overrides, f"name={item.name}", f"results_dir={out}")), console
            )
            thin(out / item.name, item.keeps_cycles)
    if (out / "bars").is_dir():
        text = tables(read_points(out / "bars"))
        (out / "drafters.md").write_text(text, encoding="utf-8")
        console.print(text)


def thin(folder: Path, keeps_cycles: bool) -> None:
    """Drop per-cycle times and curves from every point of a sweep, or the records altogether."""
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
    """Every finished point of the `bars` sweep."""
    found: dict[PointKey, ReadPoint] = {}
    for path in sorted(folder.glob("points/*/metrics.json")):
        metrics = json.loads(path.read_text(encoding="utf-8"))
        keys = metrics["point"]["keys"]
        cycles = pd.read_parquet(path.parent / "cycles.parquet")
        requests = pd.read_parquet(path.parent / "requests.parquet")
        by_prompt = accepted_by_prompt(cycles, requests)
        found[keys["drafter"], int(keys["gamma"]), keys["workload"]] = ReadPoint(metrics, by_prompt)
    return found


def tables(points: Mapping[PointKey, ReadPoint]) -> str:
    """Markdown: accepted lengths, paired ratios, and both position curves with their counts."""
    return "\n".join(
        [
            "# The zoo's drafters, measured",
            "",
            "Temperature 1, batch 1, `scheduler=fixed`, held-out prompts; made by "
            "`make reference`. Intervals are 95 %, bootstrap over prompts.",
            "",
            *_lengths(points),
            *_ratios(points),
            *_positions(points),
        ]
    )


def _lengths(points: Mapping[PointKey, ReadPoint]) -> list[str]:
    lines = ["## Accepted length (bonus token included) and speedup", ""]
    lines += ["| drafter | gamma | domain | accepted length | S | draft / t_1 | n |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for (drafter, gamma, domain), point in points.items():
        found = point.metrics["intervals"]
        summary = point.metrics["summary"]
        cost = summary["draft_cost_ratio"] * gamma
        tau, speedup = (_text(Interval(**found[name])) for name in ("accepted_length", "speedup"))
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
            pairs = [
                (points.get((first, gamma, d)), points.get((second, gamma, d))) for d in domains
            ]
            found = [accepted_length_ratio(a.by_prompt, b.by_prompt) for a, b in pairs if a and b]
            if found and len(found) == len(domains):
                mean = sum(item.value or 0.0 for item in found) / len(found)
                cells = " | ".join(_text(item, 3) for item in found)
                lines.append(f"| {first} / {second} | {gamma} | {cells} | {mean:.3f} |")
    return [*lines, ""]


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


def _text(interval: Interval, digits: int = 2) -> str:
    if interval.value is None or interval.low is None or interval.high is None:
        return "-"
    low, high = f"{interval.low:.{digits}f}", f"{interval.high:.{digits}f}"
    return f"{interval.value:.{digits}f} [{low}-{high}]"


if __name__ == "__main__":
    typer.run(main)
