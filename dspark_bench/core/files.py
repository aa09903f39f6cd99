"""Files that anybody may have put there."""

import errno
from pathlib import Path


def not_special(path: Path) -> Path:
    """`path`, to be opened. Raises OSError if it is a pipe or a device.

    These may keep their reader waiting, or go on, for ever. What is missing is the reader's to say.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError(errno.EINVAL, "it is a pipe or a device; valid: a file", str(path))
    return path
