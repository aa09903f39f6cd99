"""What a sweep shows: progress between turns, and the final table.

Nothing here runs by itself: a bar that refreshed in a thread would be measured with the engine.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from dspark_bench.commands.fitted_table import Column, fitted_table, key_column
from dspark_bench.config.point_config import NO_DRAFTER, NO_TREE
from dspark_bench.measure.standing import Standing
from dspark_bench.measure.turns import TurnResult
from dspark_bench.metrics.gap import GAP_TERMS
from dspark_bench.metrics.precision import half_width
from dspark_bench.reading.rows import FINISHED, Row

_REFRESH_S = 0.5
_BAR = 24
_FIRST_UNITS = 24
"""Prompts of the first provisional line: fewer say little."""
_NAMES = ("drafter", "gamma", "workload")
_GAP_HEADS = (
    "trunca-\ntion",
    "non-\niid",
    "draft\ncost",
    "verify\ncost",
    "over-\nhead",
    "prefill,\nbatches",
)

_FIGURES = (
    *(("S", "S", 0), ("95 %", "95 %", 0), ("tau", "tau", 2), ("alpha", "alpha", 3), ("c", "c", 4)),
    *(("S theory", "S\ntheory", 5), ("S model", "S\nmodel", 6), ("its error", "its\nerror", 7)),
    *(("lossless", "lossless", 1), ("status", "status", 1)),
)
"""Name, head, and how soon each goes when the terminal is narrow (0: never)."""


class SweepDisplay:
    """Live line with an ETA on a terminal, one line per point elsewhere. Pickles as silent.

    num_points: points still to be measured.
    """

    def __init__(self, console: Console, num_points: int) -> None:
        self._console = console
        self._num_points = num_points
        self._num_done = 0
        self._label = ""
        self._turns = (0, 0)
        self._num_arms = 1
        self._standing: tuple[str, ...] = ()
        self._num_units = 0
        self._started_s = time.monotonic()
        self._drawn_s = self._started_s
        self._said: set[str] = set()
        self._live: Live | None = None
        if console.is_terminal and num_points > 0:
            self._live = Live(console=console, auto_refresh=False, transient=True)
            self._live.start()

    def __reduce__(self) -> tuple[Callable[[], "SweepDisplay"], tuple[()]]:
        """A launcher's other process shows nothing."""
        return silent_display, ()

    def begin(self, labels: Sequence[str]) -> None:
        """A block begins, with points of these labels."""
        first = labels[0]
        more = f" and {len(labels) - 1} more" if len(labels) > 1 else ""
        self._label, self._num_arms = f"{first}{more}", len(labels)
        self._turns, self._standing, self._num_units = (0, 0), (), 0
        self._draw(is_forced=True)

    def end(
        self,
        label: str,
        outcome: str,
        warnings: Sequence[str] = (),
        doubts: Sequence[str] = (),
        took_s: float | None = None,
    ) -> None:
        """A point has ended. warnings: what made the machine too noisy, a line each; doubts: what
        else makes the figures doubtful; took_s: its own part of its block's time, if known.
        """
        self._num_done += 1
        self._num_arms = max(0, self._num_arms - 1)
        took = "" if took_s is None else f" ({took_s:.0f} s)"
        line = f"[{self._num_done}/{self._num_points}] {label}: {outcome}{took}"
        self._console.print(Text(line))
        for warning in warnings:
            self._console.print(Text(f"  noisy machine: {warning}"))
        for doubt in doubts:
            self._console.print(Text(f"  warning: {doubt}"))

    def stand(self, standing: Standing, labels: Mapping[str, str], is_look: bool) -> None:
        """A round is whole. Without a terminal, a line where it may be the last, and before that
        a provisional one whenever there is twice as much.
        """
        self._standing = tuple(standing_lines(standing, labels))
        is_new = is_look or standing.num_units >= max(_FIRST_UNITS, 2 * self._num_units)
        if self._live is None and is_new and self._standing:
            self._num_units = standing.num_units
            unit = "prompts" if standing.is_by_prompt else "rounds"
            how = "" if is_look else ", provisional"
            line = f"after {standing.num_units} {unit}{how}: {'; '.join(self._standing)}"
            self._console.print(Text(line), soft_wrap=True)
        self._draw(is_forced=True)

    def close(self) -> None:
        """Remove the live line."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def say(self, notes: Sequence[str]) -> None:
        """Each note once a sweep, however many points it holds for."""
        for note in notes:
            if note not in self._said:
                self._said.add(note)
                self._console.print(Text(f"note: {note}"), soft_wrap=True)

    def plan(self, num_turns: int) -> None:
        """So many turns will be taken by all arms of the block together."""
        self._turns = (0, num_turns)
        self._draw(is_forced=True)

    def turn(self, result: TurnResult) -> None:
        """A turn has been taken."""
        self._turns = (self._turns[0] + 1, self._turns[1])
        self._draw(is_forced=False)

    def _draw(self, is_forced: bool) -> None:
        now_s = time.monotonic()
        if self._live is None or (now_s - self._drawn_s < _REFRESH_S and not is_forced):
            return
        self._drawn_s = now_s
        done, planned = self._turns
        share = done / planned if planned else 0.0
        bar = "█" * round(share * _BAR) + "░" * (_BAR - round(share * _BAR))
        stage = f"{bar} {share:4.0%}" if planned else "loading and profiling"
        place = f"[{self._num_done + 1}/{self._num_points}]"
        line = f"{place} {self._label}  {stage}  {self._eta(share)}"
        shown = "\n  ".join([line, *self._standing])
        self._live.update(Text(shown), refresh=True)

    def _eta(self, share: float) -> str:
        progress = self._num_done + share * self._num_arms
        if progress < 0.05:
            return ""
        elapsed_s = time.monotonic() - self._started_s
        left_s = elapsed_s * (self._num_points - progress) / progress
        return f"about {left_s:.0f} s left"


def standing_lines(standing: Standing, labels: Mapping[str, str]) -> list[str]:
    """S of every arm so far, such as `semi_ar gamma=4 mixed S 1.52 ±4.9 %`."""
    lines = []
    for key, interval in standing.speedups.items():
        width = half_width(interval)
        reach = "" if width is None else f" ±{width:.1%}"
        value = "not known" if interval.value is None else f"{interval.value:.2f}"
        lines.append(f"{labels.get(key, key)} S {value}{reach}")
    return lines


def silent_display() -> SweepDisplay:
    """A display that shows nothing."""
    return SweepDisplay(Console(quiet=True), 0)


def result_table(
    rows: Sequence[Row], swept_keys: Sequence[str] = (), width: int = 80
) -> RenderableType:
    """Drafter, gamma, workload, S and what explains it; one line per point.

    width: of the terminal, characters. S and its interval are there at any width from 40.
    """
    has_status = any(row["status"] != FINISHED for row in rows)
    heads = _FIGURES if has_status else _FIGURES[:-1]
    cells = [result_cells(row) for row in rows]
    figures = [
        Column(name, head, tuple(row[place] for row in cells), rank)
        for place, (name, head, rank) in enumerate(heads)
    ]
    columns = [*_key_columns(rows, swept_keys), *figures]
    return fitted_table("speedup S over the paired baseline", columns, width)


def gap_table(
    rows: Sequence[Row], swept_keys: Sequence[str] = (), width: int = 80
) -> RenderableType | None:
    """From theory to measurement, term by term; each line adds up. None without a drafter."""
    known = [row for row in rows if row.get("speedup") is not None and None not in _terms(row)]
    if not known:
        return None
    signed = [
        Column(name, head, tuple(f"{row[f'gap_{name}']:+.2f}" for row in known))
        for name, head in zip(GAP_TERMS, _GAP_HEADS, strict=True)
    ]
    theory = Column(
        "S theory", "S\ntheory", tuple(_number(row.get("speedup_theory")) for row in known)
    )
    measured = Column("S", "S", tuple(_number(row["speedup"]) for row in known))
    columns = [*_key_columns(known, swept_keys), theory, *signed, measured]
    title = "from S theory to S measured: what each difference adds"
    return fitted_table(title, columns, width)


def _terms(row: Row) -> list[Any]:
    return [row.get(f"gap_{term}") for term in GAP_TERMS]


def _key_columns(rows: Sequence[Row], swept_keys: Sequence[str]) -> list[Column]:
    """What tells the rows apart."""
    names = [*_NAMES, *(key for key in swept_keys if key not in _NAMES)]
    columns = []
    for name in names:
        is_drafted = [name != "gamma" or row["drafter"] != NO_DRAFTER for row in rows]
        cells = [
            _key_text(row.get(name, "")) if shown else "-"
            for row, shown in zip(rows, is_drafted, strict=True)
        ]
        columns.append(key_column(name, cells))
    return [replace(c, head="work-\nload") if c.name == "workload" else c for c in columns]


def _key_text(value: object) -> str:
    """A setting; a dash where it has no meaning for the point."""
    return "-" if value is None else str(value)


def result_cells(row: Row) -> list[str]:
    """The figures of one row, as text, in the order of `_FIGURES`."""
    low, high = row.get("speedup_ci_low"), row.get("speedup_ci_high")
    return [
        _number(row.get("speedup")),
        "-" if low is None or high is None else f"{low:.2f}-{high:.2f}",
        _number(row.get("accepted_length")),
        _number(row.get("alpha")),
        _number(row.get("draft_cost_ratio")),
        _number(row.get("speedup_theory")),
        _number(row.get("speedup_model")),
        _model_error(row),
        _lossless(row),
        str(row["status"]),
    ]


def divergence_lines(label: str, lossless: dict[str, Any]) -> list[str]:
    """Where greedy outputs of the arms differ, with the margins, and the control beside it."""
    comparison, control = lossless.get("comparison"), lossless.get("control")
    failed = lossless.get("failed_checks") or ()
    if failed:
        return [f"{label}: not the target's law: {check}" for check in failed]
    if not comparison or not comparison["divergences"]:
        return []
    margins = [divergence["margin"] for divergence in comparison["divergences"]]
    known = sorted(margin for margin in margins if margin is not None)
    shown = ", ".join(f"{margin:.1e}" for margin in known) or "not recorded"
    lines = [
        f"{label}: {len(margins)} of {comparison['num_compared']} greedy outputs diverge "
        f"({lossless['evidence']}); logit margins there: {shown}"
    ]
    if control:
        lines.append(
            f"{label}: control, baseline against baseline at another batch size: "
            f"{len(control['divergences'])} of {control['num_compared']} diverge"
        )
    return lines


def row_label(row: Row, swept_keys: Sequence[str]) -> str:
    """Which row a line below the table speaks of."""
    said = [key for key in swept_keys if key not in ("drafter", "gamma")]
    if row.get("tree") == NO_TREE:  # its keys have no meaning for chains
        said = [key for key in said if not key.startswith("tree.")]
    others = [f" {key}={row.get(key)}" for key in said]
    return f"{row['drafter']} gamma={row['gamma']}{''.join(others)}"


def serving_lines(label: str, row: Row) -> list[str]:
    """What the table alone would mislead about: how often a drafter that may find nothing drafted,
    goodput where an objective is set, and what either arm did not serve and why.
    """
    lines = []
    share = row.get("drafting_share")
    if row.get("falls_short") is True and share is not None:
        lines.append(
            f"{label}: drafted in {share:.0%} of the cycles; alpha, c and S theory speak of those"
        )
    goodput, baseline = row.get("goodput_req_s"), row.get("baseline_goodput_req_s")
    if goodput is not None and baseline is not None:
        lines.append(
            f"{label}: {goodput:.2f} requests/s met the SLO ({row['slo_attainment']:.0%}); "
            f"baseline {baseline:.2f} ({row['baseline_slo_attainment']:.0%})"
        )
    for prefix, arm in (("", "speculation"), ("baseline_", "baseline")):
        reason = row.get(f"{prefix}stop_reason")
        if reason is not None:
            lines.append(
                f"{label}: {arm} left {row[f'{prefix}n_unserved']} requests unserved, and "
                f"{row[f'{prefix}n_not_sent']} never fell due (measure.{reason}); latencies leave "
                "them out"
            )
    return lines


def _model_error(row: Row) -> str:
    predicted, measured = row.get("speedup_model"), row.get("speedup")
    return f"{predicted / measured - 1:+.0%}" if predicted and measured else "-"


def _lossless(row: Row) -> str:
    """The evidence; for sampled output, the verdict of the distribution checks."""
    evidence = row.get("lossless_evidence") or "-"
    is_lossless = row.get("lossless")
    if evidence == "untested" and is_lossless is not None:
        return "verified" if is_lossless else "violated"
    return str(evidence)


def _number(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float | int) else "-"
