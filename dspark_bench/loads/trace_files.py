"""Reads public request traces: Mooncake and Alibaba Bailian (JSON), BurstGPT and Azure (CSV).

Each row becomes an arrival after the first row's, and two token counts. Rows must be in order of
time; one that cannot be read is named with its line. Mooncake counts milliseconds and Bailian
seconds under the same keys, so of JSON the unit must be told.
"""

import csv
import io
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Final

from dspark_bench.core.errors import UsageError
from dspark_bench.core.json_entries import NotJsonError, json_entries, looks_like_json
from dspark_bench.core.packed_text import read_packed_text

AZURE: Final = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
BURST_GPT: Final = ("Timestamp", "Request tokens", "Response tokens")
MOONCAKE: Final = ("timestamp", "input_length", "output_length")
UNITS: Final = {"s": 1.0, "ms": 1e-3}
"""What `load.time_unit` may be, in seconds."""
_DATE: Final = re.compile(
    r"(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d)(?:\.(\d+))?\s*(?:Z|([+-])(\d\d):?(\d\d))?"
)


@dataclass(frozen=True, slots=True)
class TraceRow:
    """time: after the first row's, in the file's unit; input_tokens, output_tokens: as recorded."""

    time: float
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Trace:
    """A trace as its file has it.

    origin: time of the first row, in the file's unit; unit_s: the unit in seconds, None where the
    file does not say; is_dated: its times are dates.
    """

    rows: tuple[TraceRow, ...]
    origin: float
    unit_s: float | None
    is_dated: bool = False

    def seconds(self, path: Path, time_unit: str | None) -> float:
        """The unit in seconds, by the file or by `load.time_unit`.

        Raises UsageError if neither says it, or if both do and differ.
        """
        if time_unit is not None and time_unit not in UNITS:
            raise UsageError(f"load.time_unit is {time_unit!r}; valid: {', '.join(UNITS)}, or null")
        if self.is_dated and time_unit not in (None, "s"):
            raise UsageError(
                f"load.time_unit is {time_unit!r}, but the times of {path} are dates; valid: null"
            )
        if time_unit is not None:
            return UNITS[time_unit]
        if self.unit_s is not None:
            return self.unit_s
        last = self.rows[-1].time
        raise UsageError(
            f"{path} does not say whether its times are seconds or milliseconds; give "
            f"load.time_unit=ms (Mooncake: its {len(self.rows)} requests then come within "
            f"{last / 1000:g} s) or load.time_unit=s (Alibaba Bailian: within {last:g} s)"
        )


def read_trace(path: Path, key: str = "load.path") -> Trace:
    """Every row of a trace, which `key` names. Raises UsageError for a file or a row that cannot be
    read.
    """
    if not path.is_file():
        raise UsageError(f"{key} is {path}: no such file")
    try:
        text = read_packed_text(path)
        is_json = looks_like_json(text)
        found = _json(path, text) if is_json else _csv(path, text, key)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{key} is {path}: not a text trace ({error})") from error
    except ValueError as error:
        raise UsageError(f"{key} is {path}: {error}") from error
    if not found.rows:
        raise UsageError(f"{key} is {path}: it holds no request")
    return found


def _json(path: Path, text: str) -> Trace:
    try:
        entries = json_entries(text)
    except NotJsonError as error:
        raise UsageError(
            f"{path}, line {error.line}: needs {', '.join(MOONCAKE)} as JSON ({error})"
        ) from error
    rows = []
    for entry in entries:
        place = f"{path}, line {entry.number}"
        try:
            time, read, written = (float(entry.value[name]) for name in MOONCAKE)
            rows.append((place, time, read, written))
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise _bad_line(place, MOONCAKE, error) from error
    return _trace(rows, MOONCAKE, None)


def _csv(path: Path, text: str, key: str) -> Trace:
    reader = csv.DictReader(io.StringIO(text.lstrip("\r\n"), newline=""))
    header = tuple(name.strip() for name in reader.fieldnames or ())
    reader.fieldnames = list(header)
    names = next((known for known in (AZURE, BURST_GPT) if set(known) <= set(header)), None)
    if names is None:
        raise UsageError(
            f"{key} is {path}: its first line is neither Mooncake's JSON nor the header of "
            f"BurstGPT ({', '.join(BURST_GPT)}) or Azure ({', '.join(AZURE)})"
        )
    is_dated = names == AZURE
    return _trace(list(_csv_rows(path, reader, names)), names, 1.0, is_dated)


_Raw = tuple[str, float, float, float]
"""Where a row stands, its time, its input and its output tokens."""


def _csv_rows(path: Path, reader: "csv.DictReader[str]", names: tuple[str, ...]) -> Iterator[_Raw]:
    for record in reader:
        place = f"{path}, line {reader.line_num}"
        try:
            moment = record[names[0]]
            time = _azure_s(moment) if names == AZURE else float(moment)
            yield place, time, float(record[names[1]]), float(record[names[2]])
        except (ValueError, TypeError, OverflowError) as error:
            raise _bad_line(place, names, error) from error


def _azure_s(text: str) -> float:
    """Seconds since the epoch; fractions have seven digits, one more than `datetime` reads."""
    found = _DATE.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no date")
    whole, fraction, sign, hours, minutes = found.groups()
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    zone = timezone(-offset if sign == "-" else offset) if sign else UTC
    moment = datetime.fromisoformat(whole).replace(tzinfo=zone)
    return moment.timestamp() + (float(f"0.{fraction}") if fraction else 0.0)


def _trace(
    raw: Sequence[_Raw], names: tuple[str, ...], unit_s: float | None, is_dated: bool = False
) -> Trace:
    """Checked rows, counted from the first. Raises UsageError naming the row."""
    rows: list[TraceRow] = []
    origin = before = raw[0][1] if raw else 0.0
    for place, time, read, written in raw:
        try:
            row = _row(time - origin, read, written)
        except (ValueError, OverflowError) as error:
            raise _bad_line(place, names, error) from error
        if time < before:
            raise UsageError(
                f"{place}: comes before the row above it ({time:.15g} after {before:.15g}); valid: "
                "rows in order of time, sorted by the first of " + ", ".join(names)
            )
        before = time
        rows.append(row)
    return Trace(tuple(rows), origin, unit_s, is_dated)


def _row(time: float, read: float, written: float) -> TraceRow:
    if not math.isfinite(time):
        raise ValueError(f"time {time}")
    if min(read, written) < 0 or read != int(read) or written != int(written):
        raise ValueError(f"token counts {read}, {written}")
    return TraceRow(time, int(read), int(written))


def _bad_line(place: str, names: tuple[str, ...], error: Exception) -> UsageError:
    return UsageError(f"{place}: needs {', '.join(names)} as numbers ({error!r})")
