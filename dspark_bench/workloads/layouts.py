"""Layouts of prompt files: which key holds the prompt, and how it is read. One function each.

A new layout is one function and one line of `LAYOUTS`. An entry must fit one of them: of two keys
that may hold a prompt, or of a key that belongs to the question and that no layout reads, nobody
can know what was meant, so they are refused by name. Other keys are left unread and reported.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from dspark_bench.workloads.prompt import Message

Fields = Mapping[str, Any]

_SYSTEM: Final = ("system", "system_prompt")
_LABELS: Final = ("id", "custom_id", "domain", "category", "task")
_MEANT: Final = (
    *("choices", "options", "context", "passage", "input", "history", "suffix", "input_ids"),
    *("images", "image", "audio", "video", "videos", "tools", "functions"),
)
"""Keys that are part of what is asked wherever they hold something."""
_SPEAKERS: Final = {
    **dict.fromkeys(("human", "user"), "user"),
    **dict.fromkeys(("gpt", "assistant", "chatgpt", "bing", "bard", "model"), "assistant"),
    "system": "system",
}
_LONGEST_DOMAIN: Final = 60


class LayoutError(ValueError):
    """An entry that cannot be read as a prompt; says what is wrong and what is valid."""


class NoOpeningError(LayoutError):
    """A recorded conversation that does not begin with a user's words; says why."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one entry asks: plain `text`, or `messages` (then text is their contents, joined).

    later: what the user says in later turns, which answer words that nobody has said here; tools:
    JSON for the template, or empty; unread: keys that were not looked at.
    """

    text: str
    messages: tuple[Message, ...] = ()
    later: tuple[str, ...] = ()
    tools: str = ""
    unread: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Layout:
    """read: gives a Reading or raises LayoutError; also: further keys that it reads; is_chat:
    whether a text beside it may repeat its first words of a user.
    """

    read: Callable[[Fields, str], Reading]
    also: tuple[str, ...] = ()
    is_chat: bool = False


def read_entry(value: object) -> Reading:
    """The prompt of one entry of a file. Raises LayoutError."""
    if not isinstance(value, dict):
        raise LayoutError(f"a {type(value).__name__}; valid: a JSON object")
    fields = {key: item for key, item in value.items() if item is not None}
    kinds = [kind for kind in LAYOUTS if kind in fields] or [k for k in LAYOUTS if k in value]
    if not kinds:
        found = ", ".join(value) or "nothing"
        raise LayoutError(f"has the keys {found}; valid: one of {', '.join(LAYOUTS)}")
    kind = _chosen(kinds, fields)
    layout = LAYOUTS[kind]
    reading = layout.read(fields, kind)
    known = {*kinds, *layout.also, *_LABELS}
    ignored = [key for key, item in fields.items() if key not in known and not _is_empty(item)]
    meant = [key for key in ignored if key in (*_MEANT, *_SYSTEM)]
    if meant:
        raise LayoutError(
            f"{meant[0]!r} belongs to what is asked and is not read beside {kind!r}; valid: one "
            "text with everything in it, or messages"
        )
    return replace(reading, unread=(*reading.unread, *ignored))


def domain_of(value: object) -> str | None:
    """`domain`, `category` or `task` of an entry, if one of them is a short text."""
    fields: Fields = value if isinstance(value, dict) else {}
    for key in ("domain", "category", "task"):
        found = fields.get(key)
        if isinstance(found, str | int) and 0 < len(str(found).strip()) <= _LONGEST_DOMAIN:
            return str(found)
    return None


def prompt_text(value: object) -> str:
    """A text that is not blank. Raises LayoutError."""
    if not isinstance(value, str) or not value.strip():
        raise LayoutError(f"{value!r} is no prompt; valid: a string that is not empty")
    return value


def _chosen(kinds: Sequence[str], fields: Fields) -> str:
    """The one kind of an entry; a text that repeats a chat's first words is no second kind."""
    if len(kinds) == 1:
        return kinds[0]
    chats = [kind for kind in kinds if LAYOUTS[kind].is_chat]
    if len(chats) == 1:
        spoken = LAYOUTS[chats[0]].read(fields, chats[0]).messages
        opening = next(
            (message.content.strip() for message in spoken if message.role == "user"), ""
        )
        texts = [fields[kind] for kind in kinds if kind != chats[0]]
        if all(isinstance(text, str) and text.strip() == opening for text in texts):
            return chats[0]
    raise LayoutError(
        f"has the keys {', '.join(kinds)}; valid: one of {', '.join(LAYOUTS)} (or a text that "
        "repeats the first words of messages)"
    )


def _prompt(fields: Fields, key: str) -> Reading:
    """Text to go on from, sent without a template; or messages, as TRL writes them."""
    value = fields.get(key)
    if isinstance(value, list):
        return _with_system(fields, _messages(fields, key))
    text = prompt_text(value)
    return _said(fields, text) if any(fields.get(name) for name in _SYSTEM) else Reading(text)


def _turns(fields: Fields, key: str) -> Reading:
    """MT-Bench, Spec-Bench: what a user says one after the other; the first is sent."""
    turns = _listed(fields, key)
    first, *later = map(prompt_text, turns)
    return replace(_said(fields, first), later=tuple(later))


def _question(fields: Fields, key: str) -> Reading:
    """GSM8K and other sets of questions with answers, which are not sent."""
    return _said(fields, prompt_text(fields.get(key)))


def _instruction(fields: Fields, key: str) -> Reading:
    """Alpaca and Dolly: a task and, after a blank line, what it is about."""
    parts = [prompt_text(fields.get(key))]
    parts += [prompt_text(fields[k]) for k in ("input", "context") if not _is_empty(fields.get(k))]
    return _said(fields, "\n\n".join(parts))


def _messages(fields: Fields, key: str) -> Reading:
    """OpenAI's messages: a request, sent whole; or a record that ends with an answer: its opening.

    A record's later turns follow answers that another model gave.
    """
    messages = tuple(_message(item) for item in _listed(fields, key))
    tools = fields.get("tools")
    written = json.dumps(tools) if tools else ""
    if messages[-1].role in ("user", "tool"):
        return Reading(_joined(messages), messages, tools=written)
    answers = [n for n, message in enumerate(messages) if message.role == "assistant"]
    opening = messages[: answers[0]] if messages[-1].role == "assistant" else ()
    if not opening or opening[-1].role != "user":
        raise LayoutError(
            f"the last message is from {messages[-1].role!r}; valid: user, or an answer to one"
        )
    return Reading(_joined(opening), opening, _users(messages[len(opening) :]), written)


def _conversation(fields: Fields, key: str) -> Reading:
    """ShareGPT (`from`, `value`), LMSYS and WildChat (`role`, `content`): the opening is sent."""
    value = fields.get(key)
    if not isinstance(value, list):
        raise LayoutError(f"{key} is {value!r}; valid: a list with an element")
    messages = tuple(_speech(item) for item in value)
    first = next((n for n, m in enumerate(messages) if m.role != "system"), None)
    if first is None or messages[first].role != "user":
        raise NoOpeningError("it does not begin with a user's words")
    opening = messages[: first + 1]
    return Reading(_joined(opening), opening, _users(messages[first + 1 :]))


def _body(fields: Fields, key: str) -> Reading:
    """A line of an OpenAI batch: the request's body has the messages, or a plain prompt."""
    body = fields.get(key)
    if not isinstance(body, dict) or not {"messages", "prompt"} & set(body):
        found = ", ".join(body) if isinstance(body, dict) else repr(body)
        raise LayoutError(f"{key} has {found}; valid: a request with messages or a prompt")
    reading = read_entry(body)
    return replace(reading, unread=tuple(f"{key}.{name}" for name in reading.unread))


LAYOUTS: Final[dict[str, Layout]] = {
    "prompt": Layout(_prompt, _SYSTEM),
    "messages": Layout(_messages, ("tools",), is_chat=True),
    "turns": Layout(_turns, _SYSTEM),
    "conversations": Layout(_conversation, is_chat=True),
    "conversation": Layout(_conversation, is_chat=True),
    "body": Layout(_body, ("method", "url")),
    "instruction": Layout(_instruction, ("input", "context", *_SYSTEM)),
    "question": Layout(_question, _SYSTEM),
    "problem": Layout(_question, _SYSTEM),
}
"""By the key that holds the prompt."""


def _said(fields: Fields, text: str) -> Reading:
    """One message of a user, after the system's if there is one."""
    messages = (*_system(fields), Message("user", text))
    return Reading(_joined(messages), messages)


def _with_system(fields: Fields, reading: Reading) -> Reading:
    """Messages behind the system's, which stands beside them or among them."""
    system = _system(fields)
    among = [message.content for message in reading.messages[:1] if message.role == "system"]
    if not system or [text.strip() for text in among] == [system[0].content.strip()]:
        return reading
    if any(message.role == "system" for message in reading.messages):
        raise LayoutError("has a system prompt beside one among its messages; valid: one of them")
    messages = (*system, *reading.messages)
    return replace(reading, text=_joined(messages), messages=messages)


def _system(fields: Fields) -> tuple[Message, ...]:
    """The system's message, or none. Raises LayoutError for two that differ."""
    texts = [prompt_text(fields[key]) for key in _SYSTEM if not _is_empty(fields.get(key))]
    said = {text.strip(): text for text in texts}
    if len(said) > 1:
        raise LayoutError(f"has {' and '.join(_SYSTEM)}, which differ; valid: one of them")
    return tuple(Message("system", text) for text in said.values())


def _listed(fields: Fields, key: str) -> list[Any]:
    value = fields.get(key)
    if not isinstance(value, list) or not value:
        raise LayoutError(f"{key} is {value!r}; valid: a list with an element")
    return value


def _message(item: object) -> Message:
    if not isinstance(item, dict) or "role" not in item or "content" not in item:
        raise LayoutError(f"message {item!r}; valid: an object with role and content")
    more = {key: value for key, value in item.items() if key in _MORE and not _is_empty(value)}
    is_call = bool(more.get("tool_calls")) and _is_empty(item["content"])
    content = "" if is_call else _content(item["content"])
    return Message(str(item["role"]), content, json.dumps(more) if more else "")


_MORE: Final = ("name", "tool_calls", "tool_call_id")
"""Keys of a message that its template may write out, beside role and content."""


def _content(value: object) -> str:
    """Text, or OpenAI's list of parts, each of which must be text."""
    if not isinstance(value, list):
        return prompt_text(value)
    for part in value:
        if not isinstance(part, dict) or part.get("type") != "text":
            kind = part.get("type") if isinstance(part, dict) else part
            raise LayoutError(f"a part of a message is {kind!r}; valid: parts of type text")
    return prompt_text("\n".join(prompt_text(part.get("text")) for part in value))


def _speech(item: object) -> Message:
    """One element of a recorded conversation. An answer may be anything: it is not sent."""
    fields: Fields = item if isinstance(item, dict) else {}
    who, what = fields.get("from", fields.get("role")), fields.get("value", fields.get("content"))
    if who is None or not isinstance(what, str):
        raise LayoutError(f"{item!r} in a conversation; valid: from and value, or role and content")
    return Message(_SPEAKERS.get(str(who).lower(), str(who)), what)


def _joined(messages: Sequence[Message]) -> str:
    return "\n\n".join(message.content for message in messages)


def _users(messages: Sequence[Message]) -> tuple[str, ...]:
    return tuple(message.content for message in messages if message.role == "user")


def _is_empty(value: object) -> bool:
    return value is None or value in ("", [], {})
