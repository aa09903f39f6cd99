"""Acceptance for engines to be told: by hand, and as vLLM resolves the same lengths."""

from pathlib import Path

import pytest

from dspark_bench.export.golden import constant_p, golden, golden_lines, minimum_variance
from dspark_bench.reading.gather import gather
from tests.export.folders import edit_metrics, point, write_counts
from tests.report.folders import write_sweep


@pytest.mark.parametrize(
    ("length", "gamma", "rates"),
    [
        (2.6, 3, (1.0, 0.6, 0.0)),
        (1.0, 3, (0.0, 0.0, 0.0)),
        (4.0, 3, (1.0, 1.0, 1.0)),
        (2.0, 3, (1.0, 0.0, 0.0)),
        (3.5, 4, (1.0, 1.0, 0.5, 0.0)),
    ],
)
def test_minimum_variance(length: float, gamma: int, rates: tuple[float, ...]) -> None:
    assert minimum_variance(length, gamma) == pytest.approx(rates)


@pytest.mark.parametrize(("p", "gamma"), [(0.0, 3), (0.3, 1), (0.75, 4), (1.0, 5)])
def test_constant_p(p: float, gamma: int) -> None:
    length = sum(p**k for k in range(gamma + 1))
    assert constant_p(length, gamma) == pytest.approx(p, abs=1e-9)


def test_rates_are_shares_of_all_cycles_and_loads_are_pooled(tmp_path: Path) -> None:
    rows = [point("a", 1.5, gamma=2), point("b", 1.2, gamma=2, concurrency=4)]
    folder = write_sweep(tmp_path / "s", rows)
    write_counts(folder, "a", 100, [60, 30], [40, 30])
    write_counts(folder, "b", 300, [140, 90], [160, 50])
    ((found,), left_out) = golden(gather(folder))
    assert (found.setting, found.drafter, found.gamma, found.num_cycles) == (
        "math",
        "semi_ar",
        2,
        400,
    )
    assert found.measured == (0.5, 0.3) and found.accepted_length == pytest.approx(1.8)
    assert found.histogram == (200, 80, 120) and (found.low, left_out) == (None, ())
    content = found.as_json()
    assert content["schedules"]["minimum_variance"] == pytest.approx([0.8, 0.0])
    p = content["constant_p"]
    assert content["schedules"]["constant_p"] == pytest.approx([p, p * p])
    assert p + p * p == pytest.approx(0.8)


def test_engines_are_told_by_a_named_schedule(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path / "s", [point("a", 1.5, gamma=2)])
    write_counts(folder, "a", 100, [60, 30], [40, 30])
    ((found,), _) = golden(gather(folder))
    assert (found.low, found.high) == (2.0, 2.1)  # the point's own interval
    engines = found.as_json()["engines"]
    assert {name: part["schedule"] for name, part in engines.items()} == {
        "vllm": "measured",
        "sglang": "minimum_variance",
        "trtllm": "minimum_variance",
        "llamacpp": "constant_p",
    }
    assert engines["vllm"]["speculative_config"] == {
        "rejection_sample_method": "synthetic",
        "synthetic_acceptance_rates": [0.6, 0.3],
    }
    assert engines["sglang"]["environment"]["SGLANG_SIMULATE_ACC_LEN"] == "1.9"
    without_bonus = engines["trtllm"]["environment"]["TLLM_SPEC_DECODE_FORCE_NUM_ACCEPTED_TOKENS"]
    assert without_bonus == "0.9"
    assert engines["llamacpp"]["flags"] == "--spec-synthetic-acceptance-length 1.9"
    assert golden_lines([found])[1].split() == ["measured", "histogram", "0.600", "0.300"]


def test_what_says_nothing_of_acceptance_is_left_out_with_the_reason(tmp_path: Path) -> None:
    rows = [
        point("a", 1.5, timing_invalid="true"),
        point("b", 1.5, scheduler="threshold"),
        point("c", 1.5, gamma=2, lossless="false"),
        point("d", 1.0, drafter="none"),
        point("e", 1.5, gamma=5),
        point("f", 1.5, gamma=6),
    ]
    folder = write_sweep(tmp_path / "s", rows)
    for row in rows:
        gamma = int(str(row["gamma"]))
        if row["point_id"] != "e":
            write_counts(folder, str(row["point_id"]), 10, [5] * gamma, [5] + [0] * (gamma - 1))
    edit_metrics(
        folder,
        "f",
        point={
            "keys": {"acceptance": "forced", "drafter": "semi_ar"}
            | {"gamma": 6, "scheduler": "fixed", "load": "closed", "workload": "math"}
        },
    )
    found, left_out = golden(gather(folder))
    assert [item.gamma for item in found] == [4]  # counts need no clock
    assert sorted(left_out) == [
        "1 of 5 points: acceptance is simulated (acceptance=forced)",
        "1 of 5 points: its counts by position were not kept",
        "1 of 5 points: its output is not the target's (lossless is false)",
        "1 of 5 points: its scheduler chooses what is verified, which chooses what is accepted",
    ]
