"""llama.cpp: flags for one draft length a server. Its checkpoints are GGUF files."""

from pathlib import PurePath

from dspark_bench.export.drafter import checkpoint_of, kind_of
from dspark_bench.export.fixed_length import settings_by_load
from dspark_bench.export.schedule import Choice, Schedule
from dspark_bench.export.settings import EngineSettings, flags, obstacle
from dspark_bench.reading.points import Point

ENGINE = "llama.cpp"
METHODS = {"semi_ar": "draft-dspark", "parallel": "draft-dflash", "ar": "draft-eagle3"}
_NOTE = "target and drafter have to be converted to GGUF; the drafter's file is named as a place"


def settings(schedule: Schedule) -> EngineSettings:
    """Flags for every load, or why there are none."""
    reason = obstacle(ENGINE, schedule, METHODS)
    if reason is not None:
        return EngineSettings(ENGINE, reason=reason)
    return settings_by_load(ENGINE, schedule, _flags, (_NOTE,))


def _flags(choice: Choice, point: Point) -> str:
    length = str(choice.length)
    file = f"{PurePath(checkpoint_of(point)).name}.gguf"
    words = ["--spec-type", METHODS[kind_of(point) or ""], "--spec-draft-model", file]
    words += ["--spec-draft-n-max", length, "--spec-draft-p-min", "0"]
    return flags([*words, "--parallel", str(choice.requests)])
