"""Prompts that the target has no room for: refused with a count, left out, or cut to their end."""

from dataclasses import replace
from pathlib import Path

import pytest

from dspark_bench.core.errors import WorkloadError
from dspark_bench.workloads.chat import chat_renderer
from dspark_bench.workloads.fitting import Fitting, Source, fit_line, fit_prompts
from dspark_bench.workloads.prompt import ChatFormat, Message, Prompt, check_too_long
from dspark_bench.workloads.requests import RequestLimits, RequestMaker
from tests.tiny_models import tiny_tokenizer

_LIMITS = RequestLimits(max_new_tokens=8, num_spare=5, max_positions=100, vocab_size=320)
_TEMPLATE = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>"
_ROOM = 100 - 8 - 33


def _maker(folder: Path, template: str | None = None) -> RequestMaker:
    chat = ChatFormat("none")
    if template is not None:
        (folder / "t.jinja").write_text(template)
        chat = ChatFormat(str(folder / "t.jinja"))
    return RequestMaker(chat_renderer(chat, folder), tiny_tokenizer(), _LIMITS)


def _prompts(*texts: str) -> list[Prompt]:
    return [Prompt(f"p{n}", "user", text) for n, text in enumerate(texts)]


def _source(prompts: list[Prompt]) -> Source:
    return Source(lambda num: prompts[:num], len(prompts), "FILE")


_SHORT, _LONG = "one word", "xyzw " * 60 + "the end"
_MIX = _prompts(_SHORT, _LONG, _SHORT, _LONG, _LONG, _SHORT, _SHORT)


def test_an_error_counts_the_others_and_names_the_option(tmp_path: Path) -> None:
    maker = _maker(tmp_path)
    assert fit_prompts(_source(_MIX), 1, "error", maker) == Fitting(
        tuple(_MIX[:1]), 0, 1, _LIMITS.room
    )
    says = r"prompt 'p1' has \d+ tokens; valid: up to 87 .*; 3 of 7 prompts of FILE are too long: "
    with pytest.raises(WorkloadError, match=says + "workload.too_long=skip"):
        fit_prompts(_source(_MIX), 2, "error", maker)


def test_skip_takes_the_next_in_order_and_counts(tmp_path: Path) -> None:
    found = fit_prompts(_source(_MIX), 3, "skip", _maker(tmp_path))
    assert [prompt.id for prompt in found.prompts] == ["p0", "p2", "p5"]
    assert (found.num_too_long, found.num_seen, found.room) == (3, 6, _ROOM)
    assert fit_line(found, "skip", "test") == (
        "3 of 6 test prompts drawn have more than 59 tokens and are left out "
        "(workload.too_long=skip)"
    )
    with pytest.raises(WorkloadError, match=r"5 prompts wanted from FILE; valid: 1 to 4 \(3 of 7"):
        fit_prompts(_source(_MIX), 5, "skip", _maker(tmp_path))
    few = fit_prompts(_source(_MIX), 5, "skip", _maker(tmp_path), is_all_needed=False)
    assert [prompt.id for prompt in few.prompts] == ["p0", "p2", "p5", "p6"]


def test_every_gamma_chooses_the_same_prompts(tmp_path: Path) -> None:
    lengths = _prompts(*("word " * n for n in range(1, 60)))
    found = []
    for gamma in (1, 32):
        maker = replace(_maker(tmp_path), limits=replace(_LIMITS, num_spare=gamma + 1))
        found.append(fit_prompts(_source(lengths), 10, "cut", maker))
    assert found[0] == found[1]


def test_cut_keeps_the_end_of_a_text(tmp_path: Path) -> None:
    maker = _maker(tmp_path)
    found = fit_prompts(_source(_MIX), 3, "cut", maker)
    assert (found.num_too_long, found.num_seen) == (1, 3)
    assert found.prompts[0] is _MIX[0] and found.prompts[1].id == "p1"
    assert _LONG.endswith(found.prompts[1].text) and found.prompts[1].text.endswith("the end")
    assert _ROOM - 4 <= len(maker.tokens(found.prompts[1])) <= _ROOM
    assert fit_line(found, "cut", "test") == (
        "1 of 3 test prompts drawn have more than 59 tokens and are cut to their end "
        "(workload.too_long=cut)"
    )


def test_cut_leaves_the_marks_of_a_template_and_short_messages(tmp_path: Path) -> None:
    maker = _maker(tmp_path, _TEMPLATE)
    messages = (Message("system", "Be"), Message("user", _LONG))
    prompt = Prompt("a", "user", _LONG, messages)
    found = fit_prompts(_source([prompt]), 1, "cut", maker).prompts[0]
    shown = maker.renderer.render(found)
    assert shown.startswith("<system>Be<user>") and shown.endswith("the end<assistant>")
    assert len(maker.tokens(found)) <= _ROOM


def test_letters_of_many_tokens_are_cut_whole(tmp_path: Path) -> None:
    maker = _maker(tmp_path)
    found = fit_prompts(_source(_prompts("😀é" * 80)), 1, "cut", maker).prompts[0]
    assert set(found.text) == set("😀é") and len(maker.tokens(found)) <= _ROOM


def test_a_template_that_leaves_no_room_is_named(tmp_path: Path) -> None:
    maker = _maker(tmp_path, "x " * 200 + _TEMPLATE)
    prompt = Prompt("a", "user", "word", (Message("user", "word"),))
    with pytest.raises(WorkloadError, match="prompt 'a' is too long without a word of its own"):
        fit_prompts(_source([prompt]), 1, "cut", maker)


def test_rules_have_names() -> None:
    assert check_too_long("cut") == "cut"
    with pytest.raises(WorkloadError, match="too_long is 'clip'; valid: error, skip, cut"):
        check_too_long("clip")
