"""Acceptance ratios, by hand."""

import math

import pytest

from dspark_bench.core.errors import ResultsError
from dspark_bench.metrics import acceptance
from dspark_bench.metrics.acceptance import is_foreign
from dspark_bench.metrics.sums import Pooling, collect_sums
from tests.metrics.records import both_arms, cycle, drafted, numbered, total_of

# Three cycles of gamma 4: all accepted; rejected at 2; rejected at 1.
THREE = [drafted(4, 4), drafted(4, 1, True), drafted(4, 0, True)]


def test_lengths_and_rates() -> None:
    total = total_of(THREE)
    assert acceptance.accepted_length(total) == pytest.approx(1 + 5 / 3)
    assert acceptance.emitted_length(total) == pytest.approx(8 / 3)
    assert acceptance.acceptance_rate(total) == pytest.approx(5 / 12)
    assert acceptance.verified_waste(total) == pytest.approx(7 / 12)
    assert acceptance.verify_budget(total) == pytest.approx(5)


def test_alpha_counts_decided_trials_only() -> None:
    # 5 accepted, 2 refused: 5/7. The rate divides by all 12 verified and reads 5/12.
    total = total_of(THREE)
    assert acceptance.alpha(total) == pytest.approx(5 / 7)
    assert acceptance.alpha(total) > acceptance.acceptance_rate(total)


def test_accepted_eos_is_not_a_rejection() -> None:
    # End of sequence accepted at place 2 of 4: l = a = 2, two tokens emitted, bonus dropped.
    eos = drafted(2, 2, num_drafted=4, num_emitted=2, num_cut=1)
    total = total_of([drafted(4, 1, True), eos])
    assert acceptance.alpha(total) == pytest.approx(3 / 4)
    assert acceptance.acceptance_rate(total) == pytest.approx(3 / 6)
    assert acceptance.accepted_length(total) == pytest.approx(1 + 3 / 2)
    assert acceptance.emitted_length(total) == pytest.approx(4 / 2)


def test_length_cut_keeps_accepted_and_lowers_emitted() -> None:
    # All 4 accepted but only 2 tokens were still wanted.
    total = total_of([drafted(4, 4, num_emitted=2, num_cut=3)])
    assert acceptance.accepted_length(total) == 5
    assert acceptance.emitted_length(total) == 2
    assert acceptance.alpha(total) == 1


def test_prefill_warmup_and_baseline_are_not_decode_cycles() -> None:
    rows = [
        *THREE,
        cycle(is_prefill=True, has_prefill=True),
        drafted(4, 4, is_warmup=True),
        cycle(arm="baseline"),
    ]
    assert total_of(rows).cycles == 3
    assert acceptance.alpha(total_of(rows)) == pytest.approx(5 / 7)


def test_selective_scheduler_speaks_for_full_width_cycles_only() -> None:
    rows = [drafted(4, 1, True), drafted(1, 1, num_drafted=4, full_width=False)]
    total = total_of(rows, is_selective=True)
    assert acceptance.alpha(total) == pytest.approx(1 / 2)
    assert acceptance.alpha_scheduled(total) == pytest.approx(2 / 3)
    assert acceptance.acceptance_rate(total) == pytest.approx(1 / 4)
    assert acceptance.acceptance_rate_scheduled(total) == pytest.approx(2 / 5)


def test_nothing_is_nan() -> None:
    total = total_of([cycle(is_prefill=True)])
    for formula in (
        acceptance.accepted_length,
        acceptance.emitted_length,
        acceptance.acceptance_rate,
        acceptance.alpha,
        acceptance.verified_waste,
        acceptance.verify_budget,
    ):
        assert math.isnan(formula(total))


def test_cycle_without_request_is_an_error() -> None:

    with pytest.raises(ResultsError, match="request 7"):
        collect_sums(numbered([drafted(4, 1, request_id=7)]), both_arms(), Pooling(4))


@pytest.mark.parametrize(
    ("length", "rate", "expected"),
    [
        (1.0, 0.0, True),
        (1.09, 0.05, True),
        (1.1, 0.05, False),
        (1.05, 0.6, False),  # a scheduler that verifies little of a good drafter
        (1.0, None, False),  # nothing was verified
        (None, None, False),
        (2.4, 0.4, False),
    ],
)
def test_next_to_no_accepted_draft_is_a_question(
    length: float | None, rate: float | None, expected: bool
) -> None:
    assert is_foreign(length, rate) is expected
