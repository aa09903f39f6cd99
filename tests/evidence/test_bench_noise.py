"""The table of A/A pairs says which S is a difference."""

import pytest

from dspark_bench.evidence.bench_noise import section
from dspark_bench.machine.environment import read_environment
from dspark_bench.reading.rows import Row


def row(drafter: str, low: float | None, high: float | None, floor: float | None = 0.02) -> Row:
    middle = None if low is None or high is None else (low + high) / 2
    return {
        "drafter": drafter,
        "concurrency": 1,
        "other_cores": 0.25,
        "speedup": middle,
        "speedup_ci_low": low,
        "speedup_ci_high": high,
        "aa_ratio": 1.0,
        "aa_ratio_ci_low": 0.99,
        "aa_ratio_ci_high": 1.01,
        "noise_floor": floor,
        "noise_floor_basis": "8 pairs",
    }


@pytest.mark.parametrize(
    ("low", "high", "floor", "verdict"),
    [
        (0.99, 1.01, 0.02, "within the floor"),
        (0.95, 1.01, 0.02, "holds 1"),
        (1.3, 1.5, 0.02, "a difference"),
        (0.8, 0.9, 0.02, "a difference"),
        (0.99, 1.01, None, "not known"),
        (None, None, 0.02, "not known"),
    ],
)
def test_verdicts(low: float | None, high: float | None, floor: float | None, verdict: str) -> None:
    text = section([row("semi_ar", low, high, floor)], read_environment(), "1a2b3c4", "4 prompts")
    assert text.splitlines()[-1].endswith(f"| 8 pairs | 0.2 | {verdict} |")


def test_the_pair_of_equal_engines_comes_first_and_the_commit_is_named() -> None:
    rows = [row("semi_ar", 1.3, 1.5), row("none", 0.99, 1.01)]
    text = section(rows, read_environment(), "1a2b3c4", "4 prompts")
    assert text.startswith("## Timing noise\n\n`make bench-noise` (commit 1a2b3c4; ")
    assert text.index("| 1 | `none` | 1.000 | 0.990-1.010 | 2.0% | 1.000 | 0.990-1.010 |") < (
        text.index("| 1 | `semi_ar` | 1.400 |")
    )
