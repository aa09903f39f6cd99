"""Which tokens do the zoo's drafters miss? For `make predictability`.

    python -m dspark_bench.evidence.predictability --out results/reference/predictability.md

The target writes one continuation per held-out prompt; every drafter is scored along it, the
recorded tokens being its prefix, and agreement is split by how certain the target is of each token
once it knows that prefix, and by whether that token is copied from earlier text. Counts acceptance
only: other work on the machine changes nothing.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console

from dspark_bench.commands.sweep_plan import SweepRequest, single_point
from dspark_bench.config.point_config import PointConfig
from dspark_bench.core.random_streams import Ints
from dspark_bench.engine.predictability import (
    Classify,
    agreement_by_kind,
    are_copies,
    entropy_bins,
)
from dspark_bench.engine.teacher_forcing import ScoredBlocks, Sequences
from dspark_bench.evidence.entry import run_bench
from dspark_bench.evidence.stretches import NEW_TOKENS, build_engine
from dspark_bench.loads.closed import ClosedLoad
from dspark_bench.measure.build import ModelCache, PointObjects, build_point, choose_threads
from dspark_bench.metrics.intervals import Interval
from dspark_bench.metrics.jackknife import share_intervals

DOMAINS = ("math", "code", "prose")
DRAFTERS = ("parallel", "semi_ar", "semi_ar_rnn", "ar")
GAMMA = 7
POSITIONS = (1, 2, 4, 7)
EDGES = (0.5, 2.0)
BINS = ("below 0.5 nats", "0.5 to 2 nats", "2 nats and more")
KINDS = tuple(f"{name}, {kind}" for name in BINS for kind in ("new", "copied"))
AT_ONCE = 16
LEAST_PLACES = 30
"""Cells of fewer places say nothing."""

Cell = tuple[Interval, int]
"""Agreement with its interval over prompts, and the places behind it."""
Table = dict[tuple[str, int, str], dict[str, Cell]]
"""Domain, position and kind -> drafter -> cell."""


def main(
    requests: Annotated[int, typer.Option(help="Prompts per domain.")] = 100,
    out: Annotated[Path | None, typer.Option(help="Markdown file.")] = None,
) -> None:
    """Measure, print, and write."""
    console = Console()
    found: Table = {}
    for domain in DOMAINS:
        found |= measure(domain, requests)
        console.print(f"{domain}: done")
    text = markdown(found, requests)
    console.print(text, markup=False)
    if out is not None:
        out.write_text(text, encoding="utf-8")


def measure(domain: str, num_requests: int) -> Table:
    """One domain; every drafter is scored along the same continuations."""
    models = ModelCache()
    sequences: Sequences = ()
    found: Table = {}
    for name in DRAFTERS:
        overrides = (
            *(f"drafter={name}", f"workload={domain}", f"gamma={GAMMA}", "seed=21"),
            *(f"num_requests={num_requests}", f"max_new_tokens={NEW_TOKENS}"),
            f"load.concurrency={AT_ONCE}",
        )
        point = single_point(SweepRequest(overrides), "predictability").config
        torch.set_num_threads(choose_threads(point))
        objects = build_point(point, models)
        assert objects.drafter is not None
        sequences = sequences or continuations(point, objects)
        for kinds, classify in classifiers(sequences).items():
            overlaps, counts = agreement_by_kind(
                *(objects.target, objects.drafter, sequences, GAMMA, point.sampling),
                *(classify, len(kinds)),
            )
            for position in POSITIONS:
                for place, interval in enumerate(
                    share_intervals(overlaps[:, position - 1], counts[:, position - 1])
                ):
                    cell = (interval, int(counts[:, position - 1, place].sum()))
                    found.setdefault((domain, position, kinds[place]), {})[name] = cell
    return found


def classifiers(sequences: Sequences) -> Mapping[tuple[str, ...], Classify]:
    """Names of kinds -> what sorts slots into them: by entropy, and by being copied as well."""

    def by_entropy(blocks: ScoredBlocks) -> Ints:
        return entropy_bins(blocks, EDGES)

    def by_both(blocks: ScoredBlocks) -> Ints:
        return 2 * entropy_bins(blocks, EDGES) + are_copies(blocks, sequences)

    return {BINS: by_entropy, KINDS: by_both}


def continuations(point: PointConfig, objects: PointObjects) -> Sequences:
    """Every request with what the target alone writes after it."""
    requests = objects.prompts.requests
    engine = build_engine(point, objects, None, 0)
    records = engine.run(requests, ClosedLoad(AT_ONCE), seed=0).requests
    written = {record.request_id: record.output_tokens for record in records}
    return [(request, written[request.request_id]) for request in requests]


def markdown(found: Table, num_requests: int) -> str:
    """A table by entropy, one by entropy and copying; rows of too few places are left out."""
    lines = [
        "# Which tokens do the drafters miss?",
        "",
        f"Agreement (1 - TV) with the target along {num_requests} continuations per domain that it "
        f"wrote itself (temperature 1, {NEW_TOKENS} tokens), split by the entropy of the target at "
        "each place, the tokens before it being known. Every place counts, reached or not; 95 % "
        "intervals, Student's t over prompts. Made by `make predictability`.",
        "",
        *rows(found, BINS),
        "",
        "## Copies",
        "",
        "The same places. Copied: the target's first choice is what followed the last two tokens "
        "where they last stood side by side in prompt or output; new: all others.",
        "",
        *rows(found, KINDS),
    ]
    return "\n".join([*lines, ""])


def rows(found: Table, kinds: Sequence[str]) -> list[str]:
    """One row per domain, position and kind of these."""
    lines = [
        "| domain | position | entropy | places | " + " | ".join(DRAFTERS) + " |",
        "|---" * (4 + len(DRAFTERS)) + "|",
    ]
    for (domain, position, name), cells in found.items():
        num_places = max(count for _, count in cells.values())
        if name in kinds and num_places >= LEAST_PLACES:
            shown = " | ".join(cells[drafter][0].text() for drafter in DRAFTERS)
            lines.append(f"| {domain} | {position} | {name} | {num_places} | {shown} |")
    return lines


if __name__ == "__main__":
    run_bench(main, "predictability")
