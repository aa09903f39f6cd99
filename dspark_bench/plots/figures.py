"""Figures from results: drawn where the data supports them, skipped with the reason elsewhere."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure as Canvas
from matplotlib.layout_engine import ConstrainedLayoutEngine
from PIL import Image

from dspark_bench.core.errors import ResultsError, UsageError
from dspark_bench.plots.kind import Kind, NotSupportedError, Plotted
from dspark_bench.plots.kinds import choose_kinds
from dspark_bench.plots.results import Results
from dspark_bench.plots.style import Look, find_look

FORMATS = ("png", "svg", "pdf")


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure that the results support.

    data: exactly what is shown; caption: its lines; canvas: None for a table; texts: the same as
    text by file suffix (`md`, `tex`).
    """

    kind: str
    title: str
    caption: tuple[str, ...]
    data: pd.DataFrame
    look: Look
    canvas: Canvas | None = None
    texts: dict[str, str] = field(default_factory=dict)

    @property
    def stem(self) -> str:
        """File name without suffix; a dark figure can lie beside its light one."""
        return self.kind if self.look.name == "light" else f"{self.kind}-{self.look.name}"

    def save(self, target: Path | BinaryIO, suffix: str) -> None:
        """Write the picture to a path or a binary file: png, svg or pdf."""
        assert self.canvas is not None
        if suffix == "png":
            self._save_png(target)
            return
        undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(suffix)
        with mpl.rc_context(self.look.rc):
            _lay_out_once(self.canvas)
            self.canvas.savefig(target, format=suffix, metadata=undated)

    def _save_png(self, target: Path | BinaryIO) -> None:
        """With a palette: few colours are in use, and the file takes a third of the room."""
        assert self.canvas is not None
        buffer = BytesIO()
        with mpl.rc_context(self.look.rc):
            _lay_out_once(self.canvas)
            self.canvas.savefig(buffer, format="png")
        picture = Image.open(buffer).convert("RGB")
        few = picture.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        few.save(target, "png", optimize=True)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A kind that the results do not support, and why."""

    kind: str
    reason: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.reason}"


def draw_all(
    results: Results, style: str = "light", kinds: Sequence[str] = ()
) -> list[Figure | Skipped]:
    """Every kind (or those named) in the order of a report, drawn or skipped with the reason.

    Pure: writes nothing. Raises UsageError for an unknown style or kind.
    """
    look = find_look(style)
    return [_draw(kind, results, look) for kind in choose_kinds(tuple(kinds))]


def _draw(kind: Kind, results: Results, look: Look) -> Figure | Skipped:
    try:
        plotted = kind.collect(results)
    except NotSupportedError as error:
        return Skipped(kind.name, str(error))
    return make_figure(kind, plotted, look)


def make_figure(kind: Kind, plotted: Plotted, look: Look) -> Figure:
    """The figure of what has been collected."""
    canvas = None
    if kind.draw is not None:
        with mpl.rc_context(look.rc):
            canvas = kind.draw(plotted, look)
    texts = {} if kind.texts is None else kind.texts(plotted)
    return Figure(kind.name, kind.title, plotted.caption, plotted.data, look, canvas, texts)


def _lay_out_once(canvas: Canvas) -> None:
    """Fix the places of everything, the same in every format: a second layout would move them."""
    if isinstance(canvas.get_layout_engine(), ConstrainedLayoutEngine):
        canvas.draw_without_rendering()
        canvas.set_layout_engine(None)


def check_formats(formats: Sequence[str]) -> None:
    """Raise UsageError for a format that is not among `FORMATS`."""
    for name in formats:
        if name not in FORMATS:
            raise UsageError(f"format {name!r} is unknown; valid: {', '.join(FORMATS)}")


def write_figures(
    figures: Iterable[Figure],
    folder: Path,
    formats: Sequence[str] = ("png", "svg"),
    on_written: Callable[[Path], None] = lambda path: None,
) -> tuple[Path, ...]:
    """Write pictures and texts into `folder`, the plotted data beside each as CSV.

    Raises UsageError for an unknown format, ResultsError if a file cannot be written.
    """
    check_formats(formats)
    written: list[Path] = []
    for figure in figures:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            files = list(_write(figure, folder, formats))
        except OSError as error:
            raise ResultsError(f"cannot write figures to {folder}: {error}") from error
        written += files
        for file in files:
            on_written(file)
    return tuple(written)


def _write(figure: Figure, folder: Path, formats: Sequence[str]) -> Iterable[Path]:
    if figure.canvas is not None:
        for suffix in formats:
            path = folder / f"{figure.stem}.{suffix}"
            figure.save(path, suffix)
            yield path
    for suffix, text in figure.texts.items():
        path = folder / f"{figure.kind}.{suffix}"
        path.write_text(text, encoding="utf-8")
        yield path
    path = folder / f"{figure.kind}.csv"
    figure.data.to_csv(path, index=False)
    yield path
