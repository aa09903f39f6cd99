"""Walking through scored tables gives the counts that the engine gives with the same draws."""

from dataclasses import replace

import numpy as np
import pytest

from dspark_bench.core.types import SamplingParams
from dspark_bench.engine.engine import Engine, EngineConfig
from dspark_bench.engine.replay_acceptance import ReplayAcceptance
from dspark_bench.evidence.gate_tables import score_replay, walk
from dspark_bench.gate.counts import FIELDS, collect_counts
from dspark_bench.loads.closed import ClosedLoad
from dspark_bench.measure.turns import Turn, TurnResult, cycle_frame, request_frame
from dspark_bench.metrics.frames import SPECULATIVE
from dspark_bench.schedulers.fixed import FixedScheduler
from tests import tiny

GAMMA, TURN_SEED, SEED = 3, 5, 9


@pytest.mark.parametrize("name", ["semi_ar_vanilla", "ar"])
def test_walks_count_what_the_engine_counts(name: str) -> None:
    requests = tiny.requests(20)
    longer = [replace(r, max_new_tokens=r.max_new_tokens + 8) for r in requests]
    known = tiny.outputs(tiny.serve(longer, None, concurrency=8, seed=79))
    carrying = tuple(replace(r, continuation=known[r.request_id]) for r in requests)
    assert any(len(r.continuation) < r.max_new_tokens for r in carrying)  # some end early
    assert any(len(r.continuation) >= r.max_new_tokens for r in carrying)
    drafter = tiny.drafter(name)
    tables = score_replay(tiny.target(), drafter, carrying, GAMMA, SamplingParams())
    walked = walk(tables, TURN_SEED, SEED)

    engine = Engine(
        tiny.target(),
        drafter,
        FixedScheduler(),
        ReplayAcceptance(SEED),
        SamplingParams(),
        GAMMA,
        EngineConfig(4, 128),
        lambda: 0.0,
    )
    result = engine.run(carrying, ClosedLoad(4), TURN_SEED)
    done = [TurnResult(Turn(SPECULATIVE, 0, 0, carrying, TURN_SEED, is_warmup=False), result)]
    found = collect_counts(cycle_frame(done), request_frame(done), GAMMA, is_selective=False)
    order = [int(prompt.removeprefix("p")) for prompt in found.prompts]
    walked = walked.take(np.array(order, dtype=np.int64))
    assert walked.cycles.tolist() == found.repeats[0].cycles.tolist()
    for field in FIELDS:
        ours, theirs = getattr(walked, field), getattr(found.repeats[0], field)
        assert ours == pytest.approx(theirs, abs=1e-4), field
    other = walk(tables, TURN_SEED, SEED + 1).take(np.array(order, dtype=np.int64))
    assert not np.array_equal(other.accepted, walked.accepted)
