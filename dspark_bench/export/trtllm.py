"""TensorRT-LLM: `speculative_config` with `draft_len_schedule`, as its configuration file has it.

A key is the largest batch that its length holds for; beyond the last nothing is drafted. The first
length has to be the longest (`max_draft_len`).
"""

from typing import Any

from dspark_bench.export.drafter import checkpoint_of, kind_of
from dspark_bench.export.schedule import Schedule
from dspark_bench.export.settings import EngineSettings, json_line, method_of, obstacle

ENGINE = "TensorRT-LLM"
METHODS = {"semi_ar": "DSpark", "parallel": "DFlash", "ar": "Eagle3"}
_BY_BATCH = ("parallel", "ar")
_OLDER = "keys are the largest batch of a length; older releases read them as the smallest"
_WHOLE = "its DSpark drafts whole blocks, so that draft_len_schedule may have no effect there"


def settings(schedule: Schedule) -> EngineSettings:
    """The configuration, or why there is none."""
    reason = obstacle(ENGINE, schedule, METHODS)
    if reason is None and schedule.ranges and schedule.ranges[0][2] != schedule.longest:
        reason = (
            "its draft_len_schedule has to begin with the longest draft, and here larger batches "
            f"draft more ({', '.join(f'{k} up to {end}' for _, end, k in schedule.ranges)})"
        )
    if reason is not None or schedule.point is None:
        return EngineSettings(ENGINE, reason=reason)
    config: dict[str, Any] = {
        "decoding_type": method_of(schedule, METHODS),
        "max_draft_len": schedule.longest,
        "speculative_model": checkpoint_of(schedule.point),
    }
    notes = []
    if schedule.ranges:
        config["draft_len_schedule"] = {str(end): length for _, end, length in schedule.ranges}
        notes.append(_OLDER)
        notes += [] if kind_of(schedule.point) in _BY_BATCH else [_WHOLE]
    value = {"speculative_config": config}
    most = f"max_batch_size: {schedule.most_requests}"
    return EngineSettings(ENGINE, (json_line(value), most), value, None, tuple(notes))
