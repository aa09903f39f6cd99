"""A stated profile decides: how often, along which text, and that every figure says so."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dspark_bench import cli
from dspark_bench.core.errors import UsageError
from dspark_bench.core.records import RunResult
from dspark_bench.core.types import Request, SamplingParams
from dspark_bench.engine.engine import Engine, EngineConfig
from dspark_bench.engine.exactness import example_laws
from dspark_bench.engine.forced_acceptance import ForcedAcceptance, stated_survival
from dspark_bench.engine.markov import MarkovDrafter, MarkovTarget
from dspark_bench.loads.closed import ClosedLoad
from dspark_bench.metrics.lossless import LosslessResult
from dspark_bench.schedulers.fixed import FixedScheduler
from tests import tiny
from tests.sweeps import read_summary, tiny_overrides
from tests.tiny_models import TinyZoo

GAMMA = 3
RATES = [0.9, 0.5, 0.1]


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        ({"rates": [0.9, 0.5, 0.1]}, (0.9, 0.5, 0.1)),
        ({"rates": [1, 0.5, 0.5, 0.4]}, (1.0, 0.5, 0.5)),
        ({"rates": 0.5}, (0.5, 0.25, 0.125)),
        ({"length": 2.25}, (1.0, 0.25, 0.0)),
        ({"length": 1}, (0.0, 0.0, 0.0)),
        ({"length": 4, "spread": "constant"}, (1.0, 1.0, 1.0)),
        ({"length": 1.875, "spread": "constant"}, (0.5, 0.25, 0.125)),
    ],
)
def test_profiles_by_hand(profile: dict[str, Any], expected: tuple[float, ...]) -> None:
    assert ForcedAcceptance(GAMMA, **profile).survival == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        ({}, "has no profile; valid: one of"),
        ({"rates": 0.5, "length": 2}, "has two profiles, rates and length"),
        ({"rates": [0.5, 0.6, 0.1]}, "never rises"),
        ({"rates": [0.5, 0.4]}, r"rates has 2 positions; valid: 3 or more \(gamma\)"),
        ({"rates": []}, r"rates is \[\]; valid"),
        ({"rates": 1.5}, "rates is 1.5; valid: a number from 0 to 1"),
        ({"rates": True}, "rates is True; valid"),
        ({"rates": "0.5"}, "rates is '0.5'; valid"),
        ({"rates": [0.5, float("nan"), 0.1]}, "never rises"),
        ({"length": 4.5}, r"length is 4.5; valid: 1 to 4 \(gamma and the bonus\)"),
        ({"length": float("nan")}, "length is nan"),
        ({"rates": 0.5, "spread": "wide"}, "spread is 'wide'; valid: min_variance, constant"),
        ({"rates": 0.5, "recording": -1}, "recording is -1; valid: 0 or more"),
    ],
)
def test_what_is_no_profile_is_refused(profile: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ForcedAcceptance(GAMMA, **profile)


def run(requests: list[Request], is_speculative: bool = True, seed: int = 3) -> RunResult:
    target_law, draft_law, revealing = example_laws()
    engine = Engine(
        MarkovTarget(target_law),
        MarkovDrafter(draft_law, revealing, GAMMA) if is_speculative else None,
        FixedScheduler(),
        ForcedAcceptance(GAMMA, RATES),
        SamplingParams(),
        GAMMA,
        EngineConfig(64, 200),
        lambda: 0.0,
    )
    return engine.run(requests, ClosedLoad(64), seed)


@pytest.mark.parametrize("has_record", [True, False])
def test_positions_survive_as_often_as_stated(has_record: bool) -> None:
    record = tuple(np.random.default_rng(0).integers(0, 3, 160).tolist()) if has_record else ()
    requests = [Request(n, str(n), "", (0,), 150, record) for n in range(60)]
    result = run(requests)
    cycles = [c for c in result.cycles if not c.is_prefill]
    accepted = np.array([c.num_accepted for c in cycles])
    shares = np.array([(accepted >= k).mean() for k in (1, 2, 3)])
    errors = np.sqrt(np.array(RATES) * (1 - np.array(RATES)) / len(cycles))
    assert len(cycles) > 3000 and (np.abs(shares - RATES) < 4.5 * errors).all()
    assert all(c.is_rejected == (c.num_accepted < c.verify_len) for c in cycles)
    assert not any(c.expected_acceptance for c in cycles)
    first = [c.num_accepted for c in cycles if c.request_id == 0]
    alone = [c.num_accepted for c in run(requests[:1]).cycles if not c.is_prefill]
    assert alone == first  # from the request's own stream, whoever shares its batch
    other = [c.num_accepted for c in run(requests[:1], seed=4).cycles if not c.is_prefill]
    assert other != first
    if has_record:
        baseline = tiny.outputs(run(requests, is_speculative=False))
        assert tiny.outputs(result) == baseline
        assert set(baseline.values()) == {record[:150]}


@pytest.mark.parametrize("name", tiny.DRAFTERS)
@pytest.mark.parametrize("temperature", [0.0, 0.6])
def test_real_drafters_write_what_is_on_record(name: str, temperature: float) -> None:
    """Greedy too, where a drafter would say tokens of its own."""
    record = tuple(np.random.default_rng(1).integers(1, tiny.VOCAB, 20).tolist())
    requests = [replace(r, continuation=record) for r in tiny.requests(2, 12)]
    engine = Engine(
        tiny.target(),
        tiny.drafter(name),
        FixedScheduler(),
        ForcedAcceptance(4, 0.7),
        SamplingParams(temperature),
        4,
        EngineConfig(2, 128),
        lambda: 0.0,
    )
    result = engine.run(requests, ClosedLoad(2), 0)
    assert set(tiny.outputs(result).values()) == {record[:12]}
    assert any(cycle.num_accepted for cycle in result.cycles)


def test_the_profile_is_cut_not_stretched_by_a_shorter_draft() -> None:
    assert stated_survival(1, [0.9, 0.5], None, "min_variance") == (0.9,)


def test_simulated_is_never_lossless() -> None:
    found = LosslessResult(has_passed_distribution=True, is_simulated=True)
    assert (found.evidence, found.is_lossless) == ("simulated", False)


def test_a_run_is_marked_wherever_it_is_shown_and_is_nothing_to_verify(
    tiny_zoo: TinyZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    forced = ("acceptance=forced", "acceptance.rates=0.9", "gamma=2", "num_requests=2")
    overrides = tiny_overrides(tiny_zoo, tmp_path, *forced)
    assert cli.execute(["run", *overrides]) == 0
    shown = capsys.readouterr()
    assert "simulated" in shown.out and "forced: acceptance is simulated" in shown.out
    (row,) = read_summary(tmp_path / "results" / "tiny")
    assert (row["acceptance"], row["lossless_evidence"]) == ("forced", "simulated")
    assert row["lossless"].lower() == "false"
    assert cli.execute(["report", str(tmp_path / "results" / "tiny")]) == 0
    pages = list((tmp_path / "results" / "tiny").glob("*.md"))
    assert pages and all("simulated acceptance" in page.read_text() for page in pages)
    capsys.readouterr()
    for command in ("verify", "calibrate"):
        assert cli.execute([command, *overrides]) == 2
        message = capsys.readouterr().err
        assert f"acceptance=forced is simulated, so there is nothing to {command}" in message
