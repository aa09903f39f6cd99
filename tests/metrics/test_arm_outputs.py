"""Lengths and ends of both arms: by hand, and how often sound arms are warned of."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dspark_bench.metrics.arm_outputs import (
    ArmOutputs,
    Difference,
    compare_outputs,
    mean_difference,
)
from tests.metrics.records import request

Lengths = list[tuple[int, int]]
"""Output tokens of baseline and speculation, by prompt."""


def _compare(lengths: Lengths, most: int = 20, **values: object) -> ArmOutputs | None:
    rows = [
        request(
            arm=arm,
            request_id=place,
            prompt_id=f"p{place}",
            output_tokens=(1,) * length,
            finish_reason="length" if length == most else "eos",
            **values,
        )
        for place, pair in enumerate(lengths)
        for arm, length in zip(("baseline", "speculative"), pair, strict=True)
    ]
    return compare_outputs(pd.DataFrame(rows))


def test_means_and_differences_by_hand() -> None:
    found = _compare([(20, 10), (20, 20), (10, 6), (10, 8)])
    assert found is not None and found.num_prompts == 4
    assert (found.output_tokens.speculative, found.output_tokens.baseline) == (11, 15)
    assert (found.end_share.speculative, found.end_share.baseline) == (0.75, 0.5)
    for figure, apart in (
        (found.output_tokens, [-10, 0, -4, -2]),
        (found.end_share, [1, 0, 0, 0]),
    ):
        value, error = np.mean(apart), np.std(apart, ddof=1) / 2
        reach = 1.25 * 3.182446 * error  # 1 + 1/4 times Student's t with 3 degrees
        assert (figure.value, figure.low, figure.high) == pytest.approx(
            (value, value - reach, value + reach)
        )
        assert figure.p_value == pytest.approx(2 * stats.t.sf(abs(value) / error / 1.25, 3))


def test_an_interval_excludes_zero_just_where_the_chance_is_five_in_a_hundred() -> None:
    """The two come of the same t: one of them alone cannot be off by a factor."""
    scatter = np.array([-3.0, -1.0, 0.0, 1.0, 3.0, -2.0, 2.0, 0.5, -0.5])
    edge = mean_difference(scatter, np.zeros(9)).high
    touching = mean_difference(scatter + edge, np.zeros(9))
    assert touching.low == pytest.approx(0, abs=1e-9)
    assert touching.p_value == pytest.approx(0.05)


def _told(p_tokens: float, p_ends: float, num_prompts: int = 6) -> int:
    figures = [Difference(1.0, 2.0, -1.0, -1.5, -0.5, p) for p in (p_tokens, p_ends)]
    return len(ArmOutputs(num_prompts, *figures).warnings())


def test_two_figures_share_one_chance_in_a_hundred() -> None:
    assert [_told(p, 1.0) for p in (0.0049, 0.0051, 0.02)] == [1, 0, 0]
    assert [_told(1.0, p) for p in (0.0049, 0.0051, 0.02)] == [1, 0, 0]
    assert [_told(0.0, 0.0, n) for n in (5, 6)] == [0, 2]


def test_a_warning_names_both_arms_the_difference_and_its_interval() -> None:
    tokens = Difference(9.8, 20.0, -10.2, -11.5, -8.9, 0.001)
    ends = Difference(0.9, 0.25, 0.65, 0.31, 0.99, 0.001)
    first, second = ArmOutputs(12, tokens, ends).warnings()
    assert "9.8 tokens against 20.0, difference -10.2 (-11.5 to -8.9) over 12 prompts" in first
    assert second.startswith("90% of the speculative arm's outputs end")
    assert "25% of the baseline's; difference +65% (+31% to +99%) over 12 prompts" in second


def test_answers_half_as_long_are_told() -> None:
    lengths = [(20, 8 + place % 5) for place in range(12)]
    found = _compare(lengths)
    assert found is not None
    first, second = found.warnings()
    assert first.startswith("the speculative arm's outputs differ in length from the baseline's: ")
    assert "9.8 tokens against 20.0, difference -10.2 (" in first and "12 prompts" in first
    assert second.startswith("100% of the speculative arm's outputs end with an end-of-text token")
    swapped = _compare([(b, a) for a, b in lengths])
    assert swapped is not None and len(swapped.warnings()) == 2
    assert "difference +10.2" in swapped.warnings()[0]


def test_no_verdict_below_six_prompts_nor_between_equal_arms() -> None:
    few = _compare([(20, 5 + place) for place in range(5)])
    assert few is not None and few.warnings() == ()
    same = _compare([(20, 20), (5, 5)] * 6)
    assert same is not None and same.warnings() == () and same.output_tokens.p_value == 1
    assert _compare([(5, 9)]) is None


def test_warm_up_and_lost_requests_do_not_count() -> None:
    assert _compare([(20, 5)] * 8, is_warmup=True) is None


def test_sound_arms_seldom_differ() -> None:
    """Both arms draw their lengths from one law, prompt by prompt, cut at 20 tokens."""
    random = np.random.default_rng(0)
    hazard = random.uniform(0.03, 0.3, (1000, 12, 1))
    drawn = np.minimum(random.geometric(hazard, (1000, 12, 2)), 20).astype(float)
    warned = sum(mean_difference(*lengths.T).p_value * 2 <= 0.01 for lengths in drawn)
    assert warned <= 1000 * 0.005 + 3 * 2.3


def test_the_same_difference_in_every_prompt_is_judged_by_its_sign() -> None:
    """No scatter, no Student's t: of n equal arms' prompts all differ one way in 2 of 2^n cases."""
    short = mean_difference(np.full(8, 19.0), np.full(8, 20.0))
    assert (short.value, short.low, short.high, short.p_value) == (-1, None, None, 2 / 256)
    assert short.text("+.1f") == "-1.0 in every prompt"
    ends = mean_difference(np.ones(8), np.zeros(8), is_share=True)
    assert (ends.value, ends.high, ends.p_value) == (1, 1, 2 / 256)
    assert ends.low == pytest.approx(2 * 0.025 ** (1 / 8) - 1)
    same = mean_difference(np.zeros(8), np.zeros(8), is_share=True)
    assert same.p_value == 1 and same.low is not None and -0.7 < same.low < -0.5
    shorter = _compare([(20, 19)] * 9)
    assert shorter is not None and len(shorter.warnings()) == 2
    assert "difference -1.0 in every prompt over 9 prompts" in shorter.warnings()[0]
    few = _compare([(20, 19)] * 8)
    assert few is not None and few.warnings() == ()
