"""Drafters for SmolLM2, trained on what it answered.

    python -m dspark_bench.evidence.train_smollm2 --responses FOLDER --work FOLDER --out FOLDER

FOLDER of the responses is what `dspark_bench.evidence.chat_responses` wrote. Prompts that it does
not hold are looked up by their hash in --prompts FILES and in our own word problems. One resumable
command: a run that was stopped goes on from its last checkpoint, which is two minutes old at most.
Which shards it reads is settled at its first start and kept in the work folder, so that answers
that are written meanwhile do not change it.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from tokenizers import Tokenizer

from dspark_bench.core.errors import UsageError
from dspark_bench.core.json_text import load_json
from dspark_bench.core.model_cache import model_folder
from dspark_bench.evidence.entry import run_bench
from dspark_bench.models.checkpoint import content_hash, read_tokenizer
from dspark_bench.models.fetchable import SMOLLM2
from dspark_bench.training.chat_shards import (
    PROMPTS,
    RESPONSES,
    read_prompts_by_hash,
    read_shard,
    shard_paths,
)
from dspark_bench.training.chat_windows import ChatData, join_answers, unused_token
from dspark_bench.training.drafter_trainer import DrafterRecipe
from dspark_bench.training.process import prepare_process
from dspark_bench.training_runs.chat_responses import PLAN, AnswerPlan, prompt_pools
from dspark_bench.training_runs.train_chat_drafters import (
    MAX_GAMMA,
    ChatDraftersJob,
    train_chat_drafters,
)

SHARDS = "shards.json"
SOURCES = "sources.json"
"""Beside the answers: where their prompts come from, each with its licence."""
_ORIGIN = ("target_hash", "max_new_tokens", "max_prompt_tokens", "num_word_problems", "seed")


def main(
    responses: Annotated[Path, typer.Option(help="Folder of the answers.")],
    work: Annotated[Path, typer.Option(help="Folder for the run's checkpoint.")],
    out: Annotated[Path, typer.Option(help="Folder that receives a folder per drafter.")],
    prompts: Annotated[
        list[Path] | None, typer.Option(help="Files in which prompts are looked up by hash.")
    ] = None,
    target: Annotated[Path | None, typer.Option(help="A chat model; unset: smollm2.")] = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps, of all three drafters.")] = 500,
    batch_size: Annotated[int, typer.Option(min=1, help="Answers of a step.")] = 8,
    block_tokens: Annotated[
        int, typer.Option(min=1, help="Draft slots on each sequence of a step.")
    ] = 256,
    draft_vocab: Annotated[int, typer.Option(min=1, help="Tokens that can be drafted.")] = 8192,
    layers: Annotated[int, typer.Option(min=1, help="Layers of the block drafters.")] = 2,
    markov_rank: Annotated[int, typer.Option(min=1, help="Of semi_ar's head.")] = 128,
    gammas: Annotated[
        str,
        typer.Option(help="Block lengths, one drawn at each step; one named twice comes twice."),
    ] = "16,12,8,8,8,6,5,4,4,4,3,2",
    lr: Annotated[float, typer.Option(help="Peak learning rate.")] = 4e-3,
    seed: Annotated[int, typer.Option(help="Of weights and batches.")] = 0,
    mask_token: Annotated[
        int | None, typer.Option(help="Token of the slots to be drafted; unset: a special one.")
    ] = None,
    dtype: Annotated[
        str, typer.Option(help="Of the arithmetic: float32, or bfloat16 where it is faster.")
    ] = "float32",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
) -> None:
    """Train what is missing and write the drafters into `out`."""
    if dtype not in ("float32", "bfloat16"):
        raise UsageError(f"--dtype is {dtype!r}; valid: float32, bfloat16")
    prepare_process(threads)
    target_dir = target or model_folder(SMOLLM2.name)
    plan = read_plan(responses, target_dir)
    shards = settled_shards(responses, work)
    data = read_data(shards, target_dir, prompts or [], plan)
    special = _special_ids(read_tokenizer(target_dir))
    job = ChatDraftersJob(
        target_dir=target_dir,
        data=data,
        data_origin={key: plan[key] for key in _ORIGIN},
        mask_token_id=unused_token(special, data.train) if mask_token is None else mask_token,
        work=work,
        out=out,
        recipe=DrafterRecipe(
            steps,
            block_tokens=block_tokens,
            gammas=_lengths(gammas),
            peak_lr=lr,
            seed=seed,
            has_bf16_autocast=dtype == "bfloat16",
        ),
        sources=read_sources(responses),
        batch_size=batch_size,
        draft_vocab_size=draft_vocab,
        num_layers=layers,
        markov_rank=markov_rank,
        dtype=torch.float32 if dtype == "float32" else torch.bfloat16,
    )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    train_chat_drafters(job, device, Console())


def read_plan(folder: Path, target_dir: Path) -> Mapping[str, Any]:
    """What fixed the answers. Raises UsageError if another model wrote them."""
    path = folder / PLAN
    if not path.is_file():
        raise UsageError(f"{folder} holds no {PLAN}; valid: a folder of answers")
    plan: Mapping[str, Any] = load_json(path)
    wrote, ours = plan.get("target_hash"), content_hash(target_dir)
    if wrote != ours:
        raise UsageError(f"{folder} was written by the model {wrote}, not {ours} ({target_dir})")
    missing = [key for key in (*_ORIGIN, *AnswerPlan.__dataclass_fields__) if key not in plan]
    if missing:
        raise UsageError(f"{folder / PLAN} lacks {missing[0]}; valid: as it was written")
    return plan


def read_sources(folder: Path) -> list[dict[str, Any]]:
    """What the answers' folder says of its prompts; nothing where it says nothing."""
    path = folder / SOURCES
    found: list[dict[str, Any]] = load_json(path) if path.is_file() else []
    return found


def settled_shards(folder: Path, work: Path) -> list[Path]:
    """The shards of answers that the run in `work` reads: those that were there when it began.

    Raises UsageError if there are none, or if one of them is gone.
    """
    kept = work / SHARDS
    if not kept.exists():
        names = [path.name for path in shard_paths(folder)]
        if not names:
            raise UsageError(f"{folder} holds no finished shard; valid: a folder of answers")
        work.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(names) + "\n")
    paths = [folder / RESPONSES / name for name in load_json(kept)]
    gone = next((path for path in paths if not path.is_file()), None)
    if gone is not None:
        raise UsageError(f"{gone} is gone, which {kept} names; valid: all of it, or another --work")
    return paths


def read_data(
    shards: Sequence[Path], target_dir: Path, files: Sequence[Path], plan: Mapping[str, Any]
) -> ChatData:
    """Answers behind their prompts. Raises UsageError if some prompts are nowhere to be found."""
    beside = (path.parents[1] / PROMPTS / path.name for path in shards)
    known = read_prompts_by_hash(path for path in beside if path.is_file())
    if files or not known:
        fields = AnswerPlan.__dataclass_fields__
        wanted = AnswerPlan(**{key: plan[key] for key in fields})
        known |= prompt_pools(target_dir, files, wanted).by_hash()
    return join_answers(map(read_shard, shards), known)


def _lengths(text: str) -> tuple[int, ...]:
    """Block lengths of --gammas. Raises UsageError."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and 1 <= int(part) <= MAX_GAMMA for part in parts):
        raise UsageError(f"--gammas is {text!r}; valid: lengths from 1 to {MAX_GAMMA}, as in 8,4,2")
    return tuple(int(part) for part in parts)


def _special_ids(tokenizer: Tokenizer) -> list[int]:
    added = tokenizer.get_added_tokens_decoder()
    return [token for token, what in added.items() if what.special]


if __name__ == "__main__":
    run_bench(main, "train-smollm2")
