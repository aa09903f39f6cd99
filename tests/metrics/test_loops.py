"""Answers that run in a circle: by hand, at the edges of what counts."""

from typing import Any

import pandas as pd
import pytest

from dspark_bench.metrics.frames import BASELINE, SPECULATIVE
from dspark_bench.metrics.intervals import Interval
from dspark_bench.metrics.loops import COLUMN, flag_loops, has_loop, loop_figures
from dspark_bench.metrics.sums import Pooling
from tests.metrics.records import cycle, request

_FRESH = list(range(1000, 1100))


def _loop(period: int, num_tokens: int) -> list[int]:
    return [i % period for i in range(num_tokens)]


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ([], False),
        (_FRESH, False),
        (_loop(1, 32), True),
        (_loop(1, 31), False),
        (_loop(10, 32), True),  # three times and a bit
        (_loop(11, 32), False),  # less than three times
        (_loop(11, 33), True),
        (_loop(32, 96), True),
        (_loop(32, 95), False),
        (_loop(33, 200), False),  # too long a period
        (_FRESH + _loop(5, 40) + _FRESH, True),
        (_loop(5, 20) + _FRESH + _loop(5, 20), False),  # the stretches are apart
    ],
)
def test_a_loop_is_32_tokens_that_repeat_three_times(output: list[int], expected: bool) -> None:
    assert has_loop(output) is expected


def test_what_was_copied_once_from_the_prompt_does_not_count() -> None:
    table = _loop(4, 40)
    assert not has_loop([*_FRESH, *table, 7], [9, *table, 8])
    assert has_loop([*_FRESH, *_loop(4, 44)], [9, *table, 8])  # goes on where the prompt ends
    text = _FRESH[:30]
    assert has_loop(text * 4, text)  # copied again and again


def _rows(outputs: dict[str, list[list[int]]], arm: str) -> list[dict[str, Any]]:
    """One request a repeat; the prompt is its own hash."""
    return [
        request(arm=arm, repeat=n, request_id=i, prompt_id=name, output_tokens=tuple(output))
        | {"prompt_hash": name}
        for i, (name, found) in enumerate(outputs.items())
        for n, output in enumerate(found)
    ]


def test_the_baselines_output_decides_for_every_arm() -> None:
    loop, plain = _loop(2, 50), _FRESH[:50]
    rows = _rows({"a": [loop], "b": [plain]}, BASELINE)
    rows += _rows({"a": [plain], "b": [loop]}, SPECULATIVE)
    flags = flag_loops(pd.DataFrame(rows), {})
    assert flags.tolist() == [True, False, True, False]


def test_half_of_a_prompts_outputs_are_enough_and_warm_up_has_no_say() -> None:
    loop, plain = _loop(2, 50), _FRESH[:50]
    half = {"a": [loop, plain], "b": [loop, plain, plain], "c": [plain, plain]}
    frame = pd.DataFrame(_rows(half, BASELINE))
    by_prompt = frame.assign(flag=flag_loops(frame, {})).groupby("prompt_id")["flag"].first()
    assert by_prompt.to_dict() == {"a": True, "b": False, "c": False}
    warm = frame.assign(is_warmup=frame["output_tokens"].map(len) == len(loop))
    assert not flag_loops(warm, {}).any()


def _records(
    times_s: dict[str, float], flags: dict[str, bool]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Per prompt: a baseline cycle of 1 s a token, and a speculative one of as given."""
    cycles, requests = [], []
    for i, (name, seconds) in enumerate(times_s.items()):
        for arm, took in ((BASELINE, 1.0), (SPECULATIVE, seconds)):
            cycles.append(
                cycle(arm=arm, request_id=i, cycle=i, t_verify_s=took, started_s=float(i))
            )
            requests.append(
                request(arm=arm, request_id=i, prompt_id=name, output_tokens=(1,), domain="chat")
                | {COLUMN: flags[name]}
            )
    return pd.DataFrame(cycles), pd.DataFrame(requests)


def test_s_without_those_that_loop() -> None:
    """Three of four take half the time; the one that loops a tenth."""
    times = {"a": 0.5, "b": 0.5, "c": 0.5, "loop": 0.1}
    cycles, requests = _records(times, {name: name == "loop" for name in times})
    found = loop_figures(cycles, requests, Pooling(0), Interval(2.5, None, None, 4))
    assert found is not None
    assert found.share == 0.25
    assert found.speedup.value == pytest.approx(2.0)
    assert found.speedup.n == 3
    assert found.as_row()["speedup_not_degenerate"] == pytest.approx(2.0)


def test_without_a_loop_it_is_s_itself_and_old_records_say_nothing() -> None:
    times, overall = {"a": 0.5, "b": 0.25}, Interval(2.7, 2.0, 3.0, 2)
    cycles, requests = _records(times, dict.fromkeys(times, False))
    found = loop_figures(cycles, requests, Pooling(0), overall)
    assert found is not None and (found.share, found.speedup) == (0.0, overall)
    assert loop_figures(cycles, requests.drop(columns=COLUMN), Pooling(0), overall) is None
    every = loop_figures(cycles, requests.assign(**{COLUMN: True}), Pooling(0), overall)
    assert every is not None and every.share == 1.0 and every.speedup.value is None
