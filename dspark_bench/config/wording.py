"""What an error says beside the mistake: the name that was probably meant."""

import difflib
from collections.abc import Iterable

_CUTOFF = 0.7


def closest(name: str, valid: Iterable[str]) -> str | None:
    """The valid name that looks most like `name`; None if none looks much like it."""
    found = difflib.get_close_matches(name, list(valid), n=1, cutoff=_CUTOFF)
    return found[0] if found else None


def did_you_mean(name: str, valid: Iterable[str]) -> str:
    """`; did you mean X?`, or nothing."""
    found = closest(name, valid)
    return "" if found is None else f"; did you mean {found}?"
