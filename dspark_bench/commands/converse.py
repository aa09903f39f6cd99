"""`dspark-bench converse`: a file of conversations as a file of prompts, one for each turn.

Later turns follow the target's own answers, which are written down: every run of the new file sends
the same prompts, and whoever reads it sees what was said.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from rich.console import Console

from dspark_bench.commands.kernel_notice import prepare_kernels
from dspark_bench.commands.sweep_plan import SweepRequest, single_point
from dspark_bench.config.component import build_component
from dspark_bench.config.point_config import PointConfig
from dspark_bench.core.errors import ResultsError, UsageError
from dspark_bench.core.json_text import parse_json
from dspark_bench.measure.build import ModelCache, choose_threads
from dspark_bench.measure.conversations import Conversations, TargetAnswers, hold_conversations
from dspark_bench.models.checkpoint import read_tokenizer
from dspark_bench.workloads.chat import chat_renderer
from dspark_bench.workloads.jsonl import read_prompts
from dspark_bench.workloads.prompt import Message, Prompt, Workload, with_system
from dspark_bench.workloads.requests import RequestLimits, RequestMaker

_SPARE: Final = 33
"""Positions left for drafts, so that a run at any gamma to 32 has room for every turn."""


@dataclass(frozen=True, slots=True)
class ConverseRequest:
    """request: names target, workload=jsonl with its file, and sampling; out: the file to make."""

    request: SweepRequest
    out: Path


def run_converse(wanted: ConverseRequest, console: Console) -> Conversations:
    """Write the turns' file. Raises UsageError for a workload without further turns, and for a file
    that exists.
    """
    if wanted.out.exists():
        raise UsageError(f"{wanted.out} exists; valid: a new file")
    point = single_point(wanted.request, "converse").config
    path = point.workload.arguments.get("path")
    if not point.has_prompt_file or path is None:
        raise UsageError(
            f"workload={point.workload.name} has no further turns; valid: workload=jsonl "
            "workload.path=FILE"
        )
    system = point.workload.arguments.get("system_prompt")
    prompts = [with_system(prompt, system) for prompt in read_prompts(Path(str(path)))]
    if not any(prompt.later for prompt in prompts):
        raise UsageError(f"no prompt of {path} has further turns; valid: a file that runs as it is")
    torch.set_num_threads(choose_threads(point))
    prepare_kernels(point, console)
    target = ModelCache().target(point)
    maker = _maker(point, target.config.max_position_embeddings, target.config.vocab_size)
    answers = TargetAnswers(point, target, maker, maker.tokenizer)
    found = hold_conversations(prompts, maker, answers)
    _write(wanted.out, found.turns)
    for line in _said(found, len(prompts), point):
        console.print(line, soft_wrap=True, highlight=False)
    console.print(f"written: {wanted.out}", soft_wrap=True, highlight=False)
    return found


def _maker(point: PointConfig, max_positions: int, vocab_size: int) -> RequestMaker:
    workload: Workload = build_component("workload", point.workload)
    chat = workload.chat_format
    limits = RequestLimits(
        point.max_new_tokens, _SPARE, max_positions, vocab_size, chat.max_prompt_tokens
    )
    renderer = chat_renderer(chat, point.target_dir)
    return RequestMaker(renderer, read_tokenizer(point.target_dir), limits)


def _said(found: Conversations, num_conversations: int, point: PointConfig) -> list[str]:
    lines = [
        f"{len(found.turns)} turns of {num_conversations} conversations; answers of at most "
        f"{point.max_new_tokens} tokens at temperature {point.sampling.temperature:g}"
    ]
    if found.num_too_long:
        lines.append(
            f"note: {found.num_too_long} conversations end early: the target has no room for their "
            "next prompt"
        )
    if found.num_unanswered:
        lines.append(
            f"note: {found.num_unanswered} conversations end early: an answer has no words"
        )
    return lines


def _write(path: Path, turns: tuple[Prompt, ...]) -> None:
    """Whole or not at all."""
    lines = [json.dumps(_entry(turn), ensure_ascii=False) for turn in turns]
    aside = path.with_name(f".{path.name}.tmp")
    try:
        aside.write_text("\n".join(lines) + "\n", encoding="utf-8")
        aside.replace(path)
    except OSError as error:
        raise ResultsError(f"cannot write {path}: {error.strerror or error}") from error


def _entry(turn: Prompt) -> dict[str, Any]:
    """As `workload=jsonl` reads it."""
    entry: dict[str, Any] = {"id": turn.id, "domain": turn.domain}
    if not turn.messages:
        return entry | {"prompt": turn.text}
    entry["messages"] = [_fields(message) for message in turn.messages]
    return entry | ({"tools": parse_json(turn.tools)} if turn.tools else {})


def _fields(message: Message) -> dict[str, Any]:
    more = parse_json(message.more) if message.more else {}
    return {"role": message.role, "content": message.content, **more}
