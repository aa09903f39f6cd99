"""Counts in a sentence: `1 point is`, `2 points are`."""


def number_of(count: int, noun: str) -> str:
    """Such as `1 point` or `3 points`; `noun`: in the singular, of a plural in s."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def was_or_were(count: int) -> str:
    """The same in the past."""
    return "was" if count == 1 else "were"


def is_or_are(count: int) -> str:
    """The verb behind such a number."""
    return "is" if count == 1 else "are"
