"""Strata: by hand, one stratum as none, and how often their intervals miss."""

import math

import numpy as np
import pandas as pd
import pytest

from dspark_bench.metrics import acceptance
from dspark_bench.metrics.headline import SHARES
from dspark_bench.metrics.jackknife import Jackknife, share_intervals
from dspark_bench.metrics.leads import ArmSums, find_leads
from dspark_bench.metrics.log_ratio import log_ratio, log_ratio_interval
from dspark_bench.metrics.strata import domain_strata, strata_of, sums_without_each
from dspark_bench.metrics.student import two_sided, two_sided_many
from dspark_bench.metrics.summary import SummaryContext, summarise
from dspark_bench.metrics.sums import Pooling, Sums, collect_sums
from tests.metrics.records import cycle, request

THREE = np.repeat([0, 1, 2], 4)


def _sums(**values: np.ndarray) -> Sums:
    size = next(iter(values.values())).size
    names = Sums.__dataclass_fields__
    return Sums(**{name: values.get(name, np.zeros(size)) for name in names})


def test_one_stratum_is_as_none_to_the_last_bit() -> None:
    table = np.random.default_rng(0).lognormal(0, 1, (9, 4))
    one = np.full(9, 7)
    plain, within = log_ratio(table), log_ratio(table, strata=one)
    assert (plain.value, plain.error, plain.degrees) == (within.value, within.error, within.degrees)
    assert log_ratio_interval(table) == log_ratio_interval(table, strata=one)
    trials = np.random.default_rng(1).integers(1, 9, (9, 2)).astype(float)
    assert share_intervals(trials / 2, trials) == share_intervals(trials / 2, trials, one)
    arms = ArmSums(("a", "b"), np.stack([table, table[::-1]]))
    assert find_leads(arms) == find_leads(ArmSums(arms.labels, arms.table, one))


def test_the_variance_of_a_mean_is_the_sum_of_the_strata() -> None:
    """Of units of one cycle each, tau is 1 + a mean, whose variance is sum (n/N)^2 s^2 / n."""
    accepted = np.array([1.0, 2, 3, 2, 9, 17, 12, 14, 5, 5, 7, 4])
    found = Jackknife(_sums(cycles=np.ones(12), accepted=accepted), THREE).interval(
        acceptance.accepted_length
    )
    parts = np.split(accepted, 3)
    variances = np.array([part.var(ddof=1) / 4 / 9 for part in parts])
    degrees = variances.sum() ** 2 / (variances**2 / 3).sum()
    reach = (1 + 1 / 10) * two_sided(0.95, degrees) * math.sqrt(variances.sum()) / found.value
    assert found.value == pytest.approx(1 + accepted.mean())
    assert found.low == pytest.approx(found.value * math.exp(-reach))
    assert found.high == pytest.approx(found.value * math.exp(reach))


def test_a_unit_left_out_is_made_up_for_by_its_stratum() -> None:
    table = np.array([[1.0], [3.0], [10.0], [20.0], [60.0]])
    rest = sums_without_each(table, strata_of(np.array([0, 0, 1, 1, 1]), 5))
    assert rest[:, 0] == pytest.approx([90 + 6, 90 + 2, 4 + 120, 4 + 105, 4 + 45])


def test_small_strata_form_one() -> None:
    def sizes(*labels: int) -> list[list[int]]:
        return [part.tolist() for part in strata_of(np.array(labels), len(labels))]

    assert sizes(5, 3, 5, 3, 3) == [[0, 2], [1, 3, 4]]
    assert sizes(1, 1, 2, 3) == [[0, 1], [2, 3]]
    assert sizes(1, 1, 1, 3, 3, 2) == [[0, 1, 2], [3, 4, 5]]  # one alone joins the smallest
    assert sizes(1, 2, 3) == [[0, 1, 2]] and sizes(1) == [[0]]
    assert [part.tolist() for part in strata_of(None, 3)] == [[0, 1, 2]]
    with pytest.raises(ValueError, match=r"strata are \(2,\); valid: \(3,\)"):
        strata_of(np.zeros(2, dtype=np.int64), 3)


def test_a_stratum_held_by_one_unit_counts_for_little() -> None:
    table = np.random.default_rng(3).uniform(1, 2, (12, 4))
    table[8:, :] = 0
    table[8] = 1.0
    found = log_ratio(table, strata=THREE)
    assert np.isfinite(found.error) and 1 <= found.degrees < 9
    table[8] = 0
    empty = log_ratio(table, strata=THREE)
    assert empty.error == pytest.approx(log_ratio(table[:8], strata=THREE[:8]).error)


def _domains(num_units: int, random: np.random.Generator) -> np.ndarray:
    """[20,000, 3 x num_units, 4]: three domains that differ in speed by 2 and 3, uneven prompts."""
    shape = (20_000, 3 * num_units)
    size = np.exp(random.normal(0, 0.7, shape))
    slower = np.repeat([1.0, 2.0, 3.0], num_units)
    time_s = size * slower * np.exp(random.normal(0, 0.2, shape))
    return np.stack([size, time_s, size, size], axis=-1)


@pytest.mark.parametrize("num_units", [2, 4, 16])
def test_intervals_within_domains_cover_and_are_narrow(num_units: int) -> None:
    tables = _domains(num_units, np.random.default_rng(num_units))
    strata = np.repeat([0, 1, 2], num_units)
    truth = -math.log(2) - 0.02  # E exp(0.2 z) = exp(0.02)
    found = log_ratio(tables, strata=strata)
    reach = found.widening * two_sided_many(0.95, found.degrees) * found.error
    assert np.mean(np.abs(found.value - truth) > reach) < 0.06
    plain = log_ratio(tables)
    if num_units > 2:
        wide = plain.widening * two_sided_many(0.95, plain.degrees) * plain.error
        assert np.median(reach) < 0.75 * np.median(wide)


def test_leads_are_judged_within_domains() -> None:
    """The second arm is ahead in every prompt, by much or little as its domain is."""
    random = np.random.default_rng(5)
    size = np.exp(random.normal(3, 0.3, 24))
    ahead = np.repeat([1.01, 1.6, 1.01], 8) * np.exp(0.02 * random.standard_normal(24))
    table = np.stack([np.stack([size, time_s, size, size], 1) for time_s in (size, size / ahead)])
    plain = find_leads(ArmSums(("a", "b"), table)).leads[0]
    strata = np.repeat([0, 1, 2], 8)
    within = find_leads(ArmSums(("a", "b"), table, strata)).leads[0]
    assert plain.ratio.value == within.ratio.value
    widths = [math.log(lead.ratio.high / lead.ratio.low) for lead in (plain, within)]  # type: ignore[operator]
    assert widths[1] < widths[0] / 2
    with pytest.raises(ValueError, match="strata"):
        ArmSums(("a", "b"), table, strata[1:])


def _records(domains: list[str | None]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A prompt of each domain; the last one's records come first."""
    rows, requests = [], []
    for place in reversed(range(len(domains))):
        speculative_s = 0.5 + 0.01 * place + (0.3 if domains[place] == "code" else 0)
        for arm, time_s in (("baseline", 1.0), ("speculative", speculative_s)):
            key = {"arm": arm, "request_id": place, "block": place}
            requests.append(request(**key, prompt_id=f"p{place}", domain=domains[place]))
            rows.append(cycle(**key, cycle=place, t_verify_s=time_s))
    return pd.DataFrame(rows), pd.DataFrame(requests)


def test_domains_are_strata_in_the_order_of_the_sums() -> None:
    frames = _records(["math", "math", "code", None, "code", None])
    found = domain_strata(*frames, is_by_prompt=True)
    assert found is not None and found.tolist() == [0, 1, 0, 1, 2, 2]
    sums = collect_sums(*frames, Pooling(4))
    assert sums.time_s == pytest.approx([0.55, 0.84, 0.53, 0.82, 0.51, 0.5])
    assert domain_strata(*frames, is_by_prompt=False) is None
    assert domain_strata(*_records(["math"] * 3), is_by_prompt=True) is None
    assert domain_strata(*_records([None] * 3), is_by_prompt=True) is None
    without = frames[1].drop(columns="domain")
    assert domain_strata(frames[0], without, is_by_prompt=True) is None


def test_a_point_of_several_domains_says_so() -> None:
    frames = _records(["math", "code"] * 6)
    row = summarise(*frames, SummaryContext(gamma=4)).as_row()
    assert row["speedup_interval_basis"] == "12 prompts in 2 strata (domains), Student's t"
    sums, strata = collect_sums(*frames, Pooling(4)), domain_strata(*frames, is_by_prompt=True)
    parts = (sums.tokens, sums.time_s, sums.baseline_tokens, sums.baseline_time_s)
    expected = log_ratio_interval(np.stack(parts, axis=1), strata=strata)
    assert (row["speedup_ci_low"], row["speedup_ci_high"]) == (expected.low, expected.high)
    plain = log_ratio_interval(np.stack(parts, axis=1))
    assert plain.low is not None and expected.low is not None and plain.low < 0.9 * expected.low
    # the baseline does not scatter: the throughput's interval is as wide as that of S
    assert row["throughput_tok_s_ci_low"] == pytest.approx(expected.low, rel=0.001)


def test_shares_of_positions_are_within_strata_too() -> None:
    accepted = np.array([9.0, 8, 9, 8, 2, 1, 2, 1])[:, None]
    trials = np.full((8, 1), 10.0)
    strata = np.repeat([0, 1], 4)
    plain, within = (share_intervals(accepted, trials, by)[0] for by in (None, strata))
    assert plain.low is not None and within.low is not None and plain.low < within.low - 0.1
    sums = _sums(cycles=np.ones(8), accepted=accepted[:, 0], verified=trials[:, 0])
    found = Jackknife(sums, strata).interval(
        acceptance.acceptance_rate_scheduled, SHARES["acceptance_rate_scheduled"]
    )
    assert (found.low, found.high) == pytest.approx((within.low, within.high))
