"""What a kind of figure is: a choice of rows, and a drawing of exactly these rows.

A new kind is one module in `kinds/` with a constant `KIND`; nothing else has to know of it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure as Canvas

from dspark_bench.plots.results import Results
from dspark_bench.plots.style import Look


class NotSupportedError(Exception):
    """The results do not hold what a kind shows; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Plotted:
    """What a figure shows.

    data: one row per mark, with the columns of the file that it comes from; caption: what the
    intervals rest on, the settings shared, and what was left out.
    """

    data: pd.DataFrame
    caption: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of figure.

    place: where it stands among the others; collect: raises NotSupportedError; draw: None for a
    table that has no picture; texts: the same as text, by file suffix.
    """

    name: str
    title: str
    place: int
    collect: Callable[[Results], Plotted]
    draw: Callable[[Plotted, Look], Canvas] | None = None
    texts: Callable[[Plotted], dict[str, str]] | None = None
