"""Hand-made cycle records: whatever is left out takes a neutral value."""

from dataclasses import replace
from typing import Any

from dspark_bench.core.records import CycleRecord

_NEUTRAL = CycleRecord(
    cycle=0,
    request_id=0,
    num_drafted=0,
    verify_len=0,
    num_accepted=0,
    is_rejected=False,
    num_emitted=1,
    num_cut=0,
    full_width=False,
    is_prefill=False,
    has_prefill=False,
    batch_size=1,
    batch_tokens=1,
    num_waiting=0,
    cpu_busy=0.0,
    started_s=0.0,
    t_draft_s=0.0,
    t_schedule_s=0.0,
    t_verify_s=0.0,
    t_accept_s=0.0,
    t_engine_s=0.0,
)


def cycle_record(**values: Any) -> CycleRecord:
    """One request in one cycle, with nothing drafted and no time taken but for `values`."""
    return replace(_NEUTRAL, **values)
