"""The bench of precision, small: records, drift and rounds, and that it judges as a sweep does."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dspark_bench.core.errors import ResultsError
from dspark_bench.evidence.bench_precision import (
    BLOCKS,
    DRIFTS,
    LEAST_SHARE,
    PROMPTS,
    Judged,
    ended,
    judge,
    row,
    scenario,
    section,
    simulate,
)
from dspark_bench.evidence.recorded_block import (
    RecordedBlock,
    RoundPool,
    pool_rounds,
    prompt_runs,
    prompt_truth,
    read_block,
    read_pace,
    round_runs,
    steady_part,
)
from dspark_bench.measure.williams import orders
from dspark_bench.metrics.leads import ArmSums, find_leads
from dspark_bench.metrics.log_ratio import log_ratio_interval
from dspark_bench.metrics.precision import half_width, plan_looks


@pytest.fixture(scope="module")
def block() -> RecordedBlock:
    return read_block(BLOCKS[6])


@pytest.fixture(scope="module")
def three(block: RecordedBlock) -> RecordedBlock:
    return block.only(BLOCKS[3])


def test_prompts_are_those_of_every_arm(block: RecordedBlock) -> None:
    assert np.bincount(block.domains).tolist() == [64, 64, 64]
    assert block.arms == ("none", *BLOCKS[6]) and block.tokens.shape == (7, 192)
    assert (block.cycles[0] == block.tokens[0]).all()  # the baseline emits one token a cycle
    lengths = block.tokens.sum(axis=1) / block.cycles.sum(axis=1)
    assert lengths[1] == pytest.approx(lengths[2], rel=0.01)  # a copy is an equal arm,
    assert (block.cycles[1] != block.cycles[2]).mean() > 0.5  # but another run
    assert prompt_truth(block) == pytest.approx(
        np.log(lengths[1:] * block.costs_s[0, 0] / block.costs_s[0, 1:])
    )
    assert block.only(("ar 7",)).tokens == pytest.approx(block.tokens[[0, 6]])
    assert block.only(("ar 7",)).costs_s == pytest.approx(block.costs_s[:, [0, 6]])
    with pytest.raises(ResultsError, match="no turn of ar 9"):
        read_block(["ar 9"])


def _plain(num_arms: int, drift: list[float]) -> RecordedBlock:
    """Two prompts of two domains, 10 tokens in 10 cycles of a second, whatever the arm."""
    runs = (np.ones(10), np.ones(10))
    return RecordedBlock(
        tuple(f"arm {n}" for n in range(num_arms)),
        np.array([0, 1]),
        (runs,) * num_arms,
        np.ones((2, num_arms)),
        np.array(drift),
    )


def test_turns_meet_the_drift_in_the_order_in_which_they_are_taken() -> None:
    """A drift that rises from turn to turn shows at which turn each arm was."""
    block = _plain(3, [0.001 * turn for turn in range(1000)])
    drawn = prompt_runs(block, 5, 6, np.random.default_rng(0))
    assert drawn.strata is not None and drawn.strata.tolist() == [0, 1, 0, 1, 0, 1]
    times = np.stack([drawn.tables[0, ..., 3], drawn.tables[0, ..., 1], drawn.tables[1, ..., 1]])
    turns = np.log(times / 10) / 0.001  # [arm, run, prompt]
    for number, order in enumerate(orders(3)):
        first = turns[:, :, number].min(axis=0)
        assert turns[list(order), :, number] == pytest.approx(first + np.arange(3)[:, None])


def test_stretches_are_pieces_of_the_record(block: RecordedBlock) -> None:
    found = block.stretches(3, 250, np.random.default_rng(0))
    assert found.shape == (3, 250)
    places = [int(np.flatnonzero(block.drift == value)[0]) for value in found[1]]
    steps = np.diff(places) % len(block.drift)
    assert (np.delete(steps, [99, 199]) == 1).all() and steps[99] != 1
    assert block.at_drift(0.5).drift == pytest.approx(block.drift / 2)


def test_the_steady_part_of_a_round() -> None:
    """Two at once: the first two begin with cycle 0, and the third takes the place of the second,
    which is done after 2; from 4 on a place stays empty.
    """
    runs = [np.array([1.0, 2, 3, 4, 5, 6]), np.array([1.0, 10]), np.array([1.0, 20])]
    assert steady_part(runs, 2) == (2 + 3 + 4 + 10 + 1 + 20, 3.0)
    assert steady_part(runs[:1], 2) == (0.0, 0.0)


def test_rounds_take_every_domain_and_keep_arms_together(block: RecordedBlock) -> None:
    pool = pool_rounds(block, 20, np.random.default_rng(0))
    assert pool.tokens.shape == pool.cycles.shape == (7, 20)
    per_cycle = pool.tokens / pool.cycles
    assert per_cycle[0] == pytest.approx(8)  # eight requests at once, a token each
    assert np.corrcoef(per_cycle[1], per_cycle[2])[0, 1] > 0.5  # the same prompts
    drawn = round_runs(block, pool, 4, 6, np.random.default_rng(0))
    assert drawn.tables.shape == (6, 4, 6, 4) and drawn.strata is None
    equal = RoundPool(np.full((3, 2), 80.0), np.full((3, 2), 10.0))
    steady = round_runs(_plain(3, [0.0]), equal, 2, 6, np.random.default_rng(0))
    assert steady.tables == pytest.approx(np.broadcast_to([80.0, 10, 80, 10], (2, 2, 6, 4)))


def test_costs_and_drift_of_a_file(tmp_path: Path) -> None:
    rows = [
        {"at_once": 1, "set": 0, "arm": "none", "started_s": 9, "cycles": 10, "seconds": 10.0},
        {"at_once": 1, "set": 1, "arm": "none", "started_s": 2, "cycles": 10, "seconds": 30.0},
        {"at_once": 1, "set": 1, "arm": "a", "started_s": 4, "cycles": 5, "seconds": 15.0},
        {"at_once": 8, "set": 0, "arm": "none", "started_s": 20, "cycles": 2, "seconds": 1.0},
        {"at_once": 8, "set": 0, "arm": "a", "started_s": 21, "cycles": 2, "seconds": 3.0},
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "turns.csv")
    costs, drift = read_pace(tmp_path / "turns.csv", ["none", "a"])
    assert costs.tolist() == [[2.0, 3.0], [0.5, 1.5]]
    assert drift == pytest.approx(np.log([1.5, 1.0, 0.5]))  # in the order of time
    with pytest.raises(ResultsError, match="no turn of b with 1 requests at once"):
        read_pace(tmp_path / "turns.csv", ["none", "b"])


def test_runs_are_judged_as_a_sweep_judges_them(block: RecordedBlock) -> None:
    looks = plan_looks(PROMPTS, True, 0.05)
    drawn, truth = prompt_runs(block, 4, 96, np.random.default_rng(1)), prompt_truth(block)
    found = judge(drawn, truth, looks, (48, 96))
    assert drawn.strata is not None
    names = tuple(map(str, range(6)))
    for look, at in enumerate((48, 96)):
        for run in range(4):
            tables, strata = drawn.tables[:, run, :at], drawn.strata[:at]
            own = [log_ratio_interval(table, looks.share, strata) for table in tables]
            widths = [half_width(interval) for interval in own]
            assert found.widths[look, run] == pytest.approx(max(widths), rel=1e-3)  # type: ignore[type-var]
            missed = [not i.low <= np.exp(s) <= i.high for i, s in zip(own, truth, strict=True)]  # type: ignore[operator]
            assert found.missed[look, run].tolist() == missed
            arms = ArmSums(names, tables, strata)
            leads = find_leads(arms, num_looks=len(looks.rounds), num_draws=9)
            true_leads = [
                np.exp(truth[int(leads.winner)] - truth[int(lead.challenger)])
                for lead in leads.leads
            ]
            misled = [
                not lead.ratio.low <= true <= lead.ratio.high  # type: ignore[operator]
                for lead, true in zip(leads.leads, true_leads, strict=True)
            ]
            assert found.misled[look, run] == any(misled)
    far = judge(drawn, truth + np.array([0, 0, 0, 0, 0, 1.0]), looks, (48,))
    assert far.missed[0, :, 5].all() and not far.missed[0, :, :5].any() and far.misled.all()


def test_runs_end_where_they_are_precise_enough() -> None:
    judged = Judged(
        widths=np.array([[0.04, 0.06, 0.08, 0.09], [0.03, 0.05, 0.07, 0.04], [0.02] * 4]),
        missed=np.array([[[True]] * 4, [[False]] * 4, [[True]] * 4]).reshape(3, 4, 1),
        misled=np.array([[False, True, False, False], [True, False, False, False], [False] * 4]),
    )
    first, second, third, everything = ended(judged, 0.05)
    assert [part.share for part in (first, second, third)] == [0.25, 0.5, 0.25]
    assert [part.covered.tolist() for part in (first, second, third)] == [[0.0], [1.0], [0.0]]
    assert (everything.covered.tolist(), everything.led) == ([0.5], 1.0)
    assert (first.width, second.width, third.width) == (0.04, 0.045, 0.02)
    assert [part.look for part in ended(judged, 0.085)] == [0, 1, None]
    assert row("prompts", 0.05, (48, 72, 96), second) == (
        "| prompts | 5% | 72 | 50.0% | 100.0% | 100.0% | 100.0% | 4.5% |"
    )
    assert " | all | 100.0% | 50.0% | " in row("prompts", 0.05, (48, 72, 96), everything)
    assert len(ended(replace(judged, widths=judged.widths + 1), 0.05)) == 2  # the last look, all


def test_intervals_cover_though_they_say_when_to_stop(three: RecordedBlock) -> None:
    """The bar, on a tenth of the runs: 94 %, less what chance may take of so few."""
    quiet = three.at_drift(0.1)
    looks = plan_looks(PROMPTS, True, 0.05)

    def draw(size: int, random: np.random.Generator) -> object:
        return prompt_runs(quiet, size, 96, random)

    judged = simulate(draw, prompt_truth(quiet), looks, (72, 96), 1000)  # type: ignore[arg-type]
    *_, everything = ended(judged, 0.05)
    assert everything.covered.min() >= 0.94 and everything.led >= 0.94
    for part in ended(judged, 0.05):
        assert part.share < LEAST_SHARE or part.covered.min() >= 0.92
    assert everything.width <= 0.05


def test_the_section_has_a_table_of_each_block(block: RecordedBlock, three: RecordedBlock) -> None:
    text = section(block, 20, 20)
    assert text.startswith("## Ending by precision\n")
    assert text.count("|---|") >= 4 and "| prompts | 5% | all | 100.0% | " in text
    assert "Lowest of all, looks of 5 % of the runs among them: S of an arm " in text
    assert "6 arms, drift as recorded:" in text and "| rounds | 20% | all | " in text
    pool = pool_rounds(three, 20, np.random.default_rng(0))
    lines, parts = scenario(three, pool, DRIFTS[0.1], 40)
    assert lines[0].startswith("| prompts | 5% | ") and lines[-1].startswith("| rounds | 7% | all")
    assert sum(part.look is None for part in parts) == 4  # two precisions, prompts and rounds
    assert min(part.share for part in parts) >= 0.05 and len(parts) <= len(lines)
