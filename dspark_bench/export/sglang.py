"""SGLang: flags for one draft length a server, which is chosen when it starts.

A server whose drafter runs once a token (Eagle3, EAGLE, MTP, a draft model) takes steps, a top-k of
1 (a chain) and steps + 1 tokens, all three or none; a DSpark block counts the drafts, a DFlash
block the anchor too.
"""

from dspark_bench.export.drafter import checkpoint_of, kind_of
from dspark_bench.export.fixed_length import settings_by_load
from dspark_bench.export.schedule import Choice, Schedule
from dspark_bench.export.settings import EngineSettings, flags, obstacle
from dspark_bench.reading.points import Point

ENGINE = "SGLang"
METHODS = {
    "semi_ar": "DSPARK",
    "parallel": "DFLASH",
    "ar": "EAGLE3",
    "eagle": "EAGLE",
    "mtp": "NEXTN",
    "draft_model": "STANDALONE",
}
_REASONS = {
    "ngram": "its NGRAM drafts from a trie of all requests, which is no look-up of the last match",
    "suffix": "its NGRAM drafts from a trie of all requests without suffix decoding's scores",
    "medusa": "it has no Medusa heads",
}
_MTP_NOTE = "SGLang takes the module from the target's own checkpoint, so none is named"


def settings(schedule: Schedule) -> EngineSettings:
    """Flags for every load, or why there are none."""
    reason = obstacle(ENGINE, schedule, METHODS, _REASONS)
    if reason is not None:
        return EngineSettings(ENGINE, reason=reason)
    is_inside = schedule.point is not None and kind_of(schedule.point) == "mtp"
    return settings_by_load(ENGINE, schedule, _flags, (_MTP_NOTE,) if is_inside else ())


def _flags(choice: Choice, point: Point) -> str:
    kind, length = kind_of(point) or "", choice.length
    words = ["--speculative-algorithm", METHODS[kind]]
    if kind != "mtp":
        words += ["--speculative-draft-model-path", checkpoint_of(point)]
    if kind == "semi_ar":
        words += ["--speculative-dspark-block-size", str(length)]
    elif kind == "parallel":
        words += ["--speculative-dflash-block-size", str(length + 1)]
    else:
        words += ["--speculative-num-steps", str(length), "--speculative-eagle-topk", "1"]
        words += ["--speculative-num-draft-tokens", str(length + 1)]
    return flags([*words, "--max-running-requests", str(choice.requests)])
