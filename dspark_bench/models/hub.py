"""Models by their name on the Hugging Face hub, through the hub's own library.

So cache, tokens, offline mode and another endpoint are what they are everywhere else: `HF_HOME`,
`HF_HUB_CACHE`, `HF_TOKEN`, `HF_HUB_OFFLINE`, `HF_ENDPOINT`. The library is imported once a name has
to be looked up. Each name is looked up once per process, whatever came of it.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from dspark_bench.core.errors import CheckpointError
from dspark_bench.models.checkpoint import WEIGHTS, has_safetensors, weight_files
from dspark_bench.models.hub_errors import is_commit, reason_of
from dspark_bench.models.hub_name import HubName, parse_hub_name
from dspark_bench.models.model_files import (
    ELSEWHERE,
    NO_WEIGHTS,
    PICKLED,
    SAFETENSORS,
    SETTINGS,
    is_pickled_weights,
)

_VERBOSITY: Final = "HF_HUB_VERBOSITY"


@dataclass(frozen=True, slots=True)
class HubModel:
    """What a name stood for. revision: as asked for; commit: 40 hex digits."""

    repository: str
    revision: str
    commit: str

    def __str__(self) -> str:
        return f"{self.repository} at {self.revision}, commit {self.commit}"


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A model's folder; hub: where it came from, None for a folder that was named."""

    folder: Path
    hub: HubModel | None = None


def find_model(text: str, takes_pickles: bool = False) -> FoundModel:
    """The folder of a path or of a hub's `ORG/NAME[@REV]`, which is fetched unless it is cached.

    takes_pickles: pickled weights are fetched too where there are no others; who says so reads
    them through `models.pickled`. A path is given back as it is, there or not. Raises
    CheckpointError, one line, for a name that the hub does not know or does not give.
    """
    if not text.strip():
        raise CheckpointError(f"{text!r} names no model; valid: a folder, or ORG/NAME on the hub")
    name = parse_hub_name(text)
    if name is None:
        return FoundModel(Path(text))
    found = _looked_up(name, takes_pickles)
    if isinstance(found, str):
        raise CheckpointError(found)
    return found


def hub_line() -> str:
    """Where models are looked up by name, as the library's environment says. No token is shown."""
    from huggingface_hub import constants, get_token

    where = f"{constants.ENDPOINT}, {'a token' if get_token() else 'no token'}"
    state = "offline (HF_HUB_OFFLINE)" if constants.HF_HUB_OFFLINE else where
    return f"{state}, cache {constants.HF_HUB_CACHE}"


@cache
def _looked_up(name: HubName, takes_pickles: bool) -> FoundModel | str:
    """The model, or why there is none."""
    try:
        folder = _snapshot(name, (*SETTINGS, *SAFETENSORS), ELSEWHERE)
        pickled = [] if has_safetensors(folder) else _pickled_files(name, folder)
        if pickled and not takes_pickles:
            raise CheckpointError(_refusal(name, pickled))
        if pickled:
            folder = _snapshot(name, (*SETTINGS, *PICKLED), (*ELSEWHERE, *NO_WEIGHTS))
        _check_whole(name, folder, pickled)
    except CheckpointError as error:
        return str(error)
    return FoundModel(folder, HubModel(name.repository, name.revision, folder.name))


def _snapshot(name: HubName, wanted: tuple[str, ...], unwanted: tuple[str, ...]) -> Path:
    """The snapshot's folder in the cache, which is called as its commit."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils.tqdm import tqdm

    class Bar(tqdm):
        """On a terminal only: elsewhere stderr is for what went wrong."""

        def __init__(self, *args: Any, **keys: Any) -> None:
            super().__init__(  # type: ignore[no-untyped-call]
                *args, **{**keys, "disable": keys.get("disable") or None}
            )

    with _one_line(name):
        found = snapshot_download(
            name.repository,
            revision=name.revision,
            allow_patterns=list(wanted),
            ignore_patterns=list(unwanted),
            tqdm_class=Bar,
        )
        folder = Path(found)
        if not is_commit(folder.name):  # an empty branch file names the folder of all snapshots
            raise ValueError(f"{folder} is no snapshot")
    return folder


def _pickled_files(name: HubName, folder: Path) -> list[str]:
    """Pickled weights that the snapshot holds, or else the repository; none where nobody can be
    asked.
    """
    from huggingface_hub import HfApi

    files = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    if not any(map(is_pickled_weights, files)):
        with suppress(Exception):
            files = HfApi().list_repo_files(name.repository, revision=folder.name)
    return sorted(file for file in files if is_pickled_weights(file))


@contextmanager
def _one_line(name: HubName) -> Iterator[None]:
    """Whatever the library raises, a network's and a disk's errors among it, as CheckpointError.

    What it would log besides is left out, unless HF_HUB_VERBOSITY asks for it.
    """
    log = logging.getLogger("huggingface_hub")
    level = log.level
    if _VERBOSITY not in os.environ:
        log.setLevel(logging.ERROR)
    try:
        yield
    except Exception as error:
        raise CheckpointError(reason_of(error, name)) from error
    finally:
        log.setLevel(level)


def _check_whole(name: HubName, folder: Path, pickled: list[str]) -> None:
    """Without a network the library may give back what an interrupted download has left."""
    missing = [] if (folder / "config.json").is_file() else ["config.json"]
    if has_safetensors(folder):
        missing += [path.name for path in weight_files(folder) if not path.is_file()]
    elif not pickled:
        missing.append(WEIGHTS)
    if missing:
        raise CheckpointError(
            f"the snapshot of {name} in the hub's cache ({folder}) lacks {', '.join(missing[:3])}"
            f"{' and more' if len(missing) > 3 else ''}; if it was fetched in part, the same "
            "command completes it where the hub can be reached"
        )


def _refusal(name: HubName, pickled: list[str]) -> str:
    shown = ", ".join(pickled[:3]) + (" and more" if len(pickled) > 3 else "")
    return (
        f"{name} holds pickled weights only ({shown}), which may run code when they are read; "
        f"valid: `dspark-bench convert {name} --to safetensors --out NEW`, which takes their "
        "tensors without running any, and then the folder NEW in the name's place"
    )
