"""Which rules go with which drafts, and that each pair is seen for what it is."""

from dataclasses import replace
from pathlib import Path

import pytest

from dspark_bench.commands.sweep_plan import SweepRequest, single_point
from dspark_bench.config.point_config import PointConfig
from dspark_bench.engine.exactness import CheckResult
from dspark_bench.engine.typical_acceptance import TypicalAcceptance
from dspark_bench.measure import rule_pairs
from dspark_bench.measure.rule_pairs import PairResult, law_of, pairs_for
from tests.sweeps import tiny_overrides
from tests.tiny_models import TinyZoo

CHAINS = ["exact on chains", "match on chains", "block on chains", "typical on chains"]
SHAPES = ("best_first", "beam", "jetspec", "static", "optimal", "sampled", "sampled, replacement")


@pytest.fixture
def point(tiny_zoo: TinyZoo, tmp_path: Path) -> PointConfig:
    request = SweepRequest(tuple(tiny_overrides(tiny_zoo, tmp_path, "gamma=3")))
    return single_point(request, "verify").config


def test_pairs_are_those_that_go_together() -> None:
    names = [f"{pair.rule} on {pair.shape}" for pair in pairs_for(3, can_branch=True)]
    assert names[:4] == CHAINS and len(names) == len(set(names)) == 20
    for shape in SHAPES:
        rules = [name for name in names if name.endswith(f" on {shape}")]
        drawn = [f"multiround on {shape}"] if shape.startswith("sampled") else []
        assert rules == [f"match on {shape}", *drawn, f"typical on {shape}"]
    assert [f"{p.rule} on {p.shape}" for p in pairs_for(3, can_branch=False)] == CHAINS


@pytest.mark.parametrize("gamma", [1, 2, 3, 8])
def test_no_tree_is_deeper_than_drafts(gamma: int) -> None:
    depths = [pair.tree.spec.depth for pair in pairs_for(gamma, True) if pair.tree is not None]
    assert all(depth is None or depth <= gamma for depth in depths)


def test_each_pair_shows_what_it_is(point: PointConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exact ones pass, `typical` fails, and so would an exact one that judged as it does."""
    monkeypatch.setattr(rule_pairs, "PAIR_REQUESTS", 2_000)
    found = {f"{p.rule} on {p.shape}": law_of(p, point) for p in pairs_for(3, can_branch=True)}
    failed = {name for name, result in found.items() if not result.is_passed}
    assert failed == {name for name in found if name.startswith("typical")}


def test_verdicts() -> None:
    passed, failed = (CheckResult("law", is_passed, "") for is_passed in (True, False))
    exact = PairResult("match", "beam", False, passed, passed)
    assert (exact.verdict, exact.is_passed, exact.name) == ("pass", True, "match on beam")
    assert replace(exact, own=failed).verdict == "FAIL"
    assert replace(exact, law=failed).verdict == "FAIL"
    assert replace(exact, is_lossy=True, own=failed).verdict == "lossy"
    assert replace(exact, is_lossy=True).verdict == "lossy, not seen here"
    assert TypicalAcceptance().is_lossy
