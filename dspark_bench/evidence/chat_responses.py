"""A chat model's own answers to training prompts, for `make train-smollm2`.

    python -m dspark_bench.evidence.chat_responses --prompts FILE --out FOLDER

Writes shards into FOLDER until it holds enough tokens, and goes on where it was stopped. Several
processes share the work with --part 1/2 and --part 2/2.
"""

from pathlib import Path
from typing import Annotated

import torch
import typer

from dspark_bench.core.errors import UsageError
from dspark_bench.core.model_cache import model_folder
from dspark_bench.evidence.entry import run_bench
from dspark_bench.models.fetchable import SMOLLM2
from dspark_bench.training_runs.chat_responses import AnswerPlan, Part, write_answers

DEFAULT = AnswerPlan()


def main(
    prompts: Annotated[list[Path], typer.Option(help="Files of prompts, as workload=jsonl reads.")],
    out: Annotated[Path, typer.Option(help="Folder of the shards.")],
    target: Annotated[Path | None, typer.Option(help="A chat model; unset: smollm2.")] = None,
    tokens: Annotated[int, typer.Option(min=1, help="Tokens of answers in all.")] = 2_000_000,
    max_new_tokens: Annotated[int, typer.Option(min=1)] = DEFAULT.max_new_tokens,
    shard_prompts: Annotated[
        int, typer.Option(min=1, help="Answers of one shard.")
    ] = DEFAULT.shard_prompts,
    batch_size: Annotated[int, typer.Option(min=1, help="Served at once.")] = DEFAULT.batch_size,
    word_problems: Annotated[
        int, typer.Option(min=0, help="Prompts of our own generator.")
    ] = DEFAULT.num_word_problems,
    dtype: Annotated[str, typer.Option(help="float32 or bfloat16.")] = DEFAULT.dtype,
    seed: Annotated[int, typer.Option(help="Of the order and of the draws.")] = DEFAULT.seed,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
    part: Annotated[str, typer.Option(help="K/N: the K-th of N processes.")] = "1/1",
) -> None:
    """Write the missing shards."""
    if dtype not in ("float32", "bfloat16"):
        raise UsageError(f"--dtype is {dtype!r}; valid: float32, bfloat16")
    torch.set_num_threads(threads)
    plan = AnswerPlan(
        max_new_tokens=max_new_tokens,
        shard_prompts=shard_prompts,
        batch_size=batch_size,
        num_word_problems=word_problems,
        seed=seed,
        dtype=dtype,
    )
    target_dir = target or model_folder(SMOLLM2.name)
    write_answers(target_dir, prompts, out, plan, tokens, read_part(part), say)


def read_part(text: str) -> Part:
    """`2/3` as the second of three. Raises UsageError for anything else."""
    first, _, count = text.partition("/")
    if first.isdigit() and count.isdigit() and 1 <= int(first) <= int(count):
        return Part(int(first) - 1, int(count))
    raise UsageError(f"--part is {text!r}; valid: K/N with K from 1 to N, such as 1/2")


def say(line: str) -> None:
    """One line, at once, also into a file."""
    print(line, flush=True)


if __name__ == "__main__":
    run_bench(main, "chat-responses")
