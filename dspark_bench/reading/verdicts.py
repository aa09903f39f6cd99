"""What `dspark-bench verify` has found, kept as files beside the sweeps."""

from pathlib import Path
from typing import Final

from dspark_bench.core.json_text import load_json

VERDICTS: Final = "verify"
"""The folder beside the sweeps that holds them."""


def find_verdict(path: Path) -> bool | None:
    """Whether the distribution checks passed; None if they have not been run."""
    try:
        found = load_json(path)
    except (OSError, ValueError):
        return None
    passed = found.get("passed") if isinstance(found, dict) else None
    return passed if isinstance(passed, bool) else None
