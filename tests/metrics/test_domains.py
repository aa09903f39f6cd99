"""S and accepted length by domain: each domain's prompts alone."""

import pandas as pd
import pytest

from dspark_bench.metrics.domains import SHARED_BATCH, domain_figures
from dspark_bench.metrics.frames import BASELINE, SPECULATIVE
from dspark_bench.metrics.sums import Pooling
from tests.metrics.records import cycle, drafted, numbered, request

_EASY, _HARD = "code", "a.b domain"


def _records(num_easy: int = 7, num_hard: int = 3) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Easy prompts accept 3 of 4 a cycle and take 1 s, hard ones none; the baseline 2 s each."""
    cycles, requests = [], []
    for number in range(num_easy + num_hard):
        is_easy = number < num_easy
        accepted = 3 if is_easy else 0
        own: dict[str, object] = {"request_id": number, "block": number}
        step_s = 0.6 + 0.01 * number
        cycles.append(drafted(4, accepted, rejected=True, t_verify_s=step_s, **own))
        cycles.append(cycle(arm=BASELINE, t_verify_s=2.0, **own))
        domain = _EASY if is_easy else _HARD
        for arm in (SPECULATIVE, BASELINE):
            requests.append(request(arm=arm, prompt_id=f"p{number}", domain=domain, **own))
    return numbered(cycles), pd.DataFrame(requests)


def test_each_domain_has_its_own_figures_units_and_verdict() -> None:
    found = domain_figures(*_records(), Pooling(4))
    assert list(found) == [_HARD, _EASY]
    easy, hard = found[_EASY], found[_HARD]
    assert (easy.num_prompts, easy.speedup.n, hard.num_prompts, hard.speedup.n) == (7, 7, 3, 3)
    assert easy.accepted_length.value == pytest.approx(4.0)
    assert hard.accepted_length.value == pytest.approx(1.0)
    easy_s = sum(1.0 + 0.01 * n for n in range(7))
    hard_s = sum(1.0 + 0.01 * n for n in range(7, 10))
    assert easy.speedup.value == pytest.approx(7 * 4 / easy_s / (1 / 2.0))
    assert hard.speedup.value == pytest.approx(3 / hard_s / (1 / 2.0))
    assert easy.speedup.low is not None and hard.speedup.low is not None
    assert easy.as_json()["has_enough_units"] is True
    assert hard.as_json()["has_enough_units"] is False
    assert "too few for a verdict (num_requests=20 or more)" in hard.basis  # 3 of 10 are hard


def test_the_order_of_rows_does_not_matter() -> None:
    cycles, requests = _records()
    shuffled = domain_figures(
        cycles.sample(frac=1, random_state=1),
        requests.sample(frac=1, random_state=2),
        Pooling(4),
    )
    plain = domain_figures(cycles, requests, Pooling(4))
    for name, figures in plain.items():
        assert shuffled[name].speedup.value == pytest.approx(figures.speedup.value)
        assert shuffled[name].accepted_length.value == pytest.approx(figures.accepted_length.value)


def test_one_domain_alone_says_nothing_new() -> None:
    assert domain_figures(*_records(num_hard=0), Pooling(4)) == {}


def test_warm_up_is_left_out() -> None:
    cycles, requests = _records()
    warm = requests.iloc[:2].assign(is_warmup=True, domain="only warm", repeat=-1)
    found = domain_figures(cycles, pd.concat([requests, warm]), Pooling(4))
    assert "only warm" not in found


def test_where_domains_share_a_batch_there_is_no_s() -> None:
    found = domain_figures(*_records(), Pooling(4, concurrency=2))
    assert {figures.basis for figures in found.values()} == {SHARED_BATCH}
    assert found[_EASY].speedup.value is None
    assert found[_EASY].accepted_length.value == pytest.approx(4.0)


def test_with_arrivals_of_their_own_s_is_of_times_per_token() -> None:
    cycles, requests = _records()
    is_fast = (requests["arm"] == SPECULATIVE) & (requests["domain"] == _EASY)
    requests.loc[is_fast, "finished_s"] = 1.5  # half a second for what takes the baseline two
    found = domain_figures(cycles, requests, Pooling(4, concurrency=2, is_closed=False))
    assert found[_EASY].speedup.value == pytest.approx(4.0)
    assert found[_HARD].speedup.value == pytest.approx(1.0)
