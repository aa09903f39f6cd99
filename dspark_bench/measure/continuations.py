"""Recorded outputs of the target, one per prompt: what `acceptance=replay` walks along.

Made once, untimed and without speculation, each prompt with a random stream of its own (keyed by
the prompt, so that it does not depend on how many others there are). Kept in a file whose name is a
hash of what determines it, with a hash of its content.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from dspark_bench.config.point_config import PointConfig
from dspark_bench.core.errors import ResultsError
from dspark_bench.core.json_text import load_json
from dspark_bench.core.types import Request
from dspark_bench.engine.acceptance import ExactAcceptance
from dspark_bench.engine.engine import Engine, EngineConfig
from dspark_bench.loads.closed import ClosedLoad
from dspark_bench.measure.build import PointObjects
from dspark_bench.measure.identity import Identity
from dspark_bench.schedulers.fixed import FixedScheduler

FOLDER: Final = ".continuations"
FORMAT: Final = 1
MARGIN: Final = 32
"""Tokens recorded past `max_new_tokens`, so that one file serves every usual draft length."""
_CONCURRENCY = 32


@dataclass(frozen=True, slots=True)
class Continuations:
    """tokens: one output per request, in order; identity: 16 hex digits over them."""

    tokens: tuple[tuple[int, ...], ...]
    identity: str


def with_continuations(
    point: PointConfig, objects: PointObjects, identity: Identity
) -> tuple[PointObjects, str | None]:
    """The same objects, requests carrying recorded outputs if the acceptance follows them.

    Returns the recording's hash beside them, None if nothing is followed. Raises ResultsError if a
    recording is damaged or cannot be written.
    """
    if not objects.acceptance.follows_record:
        return objects, None
    requests = objects.prompts.requests
    found = recorded(point, objects, identity, requests)
    carrying = tuple(
        replace(request, continuation=tokens)
        for request, tokens in zip(requests, found.tokens, strict=True)
    )
    return replace(objects, prompts=replace(objects.prompts, requests=carrying)), found.identity


def recorded(
    point: PointConfig, objects: PointObjects, identity: Identity, requests: Sequence[Request]
) -> Continuations:
    """Read the recording of these requests; make it first where there is none."""
    arguments = point.acceptance.arguments
    seed = int(arguments.get("recording") or 0)
    longer = _longer(requests, point.gamma, objects.target.config.max_position_embeddings)
    key = {
        "format": FORMAT,
        "target": identity.target_hash,
        "dtype": str(objects.target.dtype),
        "sampling": asdict(point.sampling),
        "recording": seed,
        "prompts": [[list(r.prompt_tokens), r.max_new_tokens] for r in longer],
    }
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    folder = Path(str(arguments.get("path") or point.results_dir / FOLDER))
    path = folder / f"{name}.json"
    if path.exists():
        return _read(path, len(requests))
    made = Continuations(*_with_hash(_record(point, objects, longer, seed)))
    kept = {name: value for name, value in key.items() if name != "prompts"}
    _write(path, {**kept, "num_prompts": len(requests), **asdict(made)})
    return made


def _longer(requests: Sequence[Request], gamma: int, max_positions: int) -> list[Request]:
    """Requests whose outputs reach past their last draft, as far as the target has positions."""
    margin = max(MARGIN, gamma + 1)
    return [
        replace(
            r, max_new_tokens=min(r.max_new_tokens + margin, max_positions - len(r.prompt_tokens))
        )
        for r in requests
    ]


def _record(
    point: PointConfig, objects: PointObjects, requests: Sequence[Request], seed: int
) -> list[tuple[int, ...]]:
    """Outputs of the target alone. Equal prompts get different random streams."""
    seen: dict[tuple[int, ...], int] = {}
    named = []
    for request in requests:
        count = seen[request.prompt_tokens] = seen.get(request.prompt_tokens, -1) + 1
        text = json.dumps([list(request.prompt_tokens), count])
        stream = int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")
        named.append(replace(request, request_id=stream, continuation=()))
    longest = max(len(r.prompt_tokens) + r.max_new_tokens for r in named)
    engine = Engine(
        objects.target,
        None,
        FixedScheduler(),
        ExactAcceptance(),
        point.sampling,
        0,
        EngineConfig(_CONCURRENCY, longest + 1, prefill_tokens=point.engine.prefill_tokens),
        objects.clock,
    )
    result = engine.run(named, ClosedLoad(_CONCURRENCY), seed)
    outputs = {record.request_id: record.output_tokens for record in result.requests}
    return [outputs[request.request_id] for request in named]


def _with_hash(
    tokens: Sequence[Sequence[int]],
) -> tuple[tuple[tuple[int, ...], ...], str]:
    rows = tuple(tuple(row) for row in tokens)
    return rows, hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]


def _read(path: Path, num_requests: int) -> Continuations:
    try:
        content = load_json(path)
        found = Continuations(*_with_hash(content["tokens"]))
        is_whole = found.identity == content["identity"] and len(found.tokens) == num_requests
    except OSError as error:
        raise ResultsError(
            f"cannot read recorded outputs {path}: {error.strerror or error}"
        ) from error
    except (ValueError, KeyError, TypeError):
        is_whole = False
    if not is_whole:
        raise ResultsError(f"recorded outputs {path} are damaged; delete the file to record again")
    return found


def _write(path: Path, content: dict[str, Any]) -> None:
    """One line per output; the file appears whole."""
    rows = content.pop("tokens")
    head = json.dumps(content, indent=1)[:-2]
    lines = ",\n".join(f"  {json.dumps(row, separators=(',', ':'))}" for row in rows)
    aside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(f'{head},\n "tokens": [\n{lines}\n ]\n}}\n', encoding="utf-8")
        aside.replace(path)
    except OSError as error:
        raise ResultsError(
            f"cannot write recorded outputs {path}: {error.strerror or error}; name a writable "
            "folder with acceptance.path="
        ) from error
