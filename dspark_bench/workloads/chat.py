"""Chat messages to text, by the target's own Jinja template or a user's file."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from dspark_bench.core.errors import WorkloadError
from dspark_bench.core.json_text import load_json, parse_json
from dspark_bench.workloads.prompt import AUTO_TEMPLATE, NO_TEMPLATE, ChatFormat, Message, Prompt

MAX_LOOPS: Final = 1_000_000


class ChatRenderer:
    """Turns prompts into the text that the target is given.

    template: the Jinja source, or None to send plain text. Templates come with checkpoints, so
    they run sandboxed.
    """

    def __init__(
        self, template: str | None, has_thinking: bool, special_tokens: dict[str, str]
    ) -> None:
        self._has_thinking = has_thinking
        self._special_tokens = special_tokens
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        environment.globals["raise_exception"] = _raise
        try:
            self._template = None if template is None else environment.from_string(template)
        except TemplateError as error:
            raise WorkloadError(f"the chat template does not compile: {error}") from error

    @property
    def has_template(self) -> bool:
        """Whether messages go through a template."""
        return self._template is not None

    def is_templated(self, prompt: Prompt) -> bool:
        """Whether the template, not the tokenizer, adds the special tokens of `prompt`."""
        return self._template is not None and bool(prompt.messages)

    def render(self, prompt: Prompt) -> str:
        """Text of one prompt.

        Raises WorkloadError if the template refuses it, or if it has calls or functions that only a
        template can write and there is none.
        """
        if self._template is None or not self.is_templated(prompt):
            if prompt.tools or any(message.more for message in prompt.messages):
                raise WorkloadError(
                    f"prompt {prompt.id!r} has calls of tools, or names, that only a chat template "
                    "can write; valid without one: messages of role and content alone"
                )
            return prompt.text
        tools = {"tools": parse_json(prompt.tools)} if prompt.tools else {}
        try:
            return self._template.render(
                messages=[_fields(message) for message in prompt.messages],
                add_generation_prompt=True,
                enable_thinking=self._has_thinking,
                range=_bounded_range(),
                **tools,
                **self._special_tokens,
            )
        except Exception as error:  # a template is foreign code and may raise anything
            raise WorkloadError(
                f"the chat template refuses prompt {prompt.id!r}: {error}"
            ) from error


def chat_renderer(chat: ChatFormat, target_dir: Path) -> ChatRenderer:
    """The renderer that `chat` asks for. Raises WorkloadError if its file cannot be read."""
    config = _tokenizer_config(target_dir)
    tokens = {k: _token_text(k, config[k]) for k in ("bos_token", "eos_token") if config.get(k)}
    return ChatRenderer(_template_source(chat, target_dir, config), chat.has_thinking, tokens)


def _template_source(chat: ChatFormat, target_dir: Path, config: dict[str, Any]) -> str | None:
    if chat.template == NO_TEMPLATE:
        return None
    if chat.template == AUTO_TEMPLATE:
        separate = target_dir / "chat_template.jinja"
        if separate.exists():
            try:
                return separate.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise WorkloadError(f"cannot read {separate}: {error}") from error
        return _own_template(config.get("chat_template"))
    path = Path(chat.template)
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WorkloadError(
            f"workload.chat_template is {chat.template!r}; valid: auto, none or a Jinja file"
        ) from error


def _own_template(found: Any) -> str | None:
    """A template, or the one called default of several."""
    if isinstance(found, list):
        named = [item for item in found if isinstance(item, dict)]
        found = next((i.get("template") for i in named if i.get("name") == "default"), None)
    if found is None or isinstance(found, str):
        return found
    raise WorkloadError(f"tokenizer_config.json: chat_template is {found!r}; valid: text")


def _tokenizer_config(target_dir: Path) -> dict[str, Any]:
    path = target_dir / "tokenizer_config.json"
    if not path.is_file():
        return {}
    try:
        config = load_json(path)
    except (OSError, ValueError) as error:
        raise WorkloadError(f"cannot read {path}: {error}") from error
    if not isinstance(config, dict):
        raise WorkloadError(f"{path} holds a {type(config).__name__}; valid: a JSON object")
    return config


def _token_text(key: str, token: Any) -> str:
    text = token.get("content") if isinstance(token, dict) else token
    if not isinstance(text, str):
        raise WorkloadError(f"tokenizer_config.json: {key} is {token!r}; valid: text")
    return text


def _fields(message: Message) -> dict[str, Any]:
    """A message as templates read it; the arguments of calls as objects, which they expect."""
    more = parse_json(message.more) if message.more else {}
    for call in more.get("tool_calls", ()):
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict) and isinstance(function.get("arguments"), str):
            with suppress(ValueError):
                function["arguments"] = parse_json(function["arguments"])
    return {"role": message.role, "content": message.content, **more}


def _bounded_range() -> Callable[..., range]:
    """`range` for one rendering: nested loops would otherwise keep a hostile template busy."""
    left = MAX_LOOPS

    def bounded(*limits: int) -> range:
        nonlocal left
        numbers = range(*limits)
        left -= len(numbers)
        if left < 0:
            raise TemplateError(f"it loops over more than {MAX_LOOPS} numbers")
        return numbers

    return bounded


def _raise(message: str) -> None:
    raise TemplateError(message)
