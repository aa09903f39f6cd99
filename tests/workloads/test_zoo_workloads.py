"""The embedded prompts: domains and their mixture."""

from collections import Counter

import pytest

from dspark_bench.core.errors import WorkloadError
from dspark_bench.workloads.domain import DomainWorkload
from dspark_bench.workloads.mixed import MixedWorkload
from dspark_bench.workloads.zoo_prompts import DOMAINS


@pytest.mark.parametrize("domain", DOMAINS)
def test_same_seed_gives_the_same_prompts_and_another_seed_others(domain: str) -> None:
    workload = DomainWorkload(domain)
    first = workload.prompts("test", 10, seed=0)
    assert first == workload.prompts("test", 10, seed=0)
    assert first != workload.prompts("test", 10, seed=1)
    assert {prompt.domain for prompt in first} == {domain}


def test_more_prompts_begin_with_the_fewer() -> None:
    workload = DomainWorkload("math")
    assert workload.prompts("test", 24, seed=3)[:6] == workload.prompts("test", 6, seed=3)


def test_splits_share_no_prompt() -> None:
    workload = MixedWorkload()
    test = workload.prompts("test", workload.num_available("test"), seed=0)
    aside = workload.prompts("calibration", workload.num_available("calibration"), seed=0)
    assert not {p.text for p in test} & {p.text for p in aside}
    assert len({p.id for p in test}) == len(test)


@pytest.mark.parametrize(("count", "expected"), [(24, (8, 8, 8)), (2, (1, 1, 0)), (7, (3, 2, 2))])
def test_mixed_is_thirds(count: int, expected: tuple[int, ...]) -> None:
    domains = Counter(prompt.domain for prompt in MixedWorkload().prompts("test", count, seed=0))
    assert tuple(domains[domain] for domain in DOMAINS) == expected


def test_mixed_interleaves_every_three_prompts() -> None:
    domains = [prompt.domain for prompt in MixedWorkload().prompts("test", 12, seed=0)]
    rounds = [domains[i : i + 3] for i in range(0, 12, 3)]
    assert all(set(row) == set(DOMAINS) for row in rounds)
    assert len({tuple(row) for row in rounds}) > 1


def test_too_many_prompts_are_refused_with_the_number_there_is() -> None:
    workload = DomainWorkload("code")
    available = workload.num_available("test")
    with pytest.raises(WorkloadError, match=f"valid: 1 to {available}"):
        workload.prompts("test", available + 1, seed=0)


def test_unknown_domain_lists_the_valid_ones() -> None:
    with pytest.raises(WorkloadError, match="math, code, prose"):
        DomainWorkload("poetry")
