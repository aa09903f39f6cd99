"""Leads among the arms of a block: within domains, with their error shared over the looks."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from dspark_bench.metrics.leads import ArmSums, find_leads
from dspark_bench.reading.speeds import Speeds, leads_among

_DOMAINS = {f"p{n:02}": "math" if n % 2 == 0 else "code" for n in range(24)}


def _arm(gain: dict[str, float]) -> Speeds:
    """A gain per domain with a little scatter; prompts in another order than their names'."""
    scatter = dict(zip(_DOMAINS, np.random.default_rng(0).normal(1, 0.02, 24), strict=True))
    rows = {
        prompt: (100.0, 1 / (gain[domain] * scatter[prompt] ** gain[domain]), 100.0, 1.0)
        for prompt, domain in reversed(_DOMAINS.items())
    }
    names = ["tokens", "time_s", "baseline_tokens", "baseline_time_s"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=names)
    return Speeds(table, _DOMAINS)


_ARMS = {"even": _arm({"math": 1.5, "code": 1.5}), "uneven": _arm({"math": 3.0, "code": 1.1})}


def _by_hand(num_looks: int, has_strata: bool) -> tuple[float, float]:
    tables = [arm.table.sort_index().to_numpy() for arm in _ARMS.values()]
    strata = np.array([name == "math" for name in _DOMAINS.values()]).astype(np.int64)
    arms = ArmSums(tuple(_ARMS), np.stack(tables), strata if has_strata else None)
    ratio = find_leads(arms, num_looks).leads[0].ratio
    assert ratio.low is not None and ratio.high is not None
    return ratio.low, ratio.high


@pytest.mark.parametrize("num_looks", [1, 4])
def test_domains_are_strata_and_looks_share_the_error(num_looks: int) -> None:
    """What differs between domains is fixed by the workload, so it widens nothing."""
    arms = {name: replace(arm, num_looks=num_looks) for name, arm in _ARMS.items()}
    ratio = leads_among(arms).leads[0].ratio
    assert (ratio.low, ratio.high) == pytest.approx(_by_hand(num_looks, has_strata=True))
    low, high = _by_hand(num_looks, has_strata=False)
    assert ratio.high is not None and ratio.low is not None
    assert np.log(ratio.high / ratio.low) < 0.5 * np.log(high / low)
    assert _by_hand(4, True)[0] < _by_hand(1, True)[0]
