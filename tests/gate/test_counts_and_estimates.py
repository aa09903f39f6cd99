"""Counts and figures of hand-made cycles, worked out on paper."""

import numpy as np
import pandas as pd
import pytest

from dspark_bench.core.errors import ResultsError
from dspark_bench.gate.counts import collect_counts
from dspark_bench.gate.estimates import estimate, has_overlaps, trials
from tests.metrics.records import cycle, request


def frames() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Prompt a: accepted 2 of 2, and 0 of 2; prompt b: 1 of 2. Gamma 2."""
    common = {"num_drafted": 2, "verify_len": 2}
    cycles = [
        cycle(**common, num_accepted=2, expected_acceptance=[0.5, 0.25]),
        cycle(**common, num_accepted=0, is_rejected=True, cycle=1, expected_acceptance=[0.3, 0.9]),
        cycle(
            **common,
            num_accepted=1,
            is_rejected=True,
            request_id=1,
            cycle=1,
            expected_acceptance=[0.7, 0.65],
        ),
        cycle(num_drafted=0, verify_len=0, is_prefill=True, request_id=1),
        cycle(**common, num_accepted=2, is_warmup=True, repeat=-1),
    ]
    requests = [
        request(prompt_id="a") | {"prompt_hash": "ha"},
        request(prompt_id="b", request_id=1) | {"prompt_hash": "hb"},
        request(prompt_id="a", repeat=-1, is_warmup=True) | {"prompt_hash": "ha"},
    ]
    return pd.DataFrame(cycles), pd.DataFrame(requests)


def test_counts_by_prompt() -> None:
    found = collect_counts(*frames(), gamma=2, is_selective=False)
    assert found.prompts == ("a", "b") and found.hashes == ("ha", "hb")
    (counts,) = found.repeats
    assert counts.cycles.tolist() == [2, 1]
    assert counts.verified.tolist() == [[2, 2], [1, 1]]
    assert counts.accepted.tolist() == [[1, 1], [1, 0]]
    assert counts.rejected.tolist() == [[1, 0], [0, 1]]
    assert counts.reached.tolist() == [[2, 1], [1, 1]]
    assert counts.overlaps == pytest.approx(np.array([[0.8, 0.25], [0.7, 0.65]]))
    assert counts.all_overlaps == pytest.approx(np.array([[0.8, 1.15], [0.7, 0.65]]))


def test_figures_from_counts() -> None:
    total = collect_counts(*frames(), gamma=2, is_selective=False).repeats[0].total()
    # 3 accepted in 3 cycles, of 6 verified, 2 refused; position 1: 2 of 3; position 2: 1 of 2
    wanted = [1 + 3 / 3, 3 / 6, 3 / 5, 2 / 3, 1 / 2]
    assert estimate(total, "counts", is_replay=True).tolist() == pytest.approx(wanted)
    assert trials(total, "counts", is_replay=True).tolist() == [3, 2]


def test_figures_from_expected_acceptance() -> None:
    total = collect_counts(*frames(), gamma=2, is_selective=False).repeats[0].total()
    first, second = 1.5 / 3, 0.9 / 2
    accepted = first + first * second
    aggregates = [1 + accepted, accepted / 2, accepted / (accepted + 1 - first * second)]
    elsewhere = estimate(total, "expected", is_replay=False)
    assert elsewhere.tolist() == pytest.approx([*aggregates, first, second])
    along = estimate(total, "expected", is_replay=True)
    assert along.tolist() == pytest.approx([*aggregates, first, 1.8 / 3])
    assert trials(total, "expected", is_replay=True).tolist() == [3, 3]
    assert trials(total, "expected", is_replay=False).tolist() == [3, 2]


def test_expected_acceptance_must_be_on_record_for_all_that_was_decided() -> None:
    cycles, requests = frames()
    found = collect_counts(cycles, requests, gamma=2, is_selective=False)
    assert has_overlaps(found.repeats[0].total())
    assert not has_overlaps(found.without_overlaps().repeats[0].total())
    thinned = cycles.drop(columns="expected_acceptance")
    assert not has_overlaps(collect_counts(thinned, requests, 2, False).repeats[0].total())


def test_a_selective_scheduler_speaks_by_full_width_cycles_only() -> None:
    cycles, requests = frames()
    cycles["full_width"] = [True, False, True, False, True]
    found = collect_counts(cycles, requests, gamma=2, is_selective=True)
    assert found.repeats[0].cycles.tolist() == [1, 1]
    with pytest.raises(ResultsError, match="valid for the gate: scheduler=fixed"):
        collect_counts(cycles.assign(full_width=False), requests, gamma=2, is_selective=True)


def test_cycles_without_a_request_are_refused() -> None:
    cycles, requests = frames()
    with pytest.raises(ResultsError, match="belongs to no request"):
        collect_counts(cycles, requests[requests["prompt_id"] == "a"], 2, False)
