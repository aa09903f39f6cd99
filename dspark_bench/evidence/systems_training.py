"""What the drafters of `bench_systems` took to train, from the manifests beside their weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dspark_bench.evidence.systems_arms import System
from dspark_bench.models.config_values import read_json

FLOPS_PER_PARAMETER_AND_TOKEN: Final = 6
FORMULA: Final = (
    f"Training FLOPs = {FLOPS_PER_PARAMETER_AND_TOKEN} x own parameters x training tokens: "
    "a multiplication and an addition forward, twice as many backward (Kaplan et al. 2020, section "
    "2.1). Every token of a window counts once, however often a drafter goes over its drafts; the "
    "frozen target's pass and head are left out, which all trained side by side share. Embedding "
    "and head are the target's and count for none of them."
)


@dataclass(frozen=True, slots=True)
class Training:
    """parameters: a drafter's own; tokens: of its training windows. None: no manifest says it."""

    parameters: int | None
    tokens: int | None

    @property
    def flops(self) -> int | None:
        """By `FORMULA`."""
        if self.parameters is None or self.tokens is None:
            return None
        return FLOPS_PER_PARAMETER_AND_TOKEN * self.parameters * self.tokens


def training_of(checkpoint: Path | None) -> Training:
    """Nothing for a drafter without weights."""
    if checkpoint is None:
        return Training(0, 0)
    path = checkpoint / "manifest.json"
    manifest = read_json(path) if path.is_file() else {}
    return Training(_count(manifest.get("parameters")), _count(manifest.get("tokens_seen")))


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def training_lines(systems: Sequence[System]) -> list[str]:
    """A Markdown table, and the formula behind its last column."""
    lines = ["| drafter | own parameters | training tokens | training FLOPs |", "|---|---|---|---|"]
    for system in systems:
        found = training_of(system.checkpoint)
        cells = (_number(found.parameters), _number(found.tokens), _power(found.flops))
        lines.append(f"| {system.name} | {' | '.join(cells)} |")
    return [*lines, "", FORMULA]


def _number(value: int | None) -> str:
    return "not recorded" if value is None else f"{value:,}"


def _power(value: int | None) -> str:
    return "not recorded" if value is None else f"{value:.2e}" if value else "0"
