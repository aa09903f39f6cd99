"""Answers on disk and as sequences: nothing lost, no words of prompts shipped, passes complete."""

from pathlib import Path

import numpy as np
import pytest
import torch

from dspark_bench.core.errors import UsageError
from dspark_bench.core.prompt_hash import prompt_hash
from dspark_bench.training.chat_shards import (
    PROMPTS,
    RESPONSES,
    Response,
    Shard,
    read_prompts_by_hash,
    read_shard,
    shard_path,
    shard_paths,
    write_shard,
)
from dspark_bench.training.chat_windows import (
    HELD_OUT_EVERY,
    ChatSampler,
    ChatSequence,
    as_windows,
    frequent_tokens,
    join_answers,
    unused_token,
)

HASHES = [prompt_hash(prompt) for prompt in ((5, 6, 65535), (7,))]
SHARD = Shard(
    (
        Response(HASHES[0], (1, 2, 49151), "math", True, False),
        Response(HASHES[1], (9, 9, 9), "chat", False, True),
        Response(HASHES[0], (4, 3), "math", False, False),
    )
)
PROMPT_TOKENS = [(5, 6, 65535), (7,), (5, 6, 65535)]


def test_a_shard_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_shard(tmp_path, 3, SHARD, PROMPT_TOKENS)
    (path,) = shard_paths(tmp_path)
    assert path == shard_path(tmp_path, RESPONSES, 3)
    assert read_shard(path) == SHARD
    assert SHARD.num_tokens == 8
    known = read_prompts_by_hash(shard_paths(tmp_path, PROMPTS))
    assert known == {HASHES[0]: (5, 6, 65535), HASHES[1]: (7,)}
    assert sorted(file.name for file in path.parent.iterdir()) == ["00003.npz"]


def test_answers_hold_no_prompt(tmp_path: Path) -> None:
    write_shard(tmp_path, 0, SHARD, PROMPT_TOKENS)
    with np.load(shard_path(tmp_path, RESPONSES, 0)) as stored:
        held = {name: stored[name].dtype for name in stored.files}
        assert stored["tokens"].tolist() == [1, 2, 49151, 9, 9, 9, 4, 3]
    assert held["tokens"] == np.uint16
    assert set(held) == {
        *("tokens", "lengths", "prompt_hash", "domain", "is_greedy", "is_degenerate")
    }


def test_a_token_of_more_bits_is_refused(tmp_path: Path) -> None:
    shard = Shard((Response(HASHES[0], (65536,), "math", True, False),))
    with pytest.raises(UsageError, match="65536 has more than 16 bits"):
        write_shard(tmp_path, 0, shard, [(5,)])


def test_what_is_no_shard_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "00000.npz"
    path.write_bytes(b"PK no")
    with pytest.raises(UsageError, match="is no shard of answers"):
        read_shard(path)


def test_answers_stand_behind_their_prompts_and_loops_are_left_out() -> None:
    known = {HASHES[0]: (5, 6, 65535), HASHES[1]: (7,)}
    data = join_answers([SHARD], known)
    sequences = (*data.train, *data.held_out)
    assert [s.tokens for s in sequences] == [(5, 6, 65535, 1, 2, 49151), (5, 6, 65535, 4, 3)]
    assert [s.answer for s in sequences] == [(1, 2, 49151), (4, 3)]
    assert data.num_looping == 1
    with pytest.raises(UsageError, match="prompts of 1 of 3 answers are in none"):
        join_answers([SHARD], {HASHES[0]: (5, 6, 65535)})


def test_a_prompt_is_held_out_with_all_of_its_answers() -> None:
    prompts = {prompt_hash((n,)): (n,) for n in range(1000)}
    shard = Shard(
        tuple(Response(key, (1, 2), "code", False, False) for key in prompts for _ in "ab")
    )
    data = join_answers([shard], prompts)
    held = {s.tokens[0] for s in data.held_out}
    assert held == {n for n in range(1000) if int(prompt_hash((n,)), 16) % HELD_OUT_EVERY == 0}
    assert 5 <= len(held) <= 45 and len(data.held_out) == 2 * len(held)
    assert not held & {s.tokens[0] for s in data.train}


def test_the_draft_vocabulary_is_of_the_answers_most_frequent_tokens() -> None:
    sequences = [
        ChatSequence((8, 8, 8, 8, 3, 3, 5), 4, "math"),
        ChatSequence((8, 3, 9, 7), 1, "math"),
    ]
    assert frequent_tokens(sequences, 1, 10).tolist() == [3]
    assert frequent_tokens(sequences, 3, 10).tolist() == [3, 5, 7]  # of 5, 7, 9 the lower ones
    assert frequent_tokens(sequences, 6, 10).tolist() == [0, 1, 3, 5, 7, 9]
    with pytest.raises(UsageError, match="11 tokens; valid: 1 to 10"):
        frequent_tokens(sequences, 11, 10)
    assert unused_token((1, 2, 8), sequences) == 2
    with pytest.raises(UsageError, match="every special token is in use"):
        unused_token((8, 3), sequences)


def test_every_pass_has_every_sequence_and_any_step_can_be_asked_for() -> None:
    lengths = np.random.default_rng(0).integers(3, 60, 66)
    sequences = [ChatSequence((n,) * int(size), 1, "math") for n, size in enumerate(lengths)]
    sampler = ChatSampler(sequences[:64], 4, seed=1)
    passes = [
        [s.tokens[0] for step in range(16) for s in sampler.batch(16 * turn + step)]
        for turn in range(2)
    ]
    assert [sorted(found) for found in passes] == [list(range(64))] * 2
    assert passes[0] != passes[1]
    again = ChatSampler(sequences[:64], 4, seed=1)
    assert again.batch(21) == sampler.batch(21)
    spread = [len({len(s.tokens) for s in sampler.batch(step)}) for step in range(16)]
    widths = [max(len(s.tokens) for s in sampler.batch(step)) for step in range(16)]
    padded = sum(4 * w for w in widths) / sum(map(int, lengths[:64]))
    assert padded < 1.15 and max(spread) <= 4
    assert ChatSampler(sequences, 4, seed=1).batches_per_pass == 16


def test_shorter_rows_are_padded_behind_their_end() -> None:
    windows = as_windows(
        [ChatSequence((4, 5, 6), 1, "math"), ChatSequence((7, 8, 9, 1), 2, "chat")],
        torch.device("cpu"),
    )
    assert windows.tokens.tolist() == [[4, 5, 6, 0], [7, 8, 9, 1]]
    assert (windows.firsts, windows.ends) == ((1, 2), (3, 4))
