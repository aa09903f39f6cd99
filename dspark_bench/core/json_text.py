"""JSON from files that anybody may have written: whatever is wrong with it is one error."""

import json
from pathlib import Path
from typing import Any


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
    return parse_json(path.read_text(encoding="utf-8"))
