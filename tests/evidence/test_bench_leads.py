"""The bench of leads, small: its arms are equal, its shortcut leaves nothing out."""

from pathlib import Path

import numpy as np
import pytest

from dspark_bench.evidence.bench_leads import POINTS, beaten, pair_errors, section
from dspark_bench.evidence.recorded_arms import RecordedPrompts, read_recorded
from dspark_bench.metrics.leads import ArmSums, find_leads


@pytest.fixture(scope="module")
def recorded() -> RecordedPrompts:
    return read_recorded(sorted(Path(POINTS).glob("[!.]*"))[0])


def test_redrawn_runs_are_as_long_as_the_recorded_ones(recorded: RecordedPrompts) -> None:
    assert recorded.tokens.shape == (192,) and recorded.redrawn.shape == (192, 64)
    drawn, told = recorded.redrawn.mean(axis=1).sum(), recorded.cycles.mean(axis=1).sum()
    assert drawn == pytest.approx(told, rel=0.02)
    assert (recorded.redrawn <= recorded.tokens[:, None]).all()


def test_arms_are_exchangeable_but_for_the_lead(recorded: RecordedPrompts) -> None:
    tables = recorded.arms((4000, 3, 8), 0.2, 0.02, np.random.default_rng(0))
    times = tables[..., 1].sum(axis=(0, 2))
    assert times[1] == pytest.approx(times[2], rel=0.01)
    assert times[1] / times[0] == pytest.approx(1.2, rel=0.01)


def test_sets_judged_by_the_shortcut_are_judged_alike(recorded: RecordedPrompts) -> None:
    tables = recorded.arms((12, 3, 12), 0.15, 0.02, np.random.default_rng(1))
    whole = [
        find_leads(ArmSums(("0", "1", "2"), table), seed=seed, num_draws=99).beaten
        for seed, table in enumerate(tables)
    ]
    assert beaten(tables, num_draws=99) == whole
    assert any(whole) and not all(whole)


@pytest.mark.parametrize("num_units", [6, 12])
def test_recorded_pairs_meet_the_bar(recorded: RecordedPrompts, num_units: int) -> None:
    """At most 5.5 %, where the textbook's interval errs in more."""
    pairs = recorded.pairs(20_000, num_units, np.random.default_rng(num_units))
    ours, textbook = pair_errors(pairs, 0.0)
    assert ours <= 0.055 < textbook


def test_the_section_has_its_three_tables(recorded: RecordedPrompts) -> None:
    text = section([recorded], pairs=20, sets=2, power_sets=2)
    assert text.startswith("## Leads and intervals of S\n")
    assert text.count("|---|") >= 3 and "| 6 to 11 | " in text and "| 12 | " in text
