"""vLLM: `--speculative-config`, with `num_speculative_tokens_per_batch_size` over a load axis.

Ranges are inclusive, the first begins at 1, and lengths may be 0. vLLM goes on with the last length
in larger batches, so `--max-num-seqs` ends where the measurements do.
"""

from typing import Any

from dspark_bench.export.drafter import checkpoint_of, kind_of
from dspark_bench.export.schedule import Schedule
from dspark_bench.export.settings import EngineSettings, flags, json_line, method_of, obstacle

ENGINE = "vLLM"
METHODS = {"semi_ar": "dspark", "parallel": "dflash", "ar": "eagle3"}
_NOTES = {
    "parallel": "vLLM's dflash has its masks at the predicted places; DeepSpec's blocks begin with "
    "the anchor and are hardly accepted there: compare its accepted length with the golden one",
    "ar": "vLLM reads Eagle3 under its own names: architecture Eagle3..., and "
    "eagle_aux_hidden_state_layer_ids, which are DeepSpec's layer ids + 1",
}


def settings(schedule: Schedule) -> EngineSettings:
    """The configuration, or why there is none."""
    reason = obstacle(ENGINE, schedule, METHODS)
    if reason is not None or schedule.point is None:
        return EngineSettings(ENGINE, reason=reason)
    value: dict[str, Any] = {
        "method": method_of(schedule, METHODS),
        "model": checkpoint_of(schedule.point),
        "num_speculative_tokens": schedule.longest,
    }
    if schedule.ranges:
        value["num_speculative_tokens_per_batch_size"] = [list(r) for r in schedule.ranges]
    if (schedule.point.number("temperature") or 0.0) > 0:
        value["draft_sample_method"] = "probabilistic"
    config = flags(["--speculative-config", json_line(value)])
    most = f"--max-num-seqs {schedule.most_requests}"
    return EngineSettings(ENGINE, (config, most), value, None, _notes(schedule))


def _notes(schedule: Schedule) -> tuple[str, ...]:
    assert schedule.point is not None
    own = _NOTES.get(kind_of(schedule.point) or "")
    return (
        f"batches of more than {schedule.most_requests} were not measured, and vLLM keeps the last "
        "length there: hence --max-num-seqs",
        *((own,) if own else ()),
    )
