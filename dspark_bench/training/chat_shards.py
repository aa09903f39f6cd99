"""Answers that a chat model wrote, as files that may be shipped: they hold no words of a prompt.

A shard is two files of the same name. `responses/00000.npz` has the answers as 16-bit token ids and
the hash of each one's prompt; `prompts/00000.npz` has the prompts' own tokens. Whoever has the
prompts of a shard from elsewhere needs only the first: prompts are found by their hash.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dspark_bench.core.errors import UsageError
from dspark_bench.core.prompt_hash import prompt_hash

DOMAINS = ("math", "code", "chat")
RESPONSES, PROMPTS = "responses", "prompts"
MOST_TOKENS = 1 << 16
"""Size of the largest vocabulary whose ids fit into 16 bits."""

Tokens = npt.NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class Response:
    """prompt_hash: 16 hex digits; tokens: the answer, its end token included if it came to one;
    domain: of `DOMAINS`; is_degenerate: its text runs in a circle (`metrics.loops`).
    """

    prompt_hash: str
    tokens: tuple[int, ...]
    domain: str
    is_greedy: bool
    is_degenerate: bool


@dataclass(frozen=True, slots=True)
class Shard:
    """The responses of one shard, in the order of their prompts."""

    responses: tuple[Response, ...]

    @property
    def num_tokens(self) -> int:
        """Of all answers together."""
        return sum(len(response.tokens) for response in self.responses)


def shard_path(folder: Path, kind: str, number: int) -> Path:
    """kind: `RESPONSES` or `PROMPTS`."""
    return folder / kind / f"{number:05d}.npz"


def shard_paths(folder: Path, kind: str = RESPONSES) -> list[Path]:
    """The finished shards of a folder, in order."""
    return sorted(path for path in (folder / kind).glob("*.npz") if path.stem.isdigit())


def write_shard(
    folder: Path, number: int, shard: Shard, prompts: Sequence[tuple[int, ...]]
) -> None:
    """Both files, each by one rename, the responses last: where they lie the shard is whole."""
    own = {prompt_hash(prompt): prompt for prompt in prompts}
    _write(shard_path(folder, PROMPTS, number), _ragged(list(own.values())))
    answers = shard.responses
    columns = {
        **_ragged([answer.tokens for answer in answers]),
        "prompt_hash": np.array([int(a.prompt_hash, 16) for a in answers], dtype=np.uint64),
        "domain": np.array([DOMAINS.index(a.domain) for a in answers], dtype=np.uint8),
        "is_greedy": np.array([a.is_greedy for a in answers], dtype=np.bool_),
        "is_degenerate": np.array([a.is_degenerate for a in answers], dtype=np.bool_),
    }
    _write(shard_path(folder, RESPONSES, number), columns)


def read_shard(path: Path) -> Shard:
    """The responses of one file. Raises UsageError if it is none."""
    columns = _read(path, ("tokens", "lengths", "prompt_hash", "domain", *_FLAGS))
    rows = zip(
        columns["prompt_hash"].tolist(),
        _parts(columns),
        columns["domain"].tolist(),
        *(columns[flag].tolist() for flag in _FLAGS),
        strict=True,
    )
    return Shard(
        tuple(
            Response(f"{key:016x}", tokens, DOMAINS[domain], is_greedy, is_degenerate)
            for key, tokens, domain, is_greedy, is_degenerate in rows
        )
    )


def read_prompts_by_hash(paths: Iterable[Path]) -> dict[str, tuple[int, ...]]:
    """Tokens of every prompt in the prompt files of some shards. Raises UsageError."""
    found: dict[str, tuple[int, ...]] = {}
    for path in paths:
        parts = _parts(_read(path, ("tokens", "lengths")))
        found |= {prompt_hash(tokens): tokens for tokens in parts}
    return found


_FLAGS = ("is_greedy", "is_degenerate")


def _ragged(parts: Sequence[tuple[int, ...]]) -> dict[str, npt.NDArray[np.generic]]:
    flat = [token for part in parts for token in part]
    if flat and max(flat) >= MOST_TOKENS:
        raise UsageError(f"token {max(flat)} has more than 16 bits; valid: up to {MOST_TOKENS - 1}")
    lengths = np.array([len(part) for part in parts], dtype=np.uint16)
    return {"tokens": np.array(flat, dtype=np.uint16), "lengths": lengths}


def _parts(columns: Mapping[str, npt.NDArray[np.generic]]) -> list[tuple[int, ...]]:
    ends = np.cumsum(columns["lengths"].astype(np.int64))[:-1]
    return [tuple(part.tolist()) for part in np.split(columns["tokens"], ends)]


def _write(path: Path, columns: Mapping[str, npt.NDArray[np.generic]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.stem}.{os.getpid()}.tmp")
    with aside.open("wb") as file:
        np.savez_compressed(file, **columns)  # type: ignore[arg-type]
    aside.replace(path)


def _read(path: Path, names: Sequence[str]) -> dict[str, npt.NDArray[np.generic]]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in names}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UsageError(f"{path} is no shard of answers: {error}") from error
