"""What a trained target can do on held-out documents: losses, samples, and two task scores.

Called by `target_trainer` at the end of training; the numbers go into the manifest.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch.nn.functional import cross_entropy
from transformers import Qwen3ForCausalLM

from dspark_bench.training.documents import DOMAINS, Domain
from dspark_bench.training.packing import PackedTokens, load_packed
from dspark_bench.training.prepared import PreparedData
from dspark_bench.training.tokenizer import EOS_TOKEN_ID, load_tokenizer
from dspark_bench.training.word_problems import stated_answer

_ANSWER_MARK = "\nAnswer:"
_MAX_CUT_LINES = 3


@dataclass(frozen=True)
class EvaluationSize:
    """How much to evaluate: windows per domain, prompts, tokens per prompt and continuation."""

    num_windows: int = 96
    num_word_problems: int = 100
    num_code_prompts: int = 64
    num_samples: int = 3
    prompt_tokens: int = 48
    new_tokens: int = 128
    batch_size: int = 32


@dataclass(frozen=True)
class TargetEvaluation:
    """Scores on the `test` split. Losses in nats per token; rates in 0..1."""

    loss: dict[Domain, float]
    word_problem_accuracy: float
    num_word_problems: int
    code_parse_rate: float
    num_code_prompts: int
    samples: dict[Domain, list[str]]


def evaluate_target(
    model: Qwen3ForCausalLM,
    data: PreparedData,
    sequence_tokens: int,
    size: EvaluationSize = EvaluationSize(),
) -> TargetEvaluation:
    """Evaluate on the test split, greedily; leaves the model in evaluation mode."""
    model.train(False)
    tokenizer = load_tokenizer(data.tokenizer_folder)
    folder: Path = data.tokens_folder
    test = {domain: load_packed(folder, domain, "test") for domain in DOMAINS}
    losses = {d: held_out_loss(model, test[d], sequence_tokens, size.num_windows) for d in DOMAINS}
    accuracy, num_problems = word_problem_accuracy(model, tokenizer, test["math"], size)
    parse_rate, num_code = code_parse_rate(model, tokenizer, test["code"], size)
    samples = {d: _samples(model, tokenizer, test[d], d, size) for d in DOMAINS}
    return TargetEvaluation(losses, accuracy, num_problems, parse_rate, num_code, samples)


@torch.no_grad()
def held_out_loss(
    model: Qwen3ForCausalLM, packed: PackedTokens, sequence_tokens: int, num_windows: int
) -> float:
    """Mean loss over up to `num_windows` windows spread evenly over the array, nats per token."""
    window = sequence_tokens + 1
    available = packed.tokens.size // window
    if available == 0:
        raise ValueError(f"{packed.tokens.size} tokens hold no window of {window}")
    chosen = np.linspace(0, available - 1, min(num_windows, available)).astype(int)
    losses: list[float] = []
    for index in chosen:
        tokens = packed.tokens[index * window : (index + 1) * window].astype(np.int64)
        ids = torch.from_numpy(tokens)[None]
        logits = model(input_ids=ids[:, :-1], use_cache=False).logits.float()
        losses.append(float(cross_entropy(logits[0], ids[0, 1:])))
    return float(np.mean(losses))


@torch.no_grad()
def continue_greedily(
    model: Qwen3ForCausalLM, prompts: Sequence[list[int]], new_tokens: int, batch_size: int
) -> list[list[int]]:
    """Greedy continuations without their EOS, prompts padded on the left."""
    untyped: Any = model  # transformers types `generate` for a protocol of its own
    continuations: list[list[int]] = []
    for first in range(0, len(prompts), batch_size):
        batch = prompts[first : first + batch_size]
        longest = max(map(len, batch))
        ids = torch.full((len(batch), longest), EOS_TOKEN_ID)
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(batch):
            ids[row, longest - len(prompt) :] = torch.tensor(prompt)
            mask[row, longest - len(prompt) :] = 1
        output = untyped.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=new_tokens,
            do_sample=False,
            eos_token_id=EOS_TOKEN_ID,
            pad_token_id=EOS_TOKEN_ID,
        )
        for row in output[:, longest:].tolist():
            end = row.index(EOS_TOKEN_ID) if EOS_TOKEN_ID in row else len(row)
            continuations.append(row[:end])
    return continuations


def word_problem_accuracy(
    model: Qwen3ForCausalLM, tokenizer: Tokenizer, packed: PackedTokens, size: EvaluationSize
) -> tuple[float, int]:
    """Share of held-out problems whose stated answer is right, and their number."""
    count = min(size.num_word_problems, packed.starts.size)
    texts = [tokenizer.decode(packed.document(i).tolist()) for i in range(count)]
    prompts = [tokenizer.encode(_word_problem_prompt(text)).ids for text in texts]
    answers = continue_greedily(model, prompts, size.new_tokens, size.batch_size)
    pairs = zip(answers, texts, strict=True)
    right = sum(stated_answer(tokenizer.decode(a)) == stated_answer(text) for a, text in pairs)
    return right / max(1, count), count


def code_parse_rate(
    model: Qwen3ForCausalLM, tokenizer: Tokenizer, packed: PackedTokens, size: EvaluationSize
) -> tuple[float, int]:
    """Share of code continuations that parse (see `parses_up_to_cut`), and their number."""
    prompts = _first_tokens(packed, size.num_code_prompts, size.prompt_tokens)
    continuations = continue_greedily(model, prompts, size.new_tokens, size.batch_size)
    pairs = zip(prompts, continuations, strict=True)
    good = sum(parses_up_to_cut(tokenizer.decode(prompt + more)) for prompt, more in pairs)
    return good / max(1, len(prompts)), len(prompts)


def parses_up_to_cut(source: str) -> bool:
    """Whether `source` is Python once at most three lines, where it was cut, are taken off."""
    lines = source.split("\n")
    for num_cut in range(min(_MAX_CUT_LINES, len(lines) - 1) + 1):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ast.parse("\n".join(lines[: len(lines) - num_cut]))
        except (SyntaxError, ValueError):
            continue
        return True
    return False


def _word_problem_prompt(text: str) -> str:
    return text[: text.index(_ANSWER_MARK) + len(_ANSWER_MARK)]


def _first_tokens(packed: PackedTokens, count: int, num_tokens: int) -> list[list[int]]:
    """The first tokens of the first `count` documents that are twice as long."""
    prompts: list[list[int]] = []
    for index in range(packed.starts.size):
        document = packed.document(index)
        if document.size >= 2 * num_tokens and len(prompts) < count:
            prompts.append(document[:num_tokens].tolist())
    return prompts


def _samples(
    model: Qwen3ForCausalLM,
    tokenizer: Tokenizer,
    packed: PackedTokens,
    domain: Domain,
    size: EvaluationSize,
) -> list[str]:
    prompts = _first_tokens(packed, size.num_samples, size.prompt_tokens)
    if domain == "math":
        texts = [tokenizer.decode(packed.document(i).tolist()) for i in range(size.num_samples)]
        prompts = [tokenizer.encode(_word_problem_prompt(text)).ids for text in texts]
    continuations = continue_greedily(model, prompts, size.new_tokens, size.batch_size)
    pairs = zip(prompts, continuations, strict=True)
    return [f"{tokenizer.decode(p)}[[[{tokenizer.decode(c)}]]]" for p, c in pairs]
