"""Shows a training run: a Rich progress bar on a terminal, plain lines elsewhere, a CSV always."""

from __future__ import annotations

import csv
import time
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from dspark_bench.training.train_loop import StepReport

_LINE_EVERY = 20
_SMOOTHED_STEPS = 50


class TrainingProgress:
    """Reports steps to a console and appends them to a CSV file; a context manager."""

    def __init__(self, console: Console, csv_path: Path, label: str) -> None:
        self._console = console
        self._csv_path = csv_path
        self._label = label
        self._recent: deque[float] = deque(maxlen=_SMOOTHED_STEPS)
        self._step_s: deque[float] = deque(maxlen=_SMOOTHED_STEPS)
        self._last = time.monotonic()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total} loss {task.fields[loss]:.3f}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(label, total=None, loss=float("nan"))

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def report(self, report: StepReport) -> None:
        """Show and log one finished step."""
        now = time.monotonic()
        self._recent.append(report.loss)
        self._step_s.append(now - self._last)
        self._last = now
        loss = sum(self._recent) / len(self._recent)
        self._append(report)
        self._bar.update(self._task, completed=report.step, total=report.num_steps, loss=loss)
        is_due = report.step % _LINE_EVERY == 0 or report.step == report.num_steps
        if is_due and not self._console.is_terminal:
            mean_s = sum(self._step_s) / len(self._step_s)
            eta_min = mean_s * (report.num_steps - report.step) / 60
            self._console.print(
                f"{self._label} step {report.step}/{report.num_steps} loss {loss:.4f} "
                f"lr {report.lr:.2e} {report.tokens_per_s:.0f} tokens/s eta {eta_min:.1f} min",
                soft_wrap=True,
            )

    def _append(self, report: StepReport) -> None:
        is_new = not self._csv_path.exists()
        with self._csv_path.open("a", newline="") as file:
            writer = csv.writer(file)
            if is_new:
                writer.writerow(("step", "tokens", "loss", "lr", "tokens_per_s"))
            writer.writerow(
                (
                    report.step,
                    report.num_tokens,
                    f"{report.loss:.5f}",
                    f"{report.lr:.4e}",
                    f"{report.tokens_per_s:.0f}",
                )
            )
