"""The committed results support every kind, and what is drawn is the data."""

from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dspark_bench.plots.columns import STAGES
from dspark_bench.plots.figures import Figure, Skipped, draw_all
from dspark_bench.plots.kinds import find_kinds
from dspark_bench.plots.kinds.gap import TERMS
from dspark_bench.plots.results import load_results
from dspark_bench.plots.steps import steps_of

ROOT = Path(__file__).parents[2]
PAPER = ROOT / "results/reference/paper"
FIGURES = ROOT / "results/reference/figures"


@pytest.fixture(scope="module")
def drawn() -> list[Figure]:
    found = draw_all(load_results(PAPER))
    left_out = [item.reason for item in found if isinstance(item, Skipped)]
    assert left_out == ["no point has a tree"]  # the paper's exhibits are of chains
    return [item for item in found if isinstance(item, Figure)]


def test_every_kind_is_drawn_from_the_committed_results(drawn: list[Figure]) -> None:
    """Warnings are errors in these tests, so there was none."""
    names = {figure.kind for figure in drawn}
    assert {kind.name for kind in find_kinds()} - names == {"nodes"}
    assert all(figure.canvas is not None or figure.texts for figure in drawn)
    assert all(" n = " in "".join(f.caption) or "interval" in "".join(f.caption) for f in drawn)


def test_the_committed_figures_show_the_committed_results(drawn: list[Figure]) -> None:
    """`make figures` would write the same numbers again."""
    for figure in drawn:
        kept = pd.read_csv(FIGURES / f"{figure.kind}.csv")
        now = pd.read_csv(StringIO(figure.data.to_csv(index=False)))
        pd.testing.assert_frame_equal(kept, now, obj=figure.kind)
        if figure.canvas is not None:
            assert (FIGURES / f"{figure.stem}.png").is_file()


LINES = {
    "s_curve": ("speedup", "speedup_theory", "speedup_model"),
    "acceptance_by_position": ("value", "count"),
    "depth": ("accepted_length", "speedup"),
    "draft_length": ("accepted_length", "cycle_steps"),
    "threshold": ("acceptance_rate_scheduled", "accepted_length", "speedup"),
    "reliability": ("observed", "mean_predicted"),
    "frontier": (
        *("normalised_throughput_tok_s", "normalised_tok_s_per_user"),
        *("common_baseline_tok_s", "common_baseline_tok_s_per_user"),
    ),
    "load": ("speedup", "verify_budget"),
    "cost_curve": ("steps_per_s", "tokens"),
    "timeline": ("num_waiting", "batch_size"),
}
"""Columns whose every value is a place on some line."""


def test_what_is_drawn_is_the_data(drawn: list[Figure]) -> None:
    for figure in drawn:
        if figure.canvas is None:
            continue
        lines = [line for axes in figure.canvas.axes for line in axes.lines]
        ends = [values for line in lines for values in (line.get_xdata(), line.get_ydata())]
        places = np.concatenate([np.asarray(values, dtype=float).ravel() for values in ends])
        for column in LINES.get(figure.kind, ()):
            values = figure.data[column].dropna().to_numpy(dtype=float)
            is_there = np.isclose(values[:, None], places[None, :], rtol=1e-12, atol=0.0)
            assert len(values) and is_there.any(axis=1).all(), (figure.kind, column)


def test_the_gap_and_the_cycle_are_drawn_as_bars(drawn: list[Figure]) -> None:
    by_kind = {figure.kind: figure for figure in drawn}
    for kind, columns in (("gap", TERMS), ("cycle_breakdown", tuple(map(steps_of, STAGES)))):
        figure = by_kind[kind]
        assert figure.canvas is not None
        bars = [patch for axes in figure.canvas.axes for patch in axes.patches]
        sizes = [b.get_height() if kind == "gap" else b.get_width() for b in bars]  # type: ignore[attr-defined]
        for column in columns:
            for value in figure.data[column]:
                assert np.isclose(sizes, abs(value), rtol=1e-9, atol=1e-15).any(), column
