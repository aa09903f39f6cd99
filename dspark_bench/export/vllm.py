"""vLLM: `--speculative-config`, with `num_speculative_tokens_per_batch_size` over a load axis.

Ranges are inclusive, the first begins at 1, and lengths may be 0. vLLM goes on with the last length
in larger batches, so `--max-num-seqs` ends where the measurements do.
"""

from typing import Any, Final

from dspark_bench.export.drafter import checkpoint_of, kind_of, setting
from dspark_bench.export.schedule import Schedule
from dspark_bench.export.settings import EngineSettings, flags, json_line, method_of, obstacle
from dspark_bench.reading.points import Point

ENGINE = "vLLM"
METHODS = {
    "semi_ar": "dspark",
    "parallel": "dflash",
    "ar": "eagle3",
    "eagle": "eagle",
    "medusa": "medusa",
    "mtp": "mtp",
    "draft_model": "draft_model",
    "ngram": "ngram",
    "suffix": "suffix",
}
_WITHOUT_MODEL: Final = ("ngram", "suffix", "mtp")
_WITHOUT_DRAWS: Final = ("ngram", "suffix")
_SUFFIX_KEYS: Final = ("max_tree_depth", "max_spec_factor", "min_token_prob")
_NOTES = {
    "parallel": "vLLM's dflash has its masks at the predicted places; DeepSpec's blocks begin with "
    "the anchor and are hardly accepted there: compare its accepted length with the golden one",
    "ar": "vLLM reads Eagle3 under its own names: architecture Eagle3..., and "
    "eagle_aux_hidden_state_layer_ids, which are DeepSpec's layer ids + 1",
    "medusa": "vLLM reads Medusa heads under its own names (blocks.*, lm_heads.*), to which the "
    "checkpoint has to be brought",
    "mtp": "vLLM takes the module from the target's own checkpoint, so none is named; beyond the "
    "checkpoint's number of modules the length has to be a multiple of it",
    "suffix": "vLLM's suffix decoding needs arctic-inference on its older runner, and counts "
    "earlier outputs by request (suffix_decoding_max_cached_requests), not by token",
}


def settings(schedule: Schedule) -> EngineSettings:
    """The configuration, or why there is none."""
    reason = obstacle(ENGINE, schedule, METHODS)
    if reason is not None or schedule.point is None:
        return EngineSettings(ENGINE, reason=reason)
    point = schedule.point
    kind = kind_of(point) or ""
    value: dict[str, Any] = {"method": method_of(schedule, METHODS)}
    if kind not in _WITHOUT_MODEL:
        value["model"] = checkpoint_of(point)
    value["num_speculative_tokens"] = schedule.longest
    if schedule.ranges:
        value["num_speculative_tokens_per_batch_size"] = [list(r) for r in schedule.ranges]
    value |= _look_up(kind, point)
    if (point.number("temperature") or 0.0) > 0:
        if kind not in _WITHOUT_DRAWS:
            value["draft_sample_method"] = "probabilistic"
        if point.keys.get("acceptance") == "block":
            value["rejection_sample_method"] = "block"
    config = flags(["--speculative-config", json_line(value)])
    most = f"--max-num-seqs {schedule.most_requests}"
    return EngineSettings(ENGINE, (config, most), value, None, _notes(schedule))


def _look_up(kind: str, point: Point) -> dict[str, Any]:
    """Keys of drafters that have settings in place of weights, as far as the point states them."""
    if kind == "ngram":
        named = {"prompt_lookup_min": "n_min", "prompt_lookup_max": "n_max"}
    elif kind == "suffix":
        named = {f"suffix_decoding_{name}": name for name in _SUFFIX_KEYS}
    else:
        return {}
    found = {theirs: setting(point, ours) for theirs, ours in named.items()}
    if kind == "suffix" and setting(point, "max_cached_tokens") == 0:
        found["suffix_decoding_max_cached_requests"] = 0
    return {theirs: value for theirs, value in found.items() if value is not None}


def _notes(schedule: Schedule) -> tuple[str, ...]:
    assert schedule.point is not None
    own = _NOTES.get(kind_of(schedule.point) or "")
    return (
        f"batches of more than {schedule.most_requests} were not measured, and vLLM keeps the last "
        "length there: hence --max-num-seqs",
        *((own,) if own else ()),
    )
