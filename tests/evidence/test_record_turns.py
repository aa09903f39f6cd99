"""The recording of turns, small: what it writes is what the bench of precision reads."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dspark_bench.evidence import record_turns
from dspark_bench.evidence.recorded_block import read_pace
from dspark_bench.measure.williams import orders

_NAMES = ("none", "semi_ar 4")


def test_every_arm_takes_its_turns_in_the_order_of_the_square(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arms = {name: record_turns.ARMS[name] for name in _NAMES}
    for name, value in (("ARMS", arms), ("ROUND_PROMPTS", 8), ("_NUM_PROMPTS", 8)):
        monkeypatch.setattr(record_turns, name, value)
    path = tmp_path / "turns.csv"
    record_turns.main(prompts=3, rounds=1, tokens=3, out=path)
    frame = pd.read_csv(path)
    single = frame[frame["at_once"] == 1]
    taken = [_NAMES[place] for number in range(3) for place in orders(2)[number % 2]]
    assert single["arm"].tolist() == taken and single["set"].tolist() == [0, 0, 1, 1, 2, 2]
    assert frame["started_s"].is_monotonic_increasing and frame["started_s"].iloc[0] == 0
    assert single[single["arm"] == "none"]["cycles"].tolist() == [2, 2, 2]  # and the prompt's own
    assert (frame["at_once"] == 8).sum() == 2
    costs, drift = read_pace(path, _NAMES)
    assert (costs > 0).all() and len(drift) == np.isfinite(drift).sum() <= 6
