"""Tokenizers that do not match, their settings, and chat templates."""

import json

from tests.bad_input.case import Case, Prepare, overridden
from tests.bad_input.edits import DEEP, both, edit_json, folder, remove, without, write

_TOKENIZERS: dict[str, tuple[Prepare, str]] = {
    "missing": (remove("target/tokenizer.json"), "tokenizer.json"),
    "a folder": (folder("target/tokenizer.json"), "tokenizer.json"),
    "empty": (write("target/tokenizer.json", ""), "tokenizer.json"),
    "garbled": (write("target/tokenizer.json", b"\xff\xfe{"), "tokenizer.json"),
    "nested without end": (write("target/tokenizer.json", DEEP), "tokenizer.json"),
    "another version's": (write("target/tokenizer.json", '{"version": "9.0"}'), "tokenizer.json"),
    "without a model": (without("target/tokenizer.json", "model"), "tokenizer.json"),
    "larger than the vocabulary": (
        edit_json(
            "target/tokenizer.json",
            lambda c: c["model"]["vocab"].update(
                {name: 1000 + n for n, name in enumerate(c["model"]["vocab"])}
            ),
        ),
        "its tokenizer.json does not fit",
    ),
    "its settings garbled": (write("target/tokenizer_config.json", "{"), "tokenizer_config.json"),
    "its settings nested without end": (
        write("target/tokenizer_config.json", DEEP),
        "tokenizer_config.json",
    ),
    "its settings not UTF-8": (
        write("target/tokenizer_config.json", b"\xff"),
        "tokenizer_config.json",
    ),
    "its settings a list": (write("target/tokenizer_config.json", "[]"), "tokenizer_config.json"),
    "an end token without text": (
        write("target/tokenizer_config.json", json.dumps({"eos_token": {"id": 3}})),
        "eos_token",
    ),
    "a template that does not compile": (
        write("target/tokenizer_config.json", json.dumps({"chat_template": "{% for %}"})),
        "chat template",
    ),
    "a template of a number": (
        write("target/tokenizer_config.json", json.dumps({"chat_template": 7})),
        "chat_template",
    ),
    "a template that is not UTF-8": (
        write("target/chat_template.jinja", b"\xff\xfe"),
        "chat_template.jinja",
    ),
    "a template that is a folder": (folder("target/chat_template.jinja"), "chat_template.jinja"),
    "a template that reaches for Python": (
        both(
            write("target/chat_template.jinja", "{{ ''.__class__.__mro__[1].__subclasses__() }}"),
            write("prompts.jsonl", '{"turns": ["a"]}\n' * 1 + '{"turns": ["b"]}\n{"turns": ["c"]}'),
        ),
        "chat template",
    ),
    "a template that never ends": (
        both(
            write(
                "target/chat_template.jinja",
                "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
            ),
            write("prompts.jsonl", '{"turns": ["a"]}\n{"turns": ["b"]}\n{"turns": ["c"]}'),
        ),
        "chat template",
    ),
    "a template that divides by zero": (
        both(
            write("target/chat_template.jinja", "{{ 1 / 0 }}"),
            write("prompts.jsonl", '{"turns": ["a"]}\n{"turns": ["b"]}\n{"turns": ["c"]}'),
        ),
        "chat template",
    ),
    "a template that asks for what is not there": (
        both(
            write("target/chat_template.jinja", "{{ messages[9].content.upper() }}"),
            write("prompts.jsonl", '{"turns": ["a"]}\n{"turns": ["b"]}\n{"turns": ["c"]}'),
        ),
        "chat template",
    ),
}


def cases() -> list[Case]:
    """The catalogue's part."""
    return [
        Case("tokenizer", name, overridden("sweep"), says, prepare)
        for name, (prepare, says) in _TOKENIZERS.items()
    ]
