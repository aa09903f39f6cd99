"""The three public trace shapes, and files that are none of them."""

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


def test_mooncake_counts_milliseconds(tmp_path: Path) -> None:
    rows = read_trace(written(tmp_path, MOONCAKE))
    assert rows == [TraceRow(0.0, 6758, 500), TraceRow(3.0, 10, 2)]


def test_burst_gpt_counts_seconds(tmp_path: Path) -> None:
    rows = read_trace(written(tmp_path, BURST_GPT))
    assert rows == [TraceRow(0.0, 472, 18), TraceRow(40.5, 1087, 230)]


def test_azure_has_seven_fractional_digits(tmp_path: Path) -> None:
    first, second = read_trace(written(tmp_path, AZURE))
    assert (first.input_tokens, second.output_tokens) == (374, 109)
    assert second.arrival_s == pytest.approx(0.4000005, abs=1e-6)


def test_gaps_are_scaled_and_too_many_requests_refused(tmp_path: Path) -> None:
    load = TraceLoad(written(tmp_path, MOONCAKE), 0.5, 4)
    load.start(2)
    assert [load.scheduled_s(index, 0.0) for index in range(2)] == [0.0, 1.5]
    with pytest.raises(UsageError, match=r"num_requests is 3; valid for .*: 1 to 2"):
        load.start(3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "neither Mooncake's JSON nor the header"),
        ("time,tokens\n1,2\n", "neither Mooncake's JSON nor the header"),
        (AZURE.splitlines()[0] + "\n", "it holds no request"),
        ('{"timestamp": 1}\n', "line 1: needs timestamp, input_length, output_length"),
        ('{"timestamp": 1,\n', "line 1: needs timestamp"),
        (MOONCAKE.replace("30000", "26000"), "request 2 comes before"),
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
    path.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(UsageError, match="not a text trace"):
        read_trace(path)
    with pytest.raises(UsageError, match=r"load\.path is not given"):
        TraceLoad(None, 1.0, 1)
