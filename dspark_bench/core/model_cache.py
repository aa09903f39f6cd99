"""Where models that `fetch` brings are kept, outside every results folder and every checkout."""

import os
from pathlib import Path
from typing import Final

import platformdirs

from dspark_bench.core.paths import expanded

VARIABLE: Final = "DSPARK_BENCH_CACHE"


def cache_folder() -> Path:
    """The folder that `DSPARK_BENCH_CACHE` names, else the system's own place for caches.

    Nothing is made here. Raises UsageError for a variable with a name in it that nobody has.
    """
    named = os.environ.get(VARIABLE, "").strip()
    return Path(expanded(named)) if named else platformdirs.user_cache_path("dspark-bench")


def model_folder(name: str) -> Path:
    """Where the model of this name is, or would be."""
    return cache_folder() / name
