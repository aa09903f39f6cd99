"""Paired and unpaired intervals of made-up arms whose widths are known by hand."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dspark_bench.core.errors import ResultsError
from dspark_bench.evidence.bench_pairs import Pair, pairs_of, read_arms, section, sweeps_of
from dspark_bench.machine.environment import read_environment
from dspark_bench.metrics.intervals import Interval
from dspark_bench.metrics.strata import widening
from dspark_bench.reading.speeds import Speeds
from tests.report.folders import cells, write_sweep, write_times

_UNITS = 16
_SIZE = 1e-3
"""Of the deviations: so small that logarithms of sums are their means."""
_PLACES = np.arange(_UNITS)
_SHARED, _OWN, _DOMAIN = (1 - 2.0 * (_PLACES >> bit & 1) for bit in (0, 1, 2))
"""Signs that are orthogonal to each other, each with a sum of 0."""


def _seconds(own: float, domain: float, shared: float) -> list[np.ndarray]:
    """Of two arms whose logarithms deviate alike by `shared`, and apart by the others."""
    apart = own * _OWN + domain * _DOMAIN
    return [np.exp(_SIZE * (shared * _SHARED + sign * apart)) for sign in (1, -1)]


def _arms(seconds: list[np.ndarray], has_domains: bool) -> dict[str, Speeds]:
    names = [f"p{place:02}" for place in _PLACES]
    domains = {n: str(d) for n, d in zip(names, _DOMAIN, strict=True)} if has_domains else {}
    return {
        str(arm): Speeds(
            pd.DataFrame(
                {"tokens": 9.0, "time_s": times, "baseline_tokens": 9.0, "baseline_time_s": 2.0},
                index=names,
            ),
            domains,
        )
        for arm, times in enumerate(seconds)
    }


def test_what_prompts_share_cancels_in_pairs_alone() -> None:
    """Variances of the lead: paired 4 o^2; unpaired 2 (s^2 + o^2). Degrees: 15 and 30."""
    own, shared = 1.0, np.sqrt(7.0)
    (pair,) = pairs_of(_arms(_seconds(own, 0.0, shared), has_domains=False))
    quantiles = stats.t.ppf(0.975, _UNITS - 1) / stats.t.ppf(0.975, 2 * _UNITS - 2)
    assert pair.width == pytest.approx(0.5 * quantiles, rel=1e-3)
    assert pair.is_narrow and (pair.first, pair.second) == ("0", "1")


def test_what_domains_differ_by_counts_without_strata_alone() -> None:
    """Paired within domains: 4 o^2; unpaired without: 2 (s^2 + o^2 + d^2)."""
    (pair,) = pairs_of(_arms(_seconds(1.0, 2.0, 1.0), has_domains=True))
    expected = np.sqrt(4 / 12) * np.sqrt((_UNITS - 1) / (_UNITS - 2))  # a mean per domain
    expected *= stats.t.ppf(0.975, _UNITS - 2) / stats.t.ppf(0.975, 2 * _UNITS - 2)
    expected *= widening(_UNITS, 2) / widening(_UNITS)
    assert pair.width == pytest.approx(expected, rel=1e-3)
    (plain,) = pairs_of(_arms(_seconds(1.0, 2.0, 1.0), has_domains=False))
    assert plain.width is not None and plain.width > 1.2 and not plain.is_narrow


def test_a_pair_without_an_interval_is_not_called_narrow() -> None:
    known, none = Interval(1.1, 1.0, 1.2, 9), Interval(1.1, None, None, 9)
    pairs = [Pair("a", "b", none, known), Pair("a", "c", known, known)]
    assert [pair.width for pair in pairs] == [None, 1.0]
    text = section(pairs, read_environment(), "1a2b3c4", "mine")
    assert (
        text.splitlines()[-1]
        == "| a | c | 1.100 [1.000-1.200] | 1.100 [1.000-1.200] | 0% | missed |"
    )
    assert "| a | b | 1.100 | 1.100 [1.000-1.200] | - | missed |" in text


def test_arms_are_read_from_the_records_of_one_block(tmp_path: Path) -> None:
    rows = [cells("a", gamma=2), cells("b", gamma=4)]
    folder = write_sweep(tmp_path / "s", rows)
    for point_id, times in zip("ab", _seconds(1.0, 0.0, np.sqrt(7.0)), strict=True):
        point = folder / "points" / point_id
        write_times(point, {f"p{n:02}": (float(t), 2.0) for n, t in enumerate(times)})
    (pair,) = pairs_of(read_arms(folder))
    (known,) = pairs_of(_arms(_seconds(1.0, 0.0, np.sqrt(7.0)), has_domains=False))
    assert (pair.first, pair.second) == ("semi_ar gamma 2", "semi_ar gamma 4")
    assert pair.width == pytest.approx(known.width)
    file = folder / "points" / "a" / "metrics.json"
    content = json.loads(file.read_text())
    content["facts"]["block_id"] = "another"
    file.write_text(json.dumps(content))
    with pytest.raises(
        ResultsError, match="holds 2 usable points; valid: two or more of one block"
    ):
        read_arms(folder)


def test_the_four_unlike_arms_are_those_of_the_order(tmp_path: Path) -> None:
    first, second = sweeps_of(96, tmp_path)
    assert {"drafter=semi_ar", "gamma=2,4,8"} <= set(first)
    assert {"drafter=parallel", "gamma=4"} <= set(second) and set(first[2:]) == set(second[2:])
