"""Equal arms of a real block are judged, and a block that errs is counted."""

from pathlib import Path

import pandas as pd
import pytest

from dspark_bench.evidence.bench_copies import Size, counted, is_within, judge, num_beaten, section
from dspark_bench.machine.environment import read_environment
from dspark_bench.metrics.leads import Leads
from dspark_bench.reading.speeds import Speeds, leads_among
from tests.sweeps import tiny_overrides
from tests.tiny_models import TinyZoo


def _leads(*slower: float) -> Leads:
    """A first arm, and others that take so many times its seconds, over 12 prompts."""
    arms = {}
    for place, factor in enumerate((1.0, *slower)):
        times = [factor * (1 + 0.01 * ((3 * place + prompt) % 5)) for prompt in range(12)]
        rows = {"tokens": 20.0, "time_s": times, "baseline_tokens": 20.0, "baseline_time_s": 2.0}
        arms[str(place)] = Speeds(pd.DataFrame(rows, index=[f"p{n:02}" for n in range(12)]), {})
    return leads_among(arms)


def test_blocks_that_call_an_arm_beaten_are_counted_against_the_bar() -> None:
    sound, wrong = _leads(1.0, 1.0), _leads(1.0, 1.5)
    assert num_beaten([sound] * 17 + [wrong] * 3) == 3
    assert is_within([sound] * 17 + [wrong] * 3) and not is_within([sound] * 16 + [wrong] * 4)
    assert counted({"shared": [sound, wrong], "own": [sound]}) == (
        "shared noise 1 of 2, own noise 0 of 1 call an arm beaten"
    )
    text = section({"shared": [sound, wrong]}, Size(), read_environment(), "1a2b3c4")
    assert text.startswith("## Equal arms of real blocks\n\n`make bench-copies` (commit 1a2b3c4; ")
    assert "| shared | 2 | 0 | 1 | 50" in text and text.rstrip().endswith("| missed |")


@pytest.mark.slow
@pytest.mark.parametrize("noise", ["shared", "own"])
def test_a_block_of_copies_is_measured_and_judged(
    tiny_zoo: TinyZoo, tmp_path: Path, noise: str
) -> None:
    """With noise of their own, copies emit different tokens; else the same."""
    given = ("target.path", "drafter.path", "workload", "workload.path", "engine")
    kept = [o for o in tiny_overrides(tiny_zoo, tmp_path) if o.partition("=")[0] in given]
    found = judge(tmp_path / "r", Size(copies=3, prompts=6, tokens=6), noise, 1, kept)
    assert found.num_units == 6 and len(found.leads) == 2 and found.reason is None
    files = (tmp_path / "r" / f"{noise}-1" / "points").glob("*/requests.parquet")
    outputs = set()
    for file in files:
        frame = pd.read_parquet(file)
        rows = frame[(frame["arm"] == "speculative") & ~frame["is_warmup"]]
        outputs.add(tuple(tuple(tokens) for tokens in rows["output_tokens"]))
    assert (len(outputs) == 1) is (noise == "shared")
