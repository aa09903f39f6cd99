"""Text and JSON from files that anybody may have written: whatever is wrong is one error."""

import json
from pathlib import Path
from typing import Any

from dspark_bench.core.files import not_special


def parse_json(text: str) -> Any:
    """The value that `text` holds. Raises ValueError, also where it is nested too deeply."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except ValueError as error:
        raise ValueError(str(error).partition("; use sys.")[0]) from error


def load_json(path: Path) -> Any:
    """The value in a UTF-8 file. Raises OSError or ValueError."""
    return parse_json(read_text(path))


def read_text(path: Path, encoding: str = "utf-8") -> str:
    """The text of a file. Raises OSError, also for a pipe or a device, or ValueError."""
    return not_special(path).read_text(encoding=encoding)
