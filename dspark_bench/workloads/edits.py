"""`edit`: answers that repeat their prompt, as when code is changed or a text is worked over.

Functions and passages of this project, made into prompts by `evidence.edit_prompts` and shipped.
"""

from typing import Final

from dspark_bench.workloads.prompt import (
    AUTO_TEMPLATE,
    ChatFormat,
    Prompt,
    Split,
    check_max_tokens,
    check_system,
    check_too_long,
    require,
    with_system,
)
from dspark_bench.workloads.shipped_chats import chosen, read_split

KINDS: Final = ("rename", "docstring", "passage")
_FILE: Final = "edit.jsonl"


class EditWorkload:
    """Equal thirds of three kinds, 9 of each to be measured and 3 set aside.

    Every three prompts in a row hold one of each kind. A target with a chat template is asked in
    words; any other is given the text and the beginning of its repetition, to go on with.
    """

    notes: tuple[str, ...] = ()

    def __init__(
        self,
        chat_template: str = AUTO_TEMPLATE,
        thinking: bool = False,
        too_long: str = "error",
        system_prompt: str | None = None,
        max_prompt_tokens: int | None = None,
    ) -> None:
        self.chat_format = ChatFormat(
            chat_template,
            thinking,
            check_too_long(too_long),
            check_max_tokens(max_prompt_tokens),
        )
        self._system = check_system(system_prompt)

    def prompts(self, split: Split, num_prompts: int, seed: int) -> list[Prompt]:
        """See `Workload.prompts`."""
        require(num_prompts, self.num_available(split), "workload edit", split)
        rounds = -(-num_prompts // len(KINDS))
        by_kind = [chosen(_FILE, kind, split, rounds, seed) for kind in KINDS]
        mixed = [prompt for row in zip(*by_kind, strict=True) for prompt in row]
        return [with_system(prompt, self._system) for prompt in mixed[:num_prompts]]

    def num_available(self, split: Split) -> int:
        """See `Workload.num_available`."""
        return len(read_split(_FILE, split))
