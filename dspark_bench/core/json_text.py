"""Text and JSON from files that anybody may have written: whatever is wrong is one error."""

import errno
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
    return parse_json(read_text(path))


def read_text(path: Path, encoding: str = "utf-8") -> str:
    """The text of a file. Raises OSError or ValueError.

    A pipe or a device is refused: it may keep its reader waiting, or go on, for ever.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError(errno.EINVAL, "it is a pipe or a device; valid: a file", str(path))
    return path.read_text(encoding=encoding)
