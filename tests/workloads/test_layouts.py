"""Which key of an entry holds the prompt, and what is refused rather than guessed."""

from typing import Any

import pytest

from dspark_bench.workloads.layouts import LayoutError, NoOpeningError, Reading, read_entry
from dspark_bench.workloads.prompt import Message

_ASKED = (Message("user", "Why?"),)
_RECORD = [
    {"role": "user", "content": "Why?"},
    {"role": "assistant", "content": "So."},
    {"role": "user", "content": "More"},
    {"role": "assistant", "content": "No."},
]
_SHARED = [{"from": "human", "value": "Why?"}, {"from": "gpt", "value": ""}]


def _chat(
    text: str, *more: Message, later: tuple[str, ...] = (), unread: tuple[str, ...] = ()
) -> Reading:
    messages = (*more, Message("user", text))
    joined = "\n\n".join(message.content for message in messages)
    return Reading(joined, messages, later, unread=unread)


@pytest.mark.parametrize(
    ("entry", "reading"),
    [
        ({"prompt": "def f("}, Reading("def f(")),
        ({"prompt": "x", "test": "y", "n": 0}, Reading("x", unread=("test", "n"))),
        ({"prompt": [{"role": "user", "content": "Why?"}]}, _chat("Why?")),
        ({"system": "Be", "prompt": "Why?"}, _chat("Why?", Message("system", "Be"))),
        ({"turns": ["Why?", "And?", "So?"]}, _chat("Why?", later=("And?", "So?"))),
        ({"messages": _RECORD[:3]}, Reading("Why?\n\nSo.\n\nMore", (
            Message("user", "Why?"), Message("assistant", "So."), Message("user", "More")))),
        ({"messages": _RECORD}, _chat("Why?", later=("More",))),
        ({"messages": _RECORD[:2]}, _chat("Why?")),
        (
            {"messages": [{"role": "user", "content": [
                {"type": "text", "text": "Why"}, {"type": "text", "text": "so?"}]}]},
            _chat("Why\nso?"),
        ),
        (
            {"prompt": "Why?", "prompt_id": "x", "messages": _RECORD[:2]},
            _chat("Why?", unread=("prompt_id",)),
        ),
        ({"conversations": _SHARED}, _chat("Why?")),
        ({"conversations": _SHARED * 2}, _chat("Why?", later=("Why?",))),
        (
            {"conversations": [{"from": "system", "value": "Be"}, *_SHARED]},
            _chat("Why?", Message("system", "Be")),
        ),
        ({"conversation": _RECORD}, _chat("Why?", later=("More",))),
        (
            {"method": "POST", "url": "/v1", "body": {"model": "m", "messages": _RECORD[:1]}},
            _chat("Why?", unread=("body.model",)),
        ),
        ({"body": {"prompt": "def f("}}, Reading("def f(")),
        ({"instruction": "Add", "input": "", "output": "3"}, _chat("Add", unread=("output",))),
        ({"instruction": "Add", "input": "1, 2"}, _chat("Add\n\n1, 2")),
        ({"instruction": "Add", "context": "1, 2"}, _chat("Add\n\n1, 2")),
        ({"question": "Why?", "answer": "#### 3"}, _chat("Why?", unread=("answer",))),
        ({"system_prompt": "Be", "question": "Why?"}, _chat("Why?", Message("system", "Be"))),
        ({"prompt": [{"role": "user", "content": "Why?"}], "system": "Be"},
         _chat("Why?", Message("system", "Be"))),
        ({"prompt": [{"role": "system", "content": "Be"}, {"role": "user", "content": "Why?"}],
          "system_prompt": "Be"}, _chat("Why?", Message("system", "Be"))),
        ({"question": "Why?", "system": "Be", "system_prompt": "Be"},
         _chat("Why?", Message("system", "Be"))),
        ({"problem": "Why?", "options": [], "images": None}, _chat("Why?")),
        ({"prompt": None, "question": "Why?"}, _chat("Why?")),
    ],
)  # fmt: skip
def test_layouts(entry: dict[str, Any], reading: Reading) -> None:
    assert read_entry(entry) == reading


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"text": "x"}, "has the keys text; valid: one of prompt, messages, turns, conv"),
        ({"prompt": "x", "question": "x"}, "has the keys prompt, question; valid: one of"),
        ({"prompt": "other", "messages": _RECORD}, "has the keys prompt, messages"),
        ({"question": "x", "choices": ["a", "b"]}, "'choices' belongs to what is asked"),
        ({"question": "x", "context": "y"}, "'context' belongs to what is asked"),
        ({"prompt": "x", "suffix": "y"}, "'suffix' belongs to what is asked"),
        ({"instruction": "x", "history": [["a", "b"]]}, "'history' belongs"),
        ({"prompt": "x", "images": ["a.png"]}, "'images' belongs"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "'image_url'"),
        ({"messages": [{"role": "system", "content": "x"}]}, "the last message is from 'system'"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "the last message is from"),
        ({"body": {"input": "x"}}, "body has input; valid: a request with messages"),
        ({"question": "x", "system": "a", "system_prompt": "b"}, "which differ; valid: one of"),
        (
            {
                "prompt": [{"role": "system", "content": "a"}, {"role": "user", "content": "x"}],
                "system": "b",
            },
            "a system prompt beside one among its messages",
        ),
        ({"body": 3}, "body has 3"),
        ({"question": " "}, "' ' is no prompt"),
        ({"instruction": 3}, "3 is no prompt"),
        ({"conversations": [{"from": "human"}]}, "in a conversation; valid: from and value"),
        ({"conversations": "x"}, "conversations is 'x'"),
        (["x"], "a list; valid: a JSON object"),
    ],
)
def test_what_is_not_understood_is_named(entry: object, says: str) -> None:
    with pytest.raises(LayoutError) as caught:
        read_entry(entry)
    assert says in str(caught.value)


def test_a_conversation_must_open_with_a_user() -> None:
    for said in ([], _SHARED[1:], [{"from": "system", "value": "Be"}]):
        with pytest.raises(NoOpeningError):
            read_entry({"conversations": said})


def test_tools_are_kept_for_the_template() -> None:
    call = {"id": "1", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "Go"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "3", "tool_call_id": "1"},
    ]
    reading = read_entry({"messages": messages, "tools": [{"name": "f"}]})
    assert [message.role for message in reading.messages] == ["user", "assistant", "tool"]
    assert '"tool_calls"' in reading.messages[1].more
    assert reading.messages[2].more == '{"tool_call_id": "1"}'
    assert reading.tools == '[{"name": "f"}]'
