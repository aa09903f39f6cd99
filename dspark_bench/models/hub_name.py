"""What a model is called on the command line: a folder, or `ORG/NAME[@REV]` on the hub.

A path that exists is a path. Nothing is asked of the hub here.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dspark_bench.core.errors import CheckpointError

DEFAULT_REVISION: Final = "main"
_LOOKS_SO = re.compile(r"[^./@][^/@]*/[^/@]+(@.*)?", re.DOTALL)
_PART = re.compile(r"\w([\w.-]*\w)?", re.ASCII)
_LONGEST = 96
_REVISION = re.compile(r"[\w+-][\w.+-]*(/[\w+-][\w.+-]*)*")
_VALID = "a folder, or ORG/NAME[@REV] of a repository on the hub"


@dataclass(frozen=True, slots=True)
class HubName:
    """A repository, and the branch, tag or commit that was asked for."""

    repository: str
    revision: str = DEFAULT_REVISION

    def __str__(self) -> str:
        if self.revision == DEFAULT_REVISION:
            return self.repository
        return f"{self.repository}@{self.revision}"


def parse_hub_name(text: str) -> HubName | None:
    """The hub's name that a text is; None for a path: what exists, and what looks like no name.

    Raises CheckpointError for a text that looks like a name and cannot be one, such as a URL.
    """
    if not text or _exists(text):
        return None
    if "://" in text:
        raise CheckpointError(f"{text!r} is a URL; valid: {_VALID}")
    if not _LOOKS_SO.fullmatch(text):
        return None
    repository, mark, revision = text.partition("@")
    reason = _fault(repository)
    if reason is None and mark and (".." in revision or not _REVISION.fullmatch(revision)):
        reason = f"{revision!r} cannot be a branch, a tag or a commit"
    if reason is not None:
        raise CheckpointError(
            f"{text!r} is no folder, nor a name on the hub: {reason}; valid: {_VALID}"
        )
    return HubName(repository, revision or DEFAULT_REVISION)


def _exists(text: str) -> bool:
    try:
        return Path(text).exists()
    except (OSError, ValueError):  # a name that no file system takes
        return False


def _fault(repository: str) -> str | None:
    """Why the hub would not take it; None if it would."""
    for part in repository.split("/"):
        if not _PART.fullmatch(part) or len(part) > _LONGEST:
            return (
                f"{part!r} has other characters than letters, digits, '-', '_' and '.', more than "
                f"{_LONGEST} of them, or '-' or '.' at an end"
            )
    held = next((bad for bad in ("--", "..") if bad in repository), None)
    if held is not None:
        return f"it holds {held!r}"
    return "it ends with '.git'" if repository.endswith(".git") else None
