"""TensorRT-LLM: `speculative_config` with `draft_len_schedule`, as its configuration file has it.

A key is the largest batch that its length holds for; beyond the last nothing is drafted. The first
length has to be the longest (`max_draft_len`).
"""

from typing import Any

from dspark_bench.export.drafter import checkpoint_of, kind_of, setting
from dspark_bench.export.schedule import Schedule
from dspark_bench.export.settings import EngineSettings, json_line, method_of, obstacle

ENGINE = "TensorRT-LLM"
METHODS = {
    "semi_ar": "DSpark",
    "parallel": "DFlash",
    "ar": "Eagle3",
    "mtp": "MTP",
    "draft_model": "Draft_Target",
    "ngram": "NGram",
}
_REASONS = {
    "suffix": "it drafts from n-grams (NGram) without suffix decoding's scores",
    "eagle": "its PyTorch backend drafts with Eagle3 only",
    "medusa": "its PyTorch backend has no Medusa heads",
}
_WITHOUT_MODEL = ("mtp", "ngram")
_INSIDE = "TensorRT-LLM takes the module from the target's own checkpoint, so none is named"
_OLDER = "keys are the largest batch of a length; older releases read them as the smallest"
_WHOLE = "its DSpark drafts whole blocks, so that draft_len_schedule may have no effect there"


def settings(schedule: Schedule) -> EngineSettings:
    """The configuration, or why there is none."""
    reason = obstacle(ENGINE, schedule, METHODS, _REASONS)
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
    }
    kind = kind_of(schedule.point)
    if kind not in _WITHOUT_MODEL:
        config["speculative_model"] = checkpoint_of(schedule.point)
    longest_match = setting(schedule.point, "n_max")
    if kind == "ngram" and longest_match is not None:
        config["max_matching_ngram_size"] = longest_match
    notes = [_INSIDE] if kind == "mtp" else []
    if schedule.ranges:
        config["draft_len_schedule"] = {str(end): length for _, end, length in schedule.ranges}
        notes.append(_OLDER)
        notes += [_WHOLE] if kind == "semi_ar" else []
    value = {"speculative_config": config}
    most = f"max_batch_size: {schedule.most_requests}"
    return EngineSettings(ENGINE, (json_line(value), most), value, None, tuple(notes))
