"""`math`, `code`, `prose`: the embedded held-out prompts of one domain."""

from dspark_bench.workloads.prompt import (
    NO_TEMPLATE,
    ChatFormat,
    Prompt,
    Split,
    check_max_tokens,
    check_too_long,
)
from dspark_bench.workloads.zoo_prompts import chosen_zoo_prompts, zoo_prompts


class DomainWorkload:
    """Prompts of one domain; the calibration split shares no document with the test split."""

    notes: tuple[str, ...] = ()

    def __init__(
        self, domain: str, too_long: str = "error", max_prompt_tokens: int | None = None
    ) -> None:
        self.chat_format = ChatFormat(
            NO_TEMPLATE,
            too_long=check_too_long(too_long),
            max_prompt_tokens=check_max_tokens(max_prompt_tokens),
        )
        self._domain = domain
        zoo_prompts(domain, "test")

    def prompts(self, split: Split, num_prompts: int, seed: int) -> list[Prompt]:
        """See `Workload.prompts`."""
        return chosen_zoo_prompts(self._domain, split, num_prompts, seed)

    def num_available(self, split: Split) -> int:
        """See `Workload.num_available`."""
        return len(zoo_prompts(self._domain, split))
