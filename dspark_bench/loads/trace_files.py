"""Reads public request traces: Mooncake (JSONL), BurstGPT and Azure LLM inference (CSV).

Each row becomes an arrival in seconds from the first row and two token counts. Rows must be in
order of time; one that cannot be read is named with its line.
"""

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from dspark_bench.core.errors import UsageError
from dspark_bench.core.json_text import parse_json

AZURE = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
BURST_GPT = ("Timestamp", "Request tokens", "Response tokens")
MOONCAKE = ("timestamp", "input_length", "output_length")


@dataclass(frozen=True, slots=True)
class TraceRow:
    """arrival_s: from the first row; input_tokens, output_tokens: as recorded."""

    arrival_s: float
    input_tokens: int
    output_tokens: int


def read_trace(path: Path, key: str = "load.path") -> list[TraceRow]:
    """Every row of a trace, which `key` names. Raises UsageError for a file or a row that cannot be
    read.
    """
    if not path.is_file():
        raise UsageError(f"{key} is {path}: no such file")
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            first = lines.read(1)
            lines.seek(0)
            parsed = _mooncake(path, lines) if first == "{" else _csv(path, lines, key)
            rows = list(parsed)
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{key} is {path}: not a text trace ({error})") from error
    if not rows:
        raise UsageError(f"{key} is {path}: it holds no request")
    origin = rows[0].arrival_s
    shifted = [TraceRow(r.arrival_s - origin, r.input_tokens, r.output_tokens) for r in rows]
    for number, (before, after) in enumerate(pairwise(shifted), start=2):
        if after.arrival_s < before.arrival_s:
            raise UsageError(f"{path}: request {number} comes before the one above it")
    return shifted


def _mooncake(path: Path, lines: Iterator[str]) -> Iterator[TraceRow]:
    """Timestamps in milliseconds."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = parse_json(line)
            time, read, written = (float(record[name]) for name in MOONCAKE)
            yield _row(time / 1000, read, written)
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise _bad_line(path, number, MOONCAKE, error) from error


def _csv(path: Path, lines: Iterator[str], key: str) -> Iterator[TraceRow]:
    reader = csv.DictReader(lines)
    header = tuple(reader.fieldnames or ())
    names = next((known for known in (AZURE, BURST_GPT) if set(known) <= set(header)), None)
    if names is None:
        raise UsageError(
            f"{key} is {path}: its first line is neither Mooncake's JSON nor the header of "
            f"BurstGPT ({', '.join(BURST_GPT)}) or Azure ({', '.join(AZURE)})"
        )
    for record in reader:
        try:
            moment = record[names[0]]
            time = _azure_s(moment) if names == AZURE else float(moment)
            yield _row(time, float(record[names[1]]), float(record[names[2]]))
        except (ValueError, TypeError, OverflowError) as error:
            raise _bad_line(path, reader.line_num, names, error) from error


def _azure_s(text: str) -> float:
    """Seconds since the epoch; fractions have seven digits, one more than `datetime` reads."""
    whole, _, fraction = text.strip().partition(".")
    moment = datetime.fromisoformat(whole)
    zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    digits = fraction.split("+")[0].rstrip("Z")
    return zoned.timestamp() + (float(f"0.{digits}") if digits else 0.0)


def _row(time_s: float, read: float, written: float) -> TraceRow:
    if not math.isfinite(time_s):
        raise ValueError(f"time {time_s}")
    if min(read, written) < 0 or read != int(read) or written != int(written):
        raise ValueError(f"token counts {read}, {written}")
    return TraceRow(time_s, int(read), int(written))


def _bad_line(path: Path, number: int, names: tuple[str, ...], error: Exception) -> UsageError:
    return UsageError(f"{path}, line {number}: needs {', '.join(names)} as numbers ({error!r})")
