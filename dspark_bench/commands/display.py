"""What a sweep shows: progress between turns, and the final table.

Nothing here runs by itself: a bar that refreshed in a thread would be measured with the engine.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from dspark_bench.config.point_config import NO_DRAFTER
from dspark_bench.measure.point import Watcher
from dspark_bench.measure.turns import TurnResult
from dspark_bench.metrics.gap import GAP_TERMS
from dspark_bench.store.tables import FINISHED, Row

_REFRESH_S = 0.5
_BAR = 24
_NAMES = ("drafter", "gamma", "workload")
_GAP_HEADS = (
    "trunca-\ntion",
    "non-\niid",
    "draft\ncost",
    "verify\ncost",
    "over-\nhead",
    "prefill,\nbatches",
)


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
        self._started_s = time.monotonic()
        self._point_s = self._drawn_s = self._started_s
        self._said: set[str] = set()
        self._live: Live | None = None
        if console.is_terminal and num_points > 0:
            self._live = Live(console=console, auto_refresh=False, transient=True)
            self._live.start()

    def __reduce__(self) -> tuple[Callable[[], "SweepDisplay"], tuple[()]]:
        """A launcher's other process shows nothing."""
        return silent_display, ()

    def begin(self, label: str) -> Watcher:
        """A point begins; the watcher is what it reports to."""
        self._label = label
        self._turns = (0, 0)
        self._point_s = time.monotonic()
        self._draw(is_forced=True)
        return Watcher(self._plan, self._turn, self._say)

    def end(self, outcome: str, warnings: Sequence[str] = ()) -> None:
        """The point has ended. warnings: what made the machine too noisy, a line each."""
        self._num_done += 1
        took_s = time.monotonic() - self._point_s
        self._turns = (0, 0)
        line = f"[{self._num_done}/{self._num_points}] {self._label}: {outcome} ({took_s:.0f} s)"
        self._console.print(Text(line))
        for warning in warnings:
            self._console.print(Text(f"  noisy machine: {warning}"))

    def close(self) -> None:
        """Remove the live line."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _say(self, notes: Sequence[str]) -> None:
        """Each note once a sweep, however many points it holds for."""
        for note in notes:
            if note not in self._said:
                self._said.add(note)
                self._console.print(Text(f"note: {note}"), soft_wrap=True)

    def _plan(self, num_turns: int) -> None:
        self._turns = (0, num_turns)
        self._draw(is_forced=True)

    def _turn(self, result: TurnResult) -> None:
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
        self._live.update(Text(f"{place} {self._label}  {stage}  {self._eta(share)}"), refresh=True)

    def _eta(self, share: float) -> str:
        progress = self._num_done + share
        if progress < 0.05:
            return ""
        elapsed_s = time.monotonic() - self._started_s
        left_s = elapsed_s * (self._num_points - progress) / progress
        return f"about {left_s:.0f} s left"


def silent_display() -> SweepDisplay:
    """A display that shows nothing."""
    return SweepDisplay(Console(quiet=True), 0)


def result_table(rows: Sequence[Row], swept_keys: Sequence[str] = ()) -> Table:
    """Drafter, gamma, workload, S and what explains it; one line per point.

    Narrow enough for 80 columns, unless other keys are swept.
    """
    table = Table(
        title="speedup S over the paired baseline",
        title_justify="left",
        box=None,
        padding=(0, 1, 0, 0),
        header_style="bold underline",
    )
    others = [key for key in swept_keys if key not in _NAMES]
    has_status = any(row["status"] != FINISHED for row in rows)
    for name in ("drafter", "gamma", "work-\nload", *others):
        table.add_column(name, no_wrap=True)
    for name in ("S", "95 %", "tau", "alpha", "c", "S\ntheory", "S\nmodel", "its\nerror"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("lossless", no_wrap=True)
    if has_status:
        table.add_column("status")
    for row in rows:
        cells = result_cells(row, [*_NAMES, *others])
        table.add_row(*cells, *([str(row["status"])] if has_status else []))
    return table


def gap_table(rows: Sequence[Row], swept_keys: Sequence[str] = ()) -> Table | None:
    """From theory to measurement, term by term; each line adds up. None without a drafter."""
    names = [*_NAMES, *(key for key in swept_keys if key not in _NAMES)]
    table = Table(
        title="from S theory to S measured: what each difference adds",
        title_justify="left",
        box=None,
        padding=(0, 1, 0, 0),
        header_style="bold underline",
    )
    for name in names:
        table.add_column("work-\nload" if name == "workload" else name, no_wrap=True)
    for head in ("S\ntheory", *_GAP_HEADS, "S"):
        table.add_column(head, justify="right", no_wrap=True)
    for row in rows:
        terms = [row.get(f"gap_{term}") for term in GAP_TERMS]
        if row.get("speedup") is None or None in terms:
            continue
        keys = [str(row.get(key, "")) for key in names]
        signed = [f"{term:+.2f}" for term in terms]
        table.add_row(
            *keys, _number(row.get("speedup_theory")), *signed, _number(row.get("speedup"))
        )
    return table if table.row_count else None


def result_cells(row: Row, names: Sequence[str]) -> list[str]:
    """The cells of one row, as text."""
    keys = [str(row.get(key, "")) for key in names]
    if row["drafter"] == NO_DRAFTER:
        keys[names.index("gamma")] = "-"
    low, high = row.get("speedup_ci_low"), row.get("speedup_ci_high")
    return [
        *keys,
        _number(row.get("speedup")),
        "-" if low is None or high is None else f"{low:.2f}-{high:.2f}",
        _number(row.get("accepted_length")),
        _number(row.get("alpha")),
        _number(row.get("draft_cost_ratio")),
        _number(row.get("speedup_theory")),
        _number(row.get("speedup_model")),
        _model_error(row),
        _lossless(row),
    ]


def divergence_lines(label: str, lossless: dict[str, Any]) -> list[str]:
    """Where greedy outputs of the arms differ, with the margins, and the control beside it."""
    comparison, control = lossless.get("comparison"), lossless.get("control")
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
    others = [f" {key}={row.get(key)}" for key in swept_keys if key not in ("drafter", "gamma")]
    return f"{row['drafter']} gamma={row['gamma']}{''.join(others)}"


def serving_lines(label: str, row: Row) -> list[str]:
    """Goodput where an objective is set, and what either arm did not serve and why."""
    lines = []
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
