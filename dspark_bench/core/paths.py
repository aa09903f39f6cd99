"""Paths as typed: what a shell expands in a bare word stays as it is inside quotes or after a dot.

`target.path=~/m` and `'results_dir=$SCRATCH/r'` reach the program so; folders called `~` or
`$SCRATCH` are never what was meant.
"""

import os
import re
from pathlib import Path

from dspark_bench.core.errors import UsageError

_VARIABLE = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")


def expanded(path: str) -> str:
    """A path with `~` or `~user` at its beginning and every `$NAME` replaced.

    A path that exists as it is typed stays, and so does one without either. UsageError: nobody has
    the name, or the environment has no such variable.
    """
    names = _VARIABLE.findall(path)
    if not (names or path.startswith("~")) or Path(path).exists():
        return path
    for name in names:
        if name not in os.environ:
            raise UsageError(
                f"{path}: the environment has no variable {name}; valid: one that is set, or a "
                "path that exists"
            )
    plain = _VARIABLE.sub(lambda found: os.environ[found[1]], path)
    try:
        return str(Path(plain).expanduser()) if path.startswith("~") else plain
    except RuntimeError:
        raise UsageError(
            f"{path}: no user here is called {path.split('/', 1)[0][1:]!r}; valid: ~ for your own "
            "home folder, ~USER, or a path that exists"
        ) from None
