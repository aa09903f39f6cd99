"""llama.cpp: flags for one draft length a server. Its checkpoints are GGUF files."""

from pathlib import PurePath

from dspark_bench.export.drafter import checkpoint_of, kind_of, setting
from dspark_bench.export.fixed_length import settings_by_load
from dspark_bench.export.schedule import Choice, Schedule
from dspark_bench.export.settings import EngineSettings, flags, obstacle
from dspark_bench.reading.points import Point

ENGINE = "llama.cpp"
METHODS = {
    "semi_ar": "draft-dspark",
    "parallel": "draft-dflash",
    "ar": "draft-eagle3",
    "mtp": "draft-mtp",
    "draft_model": "draft-simple",
    "ngram": "ngram-simple",
}
_REASONS = {
    "suffix": "its n-gram types count no continuations, as suffix decoding does",
    "eagle": "it drafts with Eagle3 only",
    "medusa": "it has no Medusa heads",
}
_NOTE = "target and drafter have to be converted to GGUF; the drafter's file is named as a place"
_INSIDE = "the target has to be converted to GGUF together with its module"
_ONE_SIZE = "ngram-simple looks up runs of one length, here the longest, and drafts a fixed number"


def settings(schedule: Schedule) -> EngineSettings:
    """Flags for every load, or why there are none."""
    reason = obstacle(ENGINE, schedule, METHODS, _REASONS)
    if reason is not None:
        return EngineSettings(ENGINE, reason=reason)
    kind = None if schedule.point is None else kind_of(schedule.point)
    note = {"mtp": _INSIDE, "ngram": _ONE_SIZE}.get(kind or "", _NOTE)
    return settings_by_load(ENGINE, schedule, _flags, (note,))


def _flags(choice: Choice, point: Point) -> str:
    kind, length = kind_of(point) or "", str(choice.length)
    words = ["--spec-type", METHODS[kind]]
    if kind == "ngram":
        size = setting(point, "n_max")
        words += [] if size is None else ["--spec-ngram-simple-size-n", str(size)]
        words += ["--spec-ngram-simple-size-m", length]
        return flags([*words, "--parallel", str(choice.requests)])
    if kind != "mtp":
        words += ["--spec-draft-model", f"{PurePath(checkpoint_of(point)).name}.gguf"]
    words += ["--spec-draft-n-max", length, "--spec-draft-p-min", "0"]
    return flags([*words, "--parallel", str(choice.requests)])
