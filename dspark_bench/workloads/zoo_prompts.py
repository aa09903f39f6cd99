"""The embedded prompt files, one per domain. Read by the domain and mixed workloads."""

import json
from functools import cache
from pathlib import Path

from dspark_bench.core.errors import WorkloadError
from dspark_bench.workloads.prompt import Prompt, Split, choose, require

DOMAINS = ("math", "code", "prose")
_FOLDER = Path(__file__).resolve().parents[1] / "zoo" / "prompts"


def zoo_prompts(domain: str, split: Split) -> list[Prompt]:
    """Every embedded prompt of a domain and split. Raises WorkloadError for an unknown domain."""
    if domain not in DOMAINS:
        raise WorkloadError(f"workload.domain is {domain!r}; valid: {', '.join(DOMAINS)}")
    return list(_read(_FOLDER / f"{domain}.jsonl", domain, split))


@cache
def _read(path: Path, domain: str, split: Split) -> tuple[Prompt, ...]:
    """Prompts of a file of this package, which does not change while a process lives."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise WorkloadError(f"cannot read {path}: {error.strerror or error}") from error
    entries = [json.loads(line) for line in lines if line.strip()]
    return tuple(
        Prompt(id=entry["id"], domain=domain, text=entry["prompt"])
        for entry in entries
        if entry["split"] == split
    )


def chosen_zoo_prompts(domain: str, split: Split, num_prompts: int, seed: int) -> list[Prompt]:
    """`num_prompts` of a domain and split, by seed."""
    prompts = zoo_prompts(domain, split)
    require(num_prompts, len(prompts), f"domain {domain}", split)
    return choose(prompts, [prompt.id for prompt in prompts], num_prompts, seed)
