"""What the hub's library raises, as one line: what was wrong, and what to do about it."""

import re
from contextlib import suppress
from pathlib import Path
from typing import Final

from dspark_bench.models.hub_name import HubName

_TOKEN: Final = "set HF_TOKEN or run `hf auth login`"
_FOLDER: Final = "a folder of the model"
_LONGEST: Final = 300
_NOT_ALLOWED: Final = (401, 403)


def reason_of(error: Exception, name: HubName) -> str:
    """Why a model of this name cannot be had."""
    from huggingface_hub import constants, errors

    hub = constants.ENDPOINT
    damaged = None if _status(error) in _NOT_ALLOWED else _damaged_branch(name)
    if damaged is not None:
        return (
            f"the hub's cache is damaged: {damaged} holds no commit (40 hex digits); valid: the "
            "same command where the hub can be reached, which writes that file anew, or "
            f"{name.repository}@COMMIT"
        )
    if isinstance(error, errors.GatedRepoError):
        return (
            f"{name.repository} is gated on {hub}; valid: ask for access on its page there, then "
            f"{_TOKEN}"
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            f"{name.repository} is no folder here, and no repository on {hub} that may be read "
            f"from here; valid: a folder, or ORG/NAME as the hub has it; if it is private, {_TOKEN}"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return (
            f"{name.repository} has no revision {name.revision!r} on {hub}; valid: a branch, a tag "
            "or a commit of it"
        )
    if _status(error) in _NOT_ALLOWED:
        return f"{hub} refuses {name} to this token ({_short(error)}); valid: {_TOKEN} anew"
    if isinstance(error, errors.LocalEntryNotFoundError):
        return _not_cached(error, name)
    if isinstance(error, OSError) and error.errno is not None:
        where = f"the hub's cache {constants.HF_HUB_CACHE}"
        return f"cannot write {name} to {where}: {error.strerror}; HF_HOME chooses another folder"
    return f"cannot fetch {name} from {hub} ({_short(error)}); the same command goes on from here"


def is_commit(text: str) -> bool:
    """Whether it is a commit's name, as snapshots are called."""
    return re.fullmatch("[0-9a-f]{40}", text) is not None


def _damaged_branch(name: HubName) -> Path | None:
    """The cache's file that says which commit a branch or tag is, if it says none."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    folder = repo_folder_name(repo_id=name.repository, repo_type="model")
    path = Path(constants.HF_HUB_CACHE) / folder / "refs" / name.revision
    if is_commit(name.revision):
        return None
    with suppress(OSError):
        return None if is_commit(path.read_bytes().decode(errors="replace")) else path
    return None


def _status(error: Exception) -> int | None:
    """Of the hub's answer, where that is why; the library may have looked into its cache then."""
    from huggingface_hub import errors

    why = error if isinstance(error, errors.HfHubHTTPError) else error.__cause__
    return why.response.status_code if isinstance(why, errors.HfHubHTTPError) else None


def _not_cached(error: Exception, name: HubName) -> str:
    from huggingface_hub import constants, errors

    why = error.__cause__
    cause = f"{constants.ENDPOINT} cannot be reached ({_short(why or error)})"
    cure = f"valid: a network, or {_FOLDER}"
    if isinstance(why, errors.OfflineModeIsEnabled) or constants.HF_HUB_OFFLINE:
        cause, cure = (
            "HF_HUB_OFFLINE forbids to fetch it",
            f"valid: the same without it, or {_FOLDER}",
        )
    elif isinstance(why, errors.HfHubHTTPError):
        cause = f"{constants.ENDPOINT} gives none ({_short(why)})"
        cure = f"valid: the same later, or {_FOLDER}"
    state = "is no folder here and not in"
    if hasattr(error, "snapshot_path"):  # newer libraries know what a snapshot lacks
        state = "is only in part in"
    return f"{name} {state} the hub's cache {constants.HF_HUB_CACHE}, and {cause}; {cure}"


def _short(error: BaseException) -> str:
    """An error's first line, with its type where it says little."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'no reason given'}"[:_LONGEST]
