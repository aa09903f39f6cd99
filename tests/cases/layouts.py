"""Prompt files and traces as people have them, in the layouts of public data sets."""

import json
from typing import Any, Final

_ASKED: Final = ("Why is the sky blue?", "Write a haiku about rain.", "def fib(n):", "Zwölf Boxen")


def lines(*entries: object) -> str:
    """JSON lines."""
    return "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries)


def _chat(text: str, key: str = "content", role: str = "role", who: str = "user") -> list[Any]:
    return [{role: who, key: text}, {role: "assistant" if who == "user" else "gpt", key: "So."}]


def _shared(text: str) -> dict[str, Any]:
    return {"id": text, "conversations": _chat(text, "value", "from", "human") * 2}


def _batch(text: str) -> dict[str, Any]:
    body = {"model": "m", "messages": _chat(text)[:1], "max_tokens": 10}
    return {"custom_id": text, "method": "POST", "url": "/v1/chat/completions", "body": body}


_PLAIN: Final = [{"prompt": text} for text in _ASKED]
_PARTS: Final = [
    {"messages": [{"role": "user", "content": [{"type": "text", "text": text}]}]} for text in _ASKED
]
LAYOUTS: Final[dict[str, str | bytes]] = {
    "sharegpt.json": json.dumps([_shared(text) for text in _ASKED], indent=1),
    "sharegpt.jsonl": lines(*(_shared(text) for text in _ASKED)),
    "array.json": json.dumps(_PLAIN),
    "array_pretty.json": json.dumps(_PLAIN, indent=2),
    "ultrachat.jsonl": lines(
        *({"prompt": text, "prompt_id": "x", "messages": _chat(text)} for text in _ASKED)
    ),
    "messages_sft.jsonl": lines(*({"messages": _chat(text)} for text in _ASKED)),
    "messages_parts.jsonl": lines(*_PARTS),
    "gsm8k_raw.jsonl": lines(*({"question": text, "answer": "x #### 3"} for text in _ASKED)),
    "alpaca.jsonl": lines(*({"instruction": t, "input": "", "output": "x"} for t in _ASKED)),
    "openai_batch.jsonl": lines(*(_batch(text) for text in _ASKED)),
    "packed.jsonl.gz": lines(*_PLAIN),
    "utf16.jsonl": lines(*_PLAIN).encode("utf-16"),
    "plain.txt": "\n".join(_ASKED),
    "prompts.csv": "prompt\n" + "".join(f'"{text}"\n' for text in _ASKED),
}
_CALL: Final = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
TOOL_CALLS: Final = lines(
    *(
        {
            "messages": [
                {"role": "user", "content": text},
                {"role": "assistant", "content": None, "tool_calls": [_CALL]},
                {"role": "tool", "content": "3", "tool_call_id": "1"},
                {"role": "user", "content": "go on"},
            ]
        }
        for text in _ASKED
    )
)
SECONDS: Final = lines(
    *(
        {"chat_id": 1, "timestamp": time, "input_length": 521, "output_length": 132, "turn": 1}
        for time in (61.114, 62.114, 64.114)
    )
)
"""A trace in the keys of one public set, that counts milliseconds, and in the unit of another."""


def burst(*seconds: int) -> str:
    """A trace as a table of seconds, one request at each."""
    head = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
    return head + "".join(f"{s},ChatGPT,472,18,490,Conversation log\n" for s in seconds)
