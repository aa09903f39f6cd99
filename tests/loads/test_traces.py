"""The three public trace shapes, and files that are none of them."""

import gzip
import json
from pathlib import Path

import pytest

from dspark_bench.core.errors import UsageError
from dspark_bench.loads.trace import TraceLoad
from dspark_bench.loads.trace_files import TraceRow, read_trace

MOONCAKE = (
    '{"timestamp": 27000, "input_length": 6758, "output_length": 500, "hash_ids": [0]}\n'
    '{"timestamp": 30000, "input_length": 10, "output_length": 2, "hash_ids": []}\n'
)
BURST_GPT = (
    "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
    "5,ChatGPT,472,18,490,Conversation log\n45.5,GPT-4,1087,230,1317,API log\n"
)
AZURE = (
    "TIMESTAMP,ContextTokens,GeneratedTokens\n"
    "2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:47.0805905,396,109\n"
)


def written(folder: Path, text: str) -> Path:
    path = folder / "trace"
    path.write_text(text, encoding="utf-8")
    return path


def times(path: Path, time_unit: str | None, num: int = 2) -> list[float]:
    load = TraceLoad(path, 1.0, 4, time_unit)
    load.start(num)
    return [load.scheduled_s(index, 0.0) for index in range(num)]


def test_rows_count_from_the_first(tmp_path: Path) -> None:
    trace = read_trace(written(tmp_path, MOONCAKE))
    assert trace.rows == (TraceRow(0, 6758, 500), TraceRow(3000, 10, 2))
    assert (trace.origin, trace.unit_s) == (27000, None)


def test_json_must_be_told_its_unit(tmp_path: Path) -> None:
    path = written(tmp_path, MOONCAKE)
    assert times(path, "ms") == [0.0, 3.0]
    assert times(path, "s") == [0.0, 3000.0]
    says = r"give load.time_unit=ms \(Mooncake: its 2 requests then come within 3 s\) or "
    with pytest.raises(UsageError, match=says + r"load.time_unit=s \(Alibaba Bailian: within 3000"):
        TraceLoad(path, 1.0, 4)
    with pytest.raises(UsageError, match=r"load.time_unit is 'h'; valid: s, ms, or null"):
        TraceLoad(path, 1.0, 4, "h")


def test_burst_gpt_counts_seconds_unless_told(tmp_path: Path) -> None:
    path = written(tmp_path, BURST_GPT)
    assert read_trace(path).rows == (TraceRow(0.0, 472, 18), TraceRow(40.5, 1087, 230))
    assert times(path, None) == times(path, "s") == [0.0, 40.5]
    assert times(path, "ms") == pytest.approx([0.0, 0.0405])


def test_azure_has_dates_of_seven_fractional_digits(tmp_path: Path) -> None:
    path = written(tmp_path, AZURE)
    first, second = read_trace(path).rows
    assert (first.input_tokens, second.output_tokens) == (374, 109)
    assert times(path, None)[1] == pytest.approx(0.4000005, abs=1e-6)
    with pytest.raises(UsageError, match=r"the times of .* are dates; valid: null"):
        TraceLoad(path, 1.0, 4, "ms")


def test_zones_of_dates_count(tmp_path: Path) -> None:
    rows = ("2024-05-10 10:00:00+02:00,1,1", "2024-05-10 08:00:01.500000+00:00,1,1",
            "2024-05-10 03:00:02.25-05:00,1,1", "2024-05-10T08:00:03Z,1,1")  # fmt: skip
    path = written(tmp_path, AZURE.splitlines()[0] + "\n" + "\n".join(rows) + "\n")
    assert times(path, None, 4) == pytest.approx([0.0, 1.5, 2.25, 3.0], abs=1e-6)


@pytest.mark.parametrize(
    "content",
    [
        ("\n" + MOONCAKE).encode(),
        ("  " + MOONCAKE.replace("\n", "\r\n  ")).encode(),
        MOONCAKE.encode("utf-8-sig"),
        MOONCAKE.encode("utf-16"),
        gzip.compress(MOONCAKE.encode()),
        ("[" + MOONCAKE.strip().replace("\n", ",\n") + "]").encode(),
        json.dumps([json.loads(line) for line in MOONCAKE.splitlines()], indent=1).encode(),
        b"\n" + BURST_GPT.replace("45.5", "8").encode(),
        BURST_GPT.replace("45.5", "8").replace(",", ", ").encode(),
        gzip.compress(BURST_GPT.replace("45.5", "8").encode()),
        BURST_GPT.replace("45.5", "8").encode("utf-8-sig"),
    ],
)
def test_blanks_packing_and_encodings_change_nothing(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "trace"
    path.write_bytes(content)
    unit = None if read_trace(path).unit_s is not None else "ms"
    assert times(path, unit) == [0.0, 3.0]


def test_gaps_are_scaled_and_too_many_requests_refused(tmp_path: Path) -> None:
    load = TraceLoad(written(tmp_path, MOONCAKE), 0.5, 4, "ms")
    load.start(2)
    assert [load.scheduled_s(index, 0.0) for index in range(2)] == [0.0, 1.5]
    assert load.last_arrival_s(2) == 1.5
    with pytest.raises(UsageError, match=r"num_requests is 3; valid for .*: 1 to 2"):
        load.start(3)


def test_an_offset_is_taken_away_and_said(tmp_path: Path) -> None:
    path = written(tmp_path, MOONCAKE)
    (note,) = TraceLoad(path, 0.5, 4, "ms").notes(2)
    assert note == "load=trace: trace begins at 27 s; arrivals are counted from its first row"
    assert TraceLoad(written(tmp_path, MOONCAKE.replace("27000", "0")), 1.0, 4, "s").notes(2) == ()
    assert TraceLoad(written(tmp_path, AZURE), 1.0, 4).notes(2) == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "neither Mooncake's JSON nor the header"),
        ("time,tokens\n1,2\n", "neither Mooncake's JSON nor the header"),
        (AZURE.splitlines()[0] + "\n", "it holds no request"),
        ('{"timestamp": 1}\n', "line 1: needs timestamp, input_length, output_length"),
        ('{"timestamp": 1,\n', "line 1: needs timestamp"),
        (
            MOONCAKE.replace("30000", "26000"),
            r"line 2: comes before the row above it \(26000 after 27000\); valid: rows in",
        ),
        (MOONCAKE.replace("30000", "NaN"), "line 2"),
        (BURST_GPT.replace("1087", "-1"), "line 3"),
        (BURST_GPT.replace("1087", "many"), "line 3"),
        (AZURE.replace("18:15:47.0805905", "noon"), "line 3"),
        (AZURE.replace(",396,109", ""), "line 3"),
    ],
)
def test_bad_traces_are_named_by_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_trace(written(tmp_path, text))


def test_what_is_no_text_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    with pytest.raises(UsageError, match="no such file"):
        read_trace(path)
    path.write_bytes(b"{\xff\xfe")
    with pytest.raises(UsageError, match="not a text trace"):
        read_trace(path)
    with pytest.raises(UsageError, match=r"load\.path is not given"):
        TraceLoad(None, 1.0, 1)
