"""`chat`: questions to an assistant, written for this project and shipped with it."""

from typing import Final

from dspark_bench.workloads.prompt import (
    AUTO_TEMPLATE,
    ChatFormat,
    Prompt,
    Split,
    check_max_tokens,
    check_system,
    check_too_long,
    choose,
    require,
    with_system,
)
from dspark_bench.workloads.shipped_chats import chosen, read_split

DOMAINS: Final = ("explain", "write", "code", "reason")
_FILE: Final = "chat.jsonl"
_INTERLEAVE_SEED: Final = 0


class ChatWorkload:
    """Equal quarters of four kinds of question, 9 of each to be measured and 3 set aside.

    Every four prompts in a row hold one of each kind, in an order that is drawn once. All are
    single questions of a user; the target's own template makes text of them.
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
        require(num_prompts, self.num_available(split), "workload chat", split)
        rounds = -(-num_prompts // len(DOMAINS))
        by_domain = [chosen(_FILE, domain, split, rounds, seed) for domain in DOMAINS]
        mixed: list[Prompt] = []
        for number, row in enumerate(zip(*by_domain, strict=True)):
            keys = [f"{number}/{domain}" for domain in DOMAINS]
            mixed += choose(row, keys, len(DOMAINS), _INTERLEAVE_SEED)
        return [with_system(prompt, self._system) for prompt in mixed[:num_prompts]]

    def num_available(self, split: Split) -> int:
        """See `Workload.num_available`."""
        return len(read_split(_FILE, split))
