"""The table beside the paper: the paper's means, our ratios, and what is left out."""

import json
from pathlib import Path

import pytest

from dspark_bench.reading.gather import gather
from dspark_bench.report.paper import paper_lengths, paper_numbers, paper_rows, write_paper_table
from dspark_bench.report.paper_serving import throughput_ratio
from tests.report.folders import cells, write_sweep


def _of(drafter: str, tau: float, domain: str = "math", **values: object) -> dict[str, object]:
    name = f"{drafter}-{domain}-{'-'.join(map(str, values.values()))}"
    own = {"drafter": drafter, "workload": domain, "gamma": 7, "accepted_length": tau}
    low_high = {"accepted_length_ci_low": tau - 0.1, "accepted_length_ci_high": tau + 0.1}
    return cells(name, **(own | low_high | {"prompts_hash": domain} | values))


def _rows(folder: Path) -> dict[tuple[str, str], tuple[str, str]]:
    rows = paper_rows(gather(folder), paper_numbers())
    return {(what, domain): (ours, theirs) for _, what, domain, ours, theirs in rows}


def test_the_papers_means_are_those_of_its_table() -> None:
    numbers = paper_numbers()
    lengths = paper_lengths(numbers, "semi_ar", "math")
    assert lengths["Qwen3-4B"] == pytest.approx((6.11 + 5.70 + 4.89) / 3)
    assert paper_lengths(numbers, "ar", "prose")["Gemma4-12B"] == pytest.approx(
        (3.19 + 3.06 + 2.72) / 3
    )
    table = numbers["table1"]
    for drafters in table["accepted_length"].values():
        assert all(len(row) == len(table["benchmarks"]) == 9 for row in drafters.values())
    # the paper's own macro-average gain over Eagle3 on Qwen3-4B is 30.9 %
    gains = [
        paper_lengths(numbers, "semi_ar", domain)["Qwen3-4B"]
        / paper_lengths(numbers, "ar", domain)["Qwen3-4B"]
        for domain in numbers["domains"]
    ]
    assert sum(gains) / 3 == pytest.approx(1.309, abs=0.03)


def test_ratios_of_the_same_prompts_beside_the_papers(tmp_path: Path) -> None:
    rows = [
        _of("semi_ar", 3.0),
        _of("parallel", 2.5),
        _of("ar", 2.0),
        _of("semi_ar", 4.0, gamma=15),
        _of("parallel", 2.0, gamma=15, t_draft_s=0.0006),
        _of("semi_ar_depth1", 1.5),
        _of("semi_ar_depth2", 2.75),
        _of("ar", 9.0, "code"),
        _of("semi_ar", 9.0, "code", prompts_hash="others"),
        _of("semi_ar", 8.0, temperature=0.0, seed=1),
    ]
    found = _rows(write_sweep(tmp_path / "s", rows))
    assert found["accepted length, semi_ar", "math"][0] == "3.00 [2.90-3.10]"
    ours, theirs = found["accepted length, semi_ar / parallel", "math"]
    assert ours == "1.20" and theirs.startswith("1.16 (1.15 to 1.19 over 4 targets")
    assert found["accepted length, semi_ar / ar", "math"][0] == "1.50"
    assert found["accepted length, semi_ar / parallel, gamma 15", "math"] == ("2.00", "1.30")
    assert found["accepted length, semi_ar_depth2 / parallel", "math"][0] == "1.10"
    cycle = found["time of a cycle in baseline steps, semi_ar / parallel, gamma 15", "math"]
    assert cycle[0] == f"{6.4 / 5.4:.3f}"
    assert ("accepted length, semi_ar / ar", "code") not in found


def test_thresholds_calibration_and_load(tmp_path: Path) -> None:
    for value, rate in ((0.0, 0.5), (0.4, 0.6), (0.9, 0.9)):
        row = _of("semi_ar", 2.0, scheduler="threshold", acceptance_rate_scheduled=rate)
        keys = {"scheduler.threshold": value}
        write_sweep(tmp_path / "r" / f"t{value}", [row], keys=keys)
    folder = write_sweep(
        tmp_path / "r" / "cal", [_of("semi_ar", 2.0)], keys={"calibrator": "checkpoint"}
    )
    busier = _of("semi_ar", 2.0) | {"point_id": "busier", "gamma": 4, "n_cycles": 9000}
    write_sweep(tmp_path / "r" / "short", [busier], keys={"calibrator": "checkpoint"})
    (path,) = folder.glob("points/*/metrics.json")
    scores = {"ece": [0.1] * 7, "auc": [0.8] * 7, "n": [500] * 7}
    calibration = {"before": scores, "after": scores | {"ece": [0.02] * 7}}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"calibration": calibration}))
    loads = [
        _of("semi_ar", 2.0, "mixed", scheduler=scheduler, gamma=gamma, concurrency=size)
        | {"tok_s_per_user": speed, "throughput_tok_s": throughput, "verify_budget": 6.0 - size}
        for scheduler, gamma, size, speed, throughput in (
            ("hardware_aware", 7, 1, 400.0, 400.0),
            ("hardware_aware", 7, 4, 100.0, 800.0),
            ("fixed", 1, 1, 400.0, 200.0),
            ("fixed", 1, 4, 100.0, 400.0),
        )
    ]
    write_sweep(tmp_path / "r" / "load", loads)
    found = _rows(tmp_path / "r")
    assert found["acceptance rate at the lowest threshold", "math"] == (
        "0.500 (at 0; 2.00 tokens per cycle)",
        "0.769 (at 0)",
    )
    assert found["acceptance rate at the highest threshold", "math"][0].startswith("0.900 (at 0.9;")
    ece, theirs = found["ECE of survival at position 3, before to after", "math"]
    assert ece == "0.100 to 0.020; AUC 0.800; n = 500"
    assert theirs == "0.082 to 0.017; AUC 0.812"
    ratio = found["throughput at equal speed per user, hardware_aware / fixed gamma 1", "mixed"][0]
    assert ratio == "2.00 (interpolated, at 200 tok/s per user)"
    budget = found["verify budget by concurrency, hardware_aware", "mixed"][0]
    assert budget == "5.00 at 1, 2.00 at 4"


def test_speeds_that_do_not_overlap_are_not_compared() -> None:
    assert throughput_ratio([(10.0, 1.0), (20.0, 2.0)], [(30.0, 1.0), (40.0, 2.0)]) is None
    assert throughput_ratio([(10.0, 1.0)], [(5.0, 1.0), (40.0, 2.0)]) is None
    found = throughput_ratio([(1.0, 8.0), (16.0, 8.0)], [(1.0, 1.0), (16.0, 16.0)])
    assert found == pytest.approx((2.0, 4.0))


def test_the_table_is_written_and_says_when_it_is_empty(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path / "s", [_of("semi_ar", 3.0), _of("parallel", 2.5)])
    text = write_paper_table(folder, tmp_path / "paper.md")
    assert (tmp_path / "paper.md").read_text() == text
    assert "| Table 1 | accepted length, semi\\_ar" not in text
    assert "| Table 1 | accepted length, semi_ar / parallel | math | 1.20 | 1.16" in text
    other = write_sweep(tmp_path / "other", [cells("a", workload="jsonl")])
    assert "Nothing here has a counterpart" in write_paper_table(other, tmp_path / "none.md")
