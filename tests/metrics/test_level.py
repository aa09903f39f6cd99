"""After several looks every interval of a point is wider, not that of S alone."""

from collections.abc import Iterator
from functools import cache

import numpy as np
import pandas as pd
import pytest

from dspark_bench.metrics.log_ratio import SHARE
from dspark_bench.metrics.looks import level_at
from dspark_bench.metrics.positions import Agreement
from dspark_bench.metrics.slo import Slo
from dspark_bench.metrics.student import two_sided
from dspark_bench.metrics.summary import PointSummary, SummaryContext, summarise
from tests.metrics.records import cycle, drafted, request

_LOOKS = level_at((48, 72, 96))
_AGREEMENT = "position_intervals/agreement"
Ends = tuple[object, object]


def _records(num_prompts: int = 48) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Prompts of two domains in turn, twelve a round; times and lengths scatter."""
    random = np.random.default_rng(3)
    cycles, requests = [], []
    for place in range(num_prompts):
        key: dict[str, object] = {"repeat": place // 12, "block": place, "request_id": place}
        for number in range(6):
            ours, theirs = random.uniform(0.8, 1.2, 2)
            accepted = int(random.integers(0, 5))
            own = {"cycle": number, "t_verify_s": ours, **key}
            cycles.append(drafted(4, accepted, accepted < 4, **own))
            cycles.append(cycle(arm="baseline", cycle=number, t_verify_s=theirs, **key))
        for arm in ("speculative", "baseline"):
            took, length = random.uniform(2.0, 4.0), int(random.integers(3, 9))
            own = {"finished_s": 1.0 + took, "output_tokens": tuple(range(length)), **key}
            own |= {"finish_reason": str(random.choice(["eos", "length"]))}
            domain = "math" if place % 2 else "code"
            requests.append(request(arm=arm, prompt_id=f"p{place}", domain=domain, **own))
    return pd.DataFrame(cycles), pd.DataFrame(requests)


@cache
def _summary(share: float) -> PointSummary:
    agreement = Agreement(np.array([[3.0, 2.0, 2.0, 1.0], [3.5, 3.0, 1.0, 1.0]]), np.full(2, 4.0))
    slo = Slo(ttft_s=1.5, tpot_s=1.0)
    context = SummaryContext(4, agreement=agreement, slo=slo, share=share)
    return summarise(*_records(), context)


def _ends(content: object, path: str = "") -> Iterator[tuple[str, Ends]]:
    """Every interval of a metrics.json by its path."""
    if not isinstance(content, dict):
        return
    if {"low", "high"} <= set(content):
        low, high = content["low"], content["high"]
        many = isinstance(low, list)
        ends = zip(low, high, strict=True) if many else [(low, high)]
        yield from ((f"{path}/{place}" if many else path, pair) for place, pair in enumerate(ends))
    for name, part in content.items():
        yield from _ends(part, f"{path}/{name}".lstrip("/"))


def test_all_intervals_are_at_the_level_of_the_looks() -> None:
    plain, widened = (dict(_ends(_summary(share).as_json())) for share in (SHARE, _LOOKS))
    assert plain.keys() == widened.keys() and len(plain) > 30
    num_known = 0
    for name, (low, high) in plain.items():
        if low is None:
            assert widened[name] == (None, None), name
        elif name.startswith(_AGREEMENT):  # its outputs are fixed before any look
            assert widened[name] == (low, high)
        else:
            assert widened[name][0] < low and widened[name][1] > high, name
            num_known += 1
    assert num_known > 25


@pytest.mark.parametrize("name", ["speedup", "accepted_length", "throughput_tok_s", "cycle_s"])
def test_the_logarithms_reach_grows_as_students_quantile(name: str) -> None:
    """48 units of about equal size in two strata: nearly 46 degrees of freedom."""
    narrow, wide = (_summary(share).headline[name] for share in (SHARE, _LOOKS))
    grown = np.log(wide.high / wide.low) / np.log(narrow.high / narrow.low)
    assert grown == pytest.approx(two_sided(_LOOKS, 46) / two_sided(SHARE, 46), rel=0.01)
