"""Comparing greedy outputs."""

import pandas as pd
import pytest

from dspark_bench.metrics.lossless import LosslessResult, check_greedy
from tests.metrics.records import request


def _pair(
    ours: tuple[int, ...], theirs: tuple[int, ...], margins: tuple[float, ...] = ()
) -> list[dict[str, object]]:
    return [
        request(output_tokens=ours, margins=margins),
        request(arm="baseline", output_tokens=theirs, margins=tuple(2 * m for m in margins)),
    ]


def test_exact() -> None:
    result = check_greedy(pd.DataFrame(_pair((1, 2, 3), (1, 2, 3))))
    assert (result.evidence, result.is_lossless) == ("exact", True)


def test_near_tie_stops_the_comparison() -> None:
    # Token 1 differs at a margin of 5e-4; what follows differs widely and does not count.
    result = check_greedy(pd.DataFrame(_pair((1, 2, 3), (1, 9, 8), (4.0, 5e-4, 3.0))))
    assert (result.evidence, result.is_lossless) == ("near_tie", None)
    assert result.comparison is not None
    (divergence,) = result.comparison.divergences
    assert (divergence.position, divergence.margin) == (1, 5e-4)


def test_wide_margin_is_a_violation() -> None:
    result = check_greedy(pd.DataFrame(_pair((1, 2, 3), (1, 9, 3), (4.0, 0.5, 3.0))))
    assert (result.evidence, result.is_lossless) == ("violated", False)


def test_divergence_without_margins_is_a_violation() -> None:
    assert check_greedy(pd.DataFrame(_pair((1, 2), (1, 3)))).evidence == "violated"


def test_ending_early_is_a_violation_whatever_the_margin() -> None:
    frame = pd.DataFrame(_pair((1, 2), (1, 2, 3), (0.1, 0.1, 0.0)))
    assert check_greedy(frame).evidence == "violated"


def test_one_violation_outweighs_near_ties() -> None:
    rows = _pair((1,), (2,), (1e-6,))
    rows += [row | {"prompt_id": "p1", "request_id": 1} for row in _pair((1,), (2,), (1.0,))]
    assert check_greedy(pd.DataFrame(rows)).evidence == "violated"


def test_turns_are_paired_by_repeat_and_lost_outputs_counted() -> None:
    rows = _pair((1, 2), (1, 2)) + [
        row | {"repeat": 1} for row in _pair((1, 2), (1, 2)) if row["arm"] == "baseline"
    ]
    comparison = check_greedy(pd.DataFrame(rows)).comparison
    assert comparison is not None
    assert (comparison.num_compared, comparison.num_unpaired) == (1, 1)


def test_control_counts_divergences_without_speculation() -> None:
    control = pd.DataFrame(_pair((), (1, 9, 3), (4.0, 1e-5, 3.0))[1:])
    result = check_greedy(pd.DataFrame(_pair((1, 2, 3), (1, 2, 3), (4.0, 1e-5, 3.0))), control)
    assert result.evidence == "exact"
    assert result.control is not None
    assert result.control.num_diverged == 1
    assert result.control.evidence == "near_tie"


def test_sampled_output_is_untested_until_the_distribution_checks_decide() -> None:
    assert (LosslessResult().evidence, LosslessResult().is_lossless) == ("untested", None)
    assert LosslessResult(has_passed_distribution=True).is_lossless is True


def _half(ours: tuple[float, ...], limit: float) -> list[dict[str, object]]:
    """A difference at token 1 in bfloat16, with the margins and the limit there."""
    rows = _pair((1, 2, 3), (1, 9, 3), ours)
    return [row | {"tie_limits": (0.2, limit, 0.2)} for row in rows]


def test_the_limit_of_a_tie_is_that_of_the_type_and_the_logit_there() -> None:
    rows = _half((4.0, 0.06, 3.0), 0.125)
    assert check_greedy(pd.DataFrame(rows)).evidence == "near_tie"
    rows = _half((4.0, 0.06, 3.0), 0.1)  # the baseline's margin is 0.12
    assert check_greedy(pd.DataFrame(rows)).evidence == "violated"
    rows = [{k: v for k, v in row.items() if k != "tie_limits"} for row in rows]
    assert check_greedy(pd.DataFrame(rows)).evidence == "violated"


def test_a_margin_of_zero_excuses_a_tie_and_nothing_else() -> None:
    tie = _pair((1, 2), (1, 9), (4.0, 0.0))
    assert check_greedy(pd.DataFrame(tie)).evidence == "near_tie"
    wide = [tie[0], tie[1] | {"margins": (4.0, 2.5)}]
    assert check_greedy(pd.DataFrame(wide)).evidence == "violated"


def test_a_token_that_was_not_the_largest_is_never_excused() -> None:
    rows = _half((4.0, -1e-4, 3.0), 0.5)
    result = check_greedy(pd.DataFrame(rows))
    assert result.evidence == "violated"
    assert result.comparison is not None
    assert result.comparison.divergences[0].margin == -2e-4


@pytest.mark.parametrize(("passed", "evidence"), [(True, "verified"), (False, "violated")])
def test_a_verdict_on_sampled_output_is_evidence(passed: bool, evidence: str) -> None:
    found = LosslessResult(has_passed_distribution=passed)
    assert (found.evidence, found.is_lossless) == (evidence, passed)
