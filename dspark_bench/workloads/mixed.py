"""`mixed`: equal thirds of math, code and prose, interleaved by a fixed seed."""

from dspark_bench.workloads.prompt import (
    NO_TEMPLATE,
    ChatFormat,
    Prompt,
    Split,
    check_max_tokens,
    check_too_long,
    choose,
    require,
)
from dspark_bench.workloads.zoo_prompts import DOMAINS, chosen_zoo_prompts, zoo_prompts

_INTERLEAVE_SEED = 0


class MixedWorkload:
    """The three embedded domains; where thirds are not whole, the first domains have one more.

    Every three prompts in a row hold one of each domain, in an order that is drawn once, so that
    any number of prompts is mixed evenly.
    """

    notes: tuple[str, ...] = ()

    def __init__(self, too_long: str = "error", max_prompt_tokens: int | None = None) -> None:
        self.chat_format = ChatFormat(
            NO_TEMPLATE,
            too_long=check_too_long(too_long),
            max_prompt_tokens=check_max_tokens(max_prompt_tokens),
        )

    def prompts(self, split: Split, num_prompts: int, seed: int) -> list[Prompt]:
        """See `Workload.prompts`."""
        require(num_prompts, self.num_available(split), "workload mixed", split)
        rounds = -(-num_prompts // len(DOMAINS))
        by_domain = [chosen_zoo_prompts(domain, split, rounds, seed) for domain in DOMAINS]
        mixed: list[Prompt] = []
        for number, row in enumerate(zip(*by_domain, strict=True)):
            keys = [f"{number}/{domain}" for domain in DOMAINS]
            is_whole = len(mixed) + len(DOMAINS) <= num_prompts
            mixed += choose(row, keys, len(DOMAINS), _INTERLEAVE_SEED) if is_whole else row
        return mixed[:num_prompts]

    def num_available(self, split: Split) -> int:
        """See `Workload.num_available`."""
        return len(DOMAINS) * min(len(zoo_prompts(domain, split)) for domain in DOMAINS)
