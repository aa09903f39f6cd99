"""One run of the bench on long prompts, small, in this process."""

from pathlib import Path

import pytest
import torch

from dspark_bench.core.records import RunResult
from dspark_bench.evidence.bench_prompts import LONG, Case, _gaps, make_model, serve
from dspark_bench.models.kernels.choice import Wanted
from tests.cycles import cycle_record


@pytest.mark.parametrize("most", [None, 16])
def test_a_run_says_what_a_long_prompt_cost(tmp_path: Path, most: int | None) -> None:
    make_model(tmp_path)
    seen = serve(tmp_path, Case(96, Wanted.AUTO, most), torch.get_num_threads())
    assert seen.peak_bytes > 50 * 2**20
    assert seen.worst_gap_s >= seen.usual_gap_s > 0
    assert seen.ttft_s > 0


def test_gaps_are_between_tokens_of_those_who_were_there_before() -> None:
    """Cycles of 1 s, and one of 5 s that reads: the long prompt's own tokens say nothing."""
    cycles, now = [], 0.0
    for number, took in enumerate((1.0, 1.0, 5.0, 1.0)):
        for request in (0, LONG):
            values = {"t_verify_s": took, "t_draft_s": 0.0, "t_schedule_s": 0.0}
            values |= {"t_accept_s": 0.0, "t_engine_s": 0.0, "started_s": now}
            emitted = int(request == 0 or number == 3)
            reads = {"has_prefill": took > 1, "num_emitted": emitted}
            cycles.append(cycle_record(cycle=number, request_id=request, **values, **reads))
        now += took
    assert _gaps(RunResult([], cycles)) == (1.0, 5.0)
