"""The order of training prompts: equal shares, greedy places, what is too long."""

import json
from collections import Counter
from pathlib import Path

import pytest

from dspark_bench.core.errors import UsageError
from dspark_bench.training_runs.chat_prompts import (
    GREEDY_EVERY,
    PromptPools,
    places,
    read_pools,
)
from dspark_bench.workloads.chat import ChatRenderer
from dspark_bench.workloads.requests import RequestLimits, RequestMaker
from tests import tiny_models

TEMPLATE = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
POOLS = PromptPools(
    {
        "math": tuple((1, n) for n in range(9)),
        "code": (),
        "chat": tuple((2, n) for n in range(4)),
    },
    0,
)


def maker(max_prompt_tokens: int) -> RequestMaker:
    renderer = ChatRenderer(TEMPLATE, False, {})
    limits = RequestLimits(8, 1, 256, tiny_models.VOCAB, max_prompt_tokens)
    return RequestMaker(renderer, tiny_models.tiny_tokenizer(), limits)


def test_domains_take_turns_and_begin_again() -> None:
    order = list(places(POOLS, 0, 20))
    assert [place.domain for place in order] == ["math", "chat"] * 10
    assert [p.tokens[1] for p in order if p.domain == "chat"] == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]
    assert [p.tokens[1] for p in order if p.domain == "math"][8:] == [8, 0]
    assert [place.number for place in order] == list(range(20))
    assert list(places(POOLS, 7, 5)) == order[7:12]


def test_no_prompt_is_answered_greedily_twice_before_all_were() -> None:
    passes = GREEDY_EVERY * 4
    order = [p for p in places(POOLS, 0, 2 * passes) if p.domain == "chat"]
    counts = Counter(p.tokens for p in order if p.is_greedy)
    assert counts == dict.fromkeys(POOLS.by_domain["chat"], 1)
    one_pass = [p for p in places(POOLS, 0, 18) if p.domain == "math"]
    assert sum(p.is_greedy for p in one_pass) == 3


def test_files_and_word_problems_are_read_once_each(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    entries = [
        {"prompt": "one", "domain": "code"},
        {"prompt": "one", "domain": "code"},
        {"prompt": "two", "domain": "writing"},
        {"messages": [{"role": "user", "content": "three"}]},
        {"prompt": "a prompt without an end " * 9, "domain": "code"},
    ]
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    made = maker(64)
    pools = read_pools([path], 2, made, 0)
    sizes = {domain: len(pool) for domain, pool in pools.by_domain.items()}
    assert sizes["code"] == 1 and sizes["chat"] == 2
    assert sizes["math"] + pools.num_too_long == 3
    wanted = made.tokenizer.encode("<user>one", add_special_tokens=False).ids
    assert pools.by_domain["code"] == (tuple(wanted),)
    with pytest.raises(UsageError, match="no prompt has room: all 5 are too long"):
        read_pools([path], 0, maker(1), 0)
