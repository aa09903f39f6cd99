"""A chat model's answers as sequences to train on: each its prompt, then what is to be learned.

Sequences are not joined: a chat stands at the positions, and before the context, that a drafter
meets when it serves. Batches hold sequences of about one length. What a batch holds depends on the
seed and the step alone, so that a resumed run sees what an uninterrupted one would have seen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch

from dspark_bench.core.errors import UsageError
from dspark_bench.training.chat_shards import MOST_TOKENS, Shard
from dspark_bench.training.drafter_batch import Windows

HELD_OUT_EVERY = 50
"""One prompt in so many, by its hash, is left for evaluation with all of its answers."""
_LEAST_ANSWER = 2
_SORTED_BATCHES = 16


@dataclass(frozen=True, slots=True)
class ChatSequence:
    """tokens: prompt and answer; first: index of the answer's first token."""

    tokens: tuple[int, ...]
    first: int
    domain: str

    @property
    def answer(self) -> tuple[int, ...]:
        """What the model wrote."""
        return self.tokens[self.first :]


@dataclass(frozen=True, slots=True)
class ChatData:
    """num_looping: answers left out because they run in a circle."""

    train: tuple[ChatSequence, ...]
    held_out: tuple[ChatSequence, ...]
    num_looping: int

    @property
    def num_answer_tokens(self) -> int:
        """Of all training sequences."""
        return sum(len(sequence.answer) for sequence in self.train)

    def digest(self) -> str:
        """16 hex digits over the training sequences."""
        digest = hashlib.sha256()
        for sequence in self.train:
            digest.update(np.array([sequence.first, *sequence.tokens], dtype=np.int64).tobytes())
        return digest.hexdigest()[:16]


def join_answers(shards: Iterable[Shard], prompts: Mapping[str, tuple[int, ...]]) -> ChatData:
    """Every answer behind its prompt, those that loop left out.

    prompts: tokens by hash. Raises UsageError if one is missing, or if nothing is left.
    """
    train: list[ChatSequence] = []
    held_out: list[ChatSequence] = []
    num_looping, num_all, missing = 0, 0, 0
    for shard in shards:
        for response in shard.responses:
            num_all += 1
            if response.prompt_hash not in prompts:
                missing += 1
            elif response.is_degenerate:
                num_looping += 1
            elif len(response.tokens) >= _LEAST_ANSWER:
                prompt = prompts[response.prompt_hash]
                made = ChatSequence((*prompt, *response.tokens), len(prompt), response.domain)
                is_held_out = int(response.prompt_hash, 16) % HELD_OUT_EVERY == 0
                (held_out if is_held_out else train).append(made)
    if missing:
        raise UsageError(
            f"the prompts of {missing} of {num_all} answers are in none of the files; valid: the "
            "files that they were drawn from (--prompts)"
        )
    if not train:
        raise UsageError(f"{num_all} answers leave nothing to train on")
    return ChatData(tuple(train), tuple(held_out), num_looping)


def frequent_tokens(
    sequences: Iterable[ChatSequence], size: int, vocab_size: int
) -> npt.NDArray[np.int64]:
    """The `size` tokens that stand most often in the answers, ascending [size].

    Of equally frequent ones the lower is taken. Raises UsageError for more than there are.
    """
    if not 1 <= size <= vocab_size:
        raise UsageError(f"the draft vocabulary has {size} tokens; valid: 1 to {vocab_size}")
    counts = np.zeros(vocab_size, dtype=np.int64)
    for sequence in sequences:
        np.add.at(counts, np.array(sequence.answer, dtype=np.int64), 1)
    order = np.lexsort((np.arange(vocab_size), -counts))
    return np.sort(order[:size])


def unused_token(special_ids: Iterable[int], sequences: Sequence[ChatSequence]) -> int:
    """The highest special token that stands in no sequence, to mark slots that are to be drafted.

    Raises UsageError if all of them are in use.
    """
    is_used = np.zeros(MOST_TOKENS, dtype=np.bool_)
    for sequence in sequences:
        is_used[list(sequence.tokens)] = True
    free = [token for token in special_ids if not is_used[token]]
    if not free:
        raise UsageError("every special token is in use; valid: --mask-token, one that is not")
    return max(free)


def as_windows(sequences: Sequence[ChatSequence], device: torch.device) -> Windows:
    """Sequences as rows, the shorter ones padded behind their end."""
    longest = max(len(sequence.tokens) for sequence in sequences)
    rows = np.zeros((len(sequences), longest), dtype=np.int64)
    for row, sequence in zip(rows, sequences, strict=True):
        row[: len(sequence.tokens)] = sequence.tokens
    return Windows(
        torch.from_numpy(rows).to(device),
        tuple(sequence.first for sequence in sequences),
        tuple(len(sequence.tokens) for sequence in sequences),
    )


class ChatSampler:
    """Batches of sequences: all of them once, in an order that is drawn, then again in another."""

    def __init__(self, sequences: Sequence[ChatSequence], batch_size: int, seed: int) -> None:
        """Raises UsageError for fewer sequences than a batch holds."""
        if len(sequences) < batch_size:
            raise UsageError(f"{len(sequences)} sequences; valid: {batch_size} or more, a batch")
        self._sequences = sequences
        self._batch_size = batch_size
        self._seed = seed
        self.batches_per_pass = len(sequences) // batch_size
        self._order = lru_cache(maxsize=1)(self._batches)

    def batch(self, step: int) -> list[ChatSequence]:
        """The batch of `step`. Pure in (seed, step)."""
        turn, place = divmod(step, self.batches_per_pass)
        return [self._sequences[i] for i in self._order(turn)[place]]

    def _batches(self, turn: int) -> npt.NDArray[np.int64]:
        """Indices [batches, batch_size] of one pass; neighbours in length stand together."""
        rng = np.random.default_rng((self._seed, turn, 31))
        kept = self.batches_per_pass * self._batch_size
        order = rng.permutation(len(self._sequences))[:kept]
        lengths = np.array([len(sequence.tokens) for sequence in self._sequences])
        group = _SORTED_BATCHES * self._batch_size
        parts = [order[start : start + group] for start in range(0, kept, group)]
        sorted_parts = [part[np.argsort(lengths[part], kind="stable")] for part in parts]
        batches = np.concatenate(sorted_parts).reshape(-1, self._batch_size)
        return batches[rng.permutation(len(batches))]
