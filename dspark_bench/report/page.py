"""Puts a report together, and writes it: `report.html` and its twin `report.md`."""

from collections.abc import Sequence
from pathlib import Path

from dspark_bench.core.errors import ResultsError
from dspark_bench.reading.gather import gather
from dspark_bench.reading.points import Gathered
from dspark_bench.report.answers import answer_sections
from dspark_bench.report.content import Block, Figure, Items, Page, Paragraph, Section
from dspark_bench.report.figures import draw_figures
from dspark_bench.report.html import render_html
from dspark_bench.report.markdown import render_markdown
from dspark_bench.report.noise import gpu_blocks, noise_blocks
from dspark_bench.report.recommend import recommend
from dspark_bench.report.runs import (
    environment_table,
    how_to_reproduce,
    lead_sentence,
    shown_path,
    what_was_run,
)
from dspark_bench.report.tables import domain_tables, failed_table, gap_tables, result_tables
from dspark_bench.report.warnings import find_warnings
from dspark_bench.report.wording import headline

_READ_SPEEDUP = (
    "S is the measured speedup over the paired baseline with its 95 % interval (low, high) from n "
    "resampling units (prompts at one request at a time, otherwise rounds); tau is the "
    "accepted length, bonus token included; c the cost of one draft token in baseline steps. Never "
    "rank draft lengths by acceptance rate: it falls with gamma by arithmetic."
)
_READ_GAP = (
    "From the formula (1 - alpha^(gamma+1)) / ((1 - alpha)(gamma c + 1)) to the measured S, one "
    "replacement at a time; the terms of a row add up, and may be negative."
)

_READ_DOMAINS = (
    "S and tau of each domain's prompts alone, with the 95 % interval and the n units that they "
    "rest on. An interval of fewer than 6 units carries no verdict. Where requests of several "
    "domains share a batch there is no S of a domain."
)


def write_report(path: Path, out: Path | None = None, here: str | None = None) -> tuple[Path, Path]:
    """Write the report on `path` into `out` (default: `path` itself); returns HTML and Markdown.

    here: machine_id of the machine that asks. Raises ResultsError if there is nothing measured to
    report, or if `out` cannot be written.
    """
    gathered = gather(path, here)
    folder = path if out is None else out
    files = folder / "report.html", folder / "report.md"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        page = build_page(gathered, *draw_figures(path, folder, here))
        files[0].write_text(render_html(page), encoding="utf-8")
        files[1].write_text(render_markdown(page), encoding="utf-8")
    except OSError as error:
        raise ResultsError(
            f"cannot write the report to {folder}: {error.strerror or error}; name a writable "
            "folder with --out"
        ) from error
    return files


def build_page(gathered: Gathered, figures: Sequence[Figure], skipped: Sequence[str]) -> Page:
    """The whole report as content. skipped: why figures are missing."""
    answers: tuple[Section, ...]
    try:
        found = recommend(gathered)
    except ResultsError as error:
        sentence, answers = f"No configuration can be recommended: {error}.", ()
    else:
        sentence, answers = headline(found), answer_sections(found, gathered)
    failed = failed_table(gathered)
    machine = environment_table(gathered)
    sections = [
        *answers,
        Section("Warnings", (_warnings(gathered),)),
        Section("Figures", (*figures, *_skipped(skipped))),
        Section("Results", (Paragraph(_READ_SPEEDUP), *result_tables(gathered))),
        Section("By domain", _domain_blocks(gathered)),
        Section("Timing noise", noise_blocks(gathered)),
        Section("GPU", gpu_blocks(gathered)),
        Section("Why theory is not reached", _gap_blocks(gathered)),
        Section("Failed points", () if failed is None else (failed,)),
        Section("What was run", what_was_run(gathered)),
        Section("Environment", () if machine is None else (machine,)),
        Section("How to reproduce", how_to_reproduce(gathered)),
    ]
    title = f"dspark-bench report: {shown_path(gathered.path)}"
    filled = tuple(section for section in sections if section.blocks)
    return Page(title, sentence, lead_sentence(gathered), filled)


def _warnings(gathered: Gathered) -> Block:
    found = find_warnings(gathered)
    return (
        Items(found, is_warning=True) if found else Paragraph("None of the known doubts applies.")
    )


def _skipped(reasons: Sequence[str]) -> tuple[Block, ...]:
    return (Items(tuple(f"left out: {reason}" for reason in reasons)),) if reasons else ()


def _domain_blocks(gathered: Gathered) -> tuple[Block, ...]:
    tables = domain_tables(gathered)
    return (Paragraph(_READ_DOMAINS), *tables) if tables else ()


def _gap_blocks(gathered: Gathered) -> tuple[Block, ...]:
    tables = gap_tables(gathered)
    return (Paragraph(_READ_GAP), *tables) if tables else ()
