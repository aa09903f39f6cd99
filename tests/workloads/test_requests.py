"""Prompts to requests: chat templates, limits, identity."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from dspark_bench.core.errors import WorkloadError
from dspark_bench.core.types import Request
from dspark_bench.workloads.chat import ChatRenderer, chat_renderer
from dspark_bench.workloads.prompt import ChatFormat, Message, Prompt
from dspark_bench.workloads.requests import RequestLimits, RequestMaker, requests_hash
from tests.tiny_models import tiny_tokenizer

_LIMITS = RequestLimits(max_new_tokens=8, num_spare=5, max_positions=64, vocab_size=320)
_TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}{{ eos_token }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% if not enable_thinking %}!{% endif %}{% endif %}"
)
_PLAIN = Prompt("a", "user", "one word")
_CHAT = Prompt("b", "user", "Hello", (Message("user", "Hello"),))


def build_requests(
    prompts: list[Prompt],
    renderer: ChatRenderer,
    tokenizer: Tokenizer,
    limits: RequestLimits,
    first_id: int = 0,
) -> list[Request]:
    return RequestMaker(renderer, tokenizer, limits).requests(prompts, first_id)


def _target(folder: Path, template: str | None) -> Path:
    config = {"eos_token": {"content": "<|end|>"}, "chat_template": template}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


def test_auto_uses_the_targets_template_for_messages_only(tmp_path: Path) -> None:
    renderer = chat_renderer(ChatFormat("auto"), _target(tmp_path, _TEMPLATE))
    assert renderer.render(_CHAT) == "<user>Hello<|end|>\n<assistant>!"
    assert renderer.render(_PLAIN) == "one word"


def test_thinking_reaches_the_template(tmp_path: Path) -> None:
    renderer = chat_renderer(ChatFormat("auto", has_thinking=True), _target(tmp_path, _TEMPLATE))
    assert renderer.render(_CHAT).endswith("<assistant>")


def test_none_and_a_target_without_template_send_plain_text(tmp_path: Path) -> None:
    assert chat_renderer(ChatFormat("none"), _target(tmp_path, _TEMPLATE)).render(_CHAT) == "Hello"
    assert chat_renderer(ChatFormat("auto"), _target(tmp_path, None)).render(_CHAT) == "Hello"


def test_a_template_file_wins_and_a_bad_one_is_named(tmp_path: Path) -> None:
    file = tmp_path / "mine.jinja"
    file.write_text("[{{ messages[0].content }}]")
    assert chat_renderer(ChatFormat(str(file)), tmp_path).render(_CHAT) == "[Hello]"
    with pytest.raises(WorkloadError, match="valid: auto, none or a Jinja file"):
        chat_renderer(ChatFormat("absent.jinja"), tmp_path)
    file.write_text("{% if %}")
    with pytest.raises(WorkloadError, match="does not compile"):
        chat_renderer(ChatFormat(str(file)), tmp_path)
    file.write_text("{{ raise_exception('no') }}")
    with pytest.raises(WorkloadError, match="refuses prompt 'b': no"):
        chat_renderer(ChatFormat(str(file)), tmp_path).render(_CHAT)


def test_requests_carry_ids_tokens_and_length(tmp_path: Path) -> None:
    renderer = chat_renderer(ChatFormat("none"), tmp_path)
    requests = build_requests([_PLAIN, _CHAT], renderer, tiny_tokenizer(), _LIMITS, first_id=4)
    assert [request.request_id for request in requests] == [4, 5]
    assert requests[0].prompt_tokens == tuple(tiny_tokenizer().encode("one word").ids)
    assert requests[0].max_new_tokens == 8


def test_a_prompt_that_does_not_fit_is_named_and_never_clipped(tmp_path: Path) -> None:
    renderer = chat_renderer(ChatFormat("none"), tmp_path)
    long = Prompt("long", "user", "xyzw " * 40)
    with pytest.raises(WorkloadError, match=r"prompt 'long' has \d+ tokens; valid: up to 51"):
        build_requests([long], renderer, tiny_tokenizer(), _LIMITS)


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    renderer = chat_renderer(ChatFormat("none"), tmp_path)
    with pytest.raises(WorkloadError, match="does not fit its weights"):
        build_requests([_PLAIN], renderer, tiny_tokenizer(), replace(_LIMITS, vocab_size=5))


def test_hash_depends_on_tokens_and_not_on_the_length_asked_for(tmp_path: Path) -> None:
    renderer = chat_renderer(ChatFormat("none"), tmp_path)
    first = build_requests([_PLAIN], renderer, tiny_tokenizer(), _LIMITS)
    longer = build_requests(
        [_PLAIN], renderer, tiny_tokenizer(), replace(_LIMITS, max_new_tokens=9)
    )
    other = build_requests([_CHAT], renderer, tiny_tokenizer(), _LIMITS)
    assert requests_hash(first) == requests_hash(longer) != requests_hash(other)


_TOOLS = (
    "{% for t in tools %}[{{ t.name }}]{% endfor %}{% for m in messages %}<{{ m.role }}>"
    "{{ m.content }}{% for c in m.tool_calls %}{{ c.function.arguments.x }}{% endfor %}"
    "{{ m.tool_call_id }}{% endfor %}"
)


def test_calls_of_tools_reach_the_template_and_are_refused_without(tmp_path: Path) -> None:
    call = '{"tool_calls": [{"function": {"name": "f", "arguments": "{\\"x\\": 7}"}}]}'
    answer = Message("tool", "3", '{"tool_call_id": "c1"}')
    messages = (Message("user", "Hi"), Message("assistant", "", call), answer)
    prompt = Prompt("t", "user", "Hi", messages, '[{"name": "f"}]')
    renderer = chat_renderer(ChatFormat("auto"), _target(tmp_path, _TOOLS))
    assert renderer.render(prompt) == "[f]<user>Hi<assistant>7<tool>3c1"
    plain = chat_renderer(ChatFormat("none"), tmp_path)
    with pytest.raises(WorkloadError, match="prompt 't' has calls of tools"):
        plain.render(prompt)
    with pytest.raises(WorkloadError, match="only a chat template"):
        plain.render(replace(prompt, messages=messages[:1]))


def test_a_token_behind_the_end_of_the_vocabulary_is_refused() -> None:
    tokenizer, plain = tiny_tokenizer(), ChatRenderer(None, False, {})
    largest = max(tokenizer.encode(_PLAIN.text).ids)
    fitting = replace(_LIMITS, vocab_size=largest + 1)
    assert build_requests([_PLAIN], plain, tokenizer, fitting)
    with pytest.raises(WorkloadError, match=f"has token {largest}; .* ends at {largest - 1}"):
        build_requests([_PLAIN], plain, tokenizer, replace(fitting, vocab_size=largest))
