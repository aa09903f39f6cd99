"""All malformed inputs. Every case has a name of its own."""

from collections import Counter

from tests.bad_input import (
    baselines,
    checkpoints,
    configurations,
    files,
    gate,
    overrides,
    random_damage,
    records,
    results,
    special_files,
    tokenizers,
    weights,
)
from tests.bad_input.case import Case

_PARTS = (
    *(overrides, configurations, checkpoints, weights, tokenizers, files, special_files),
    *(results, random_damage, gate, baselines, records),
)


def catalogue() -> list[Case]:
    """Every case. Raises ValueError if two have the same id."""
    found = [case for part in _PARTS for case in part.cases()]
    twice = [name for name, count in Counter(case.id for case in found).items() if count > 1]
    if twice:
        raise ValueError(f"two cases are called {twice[0]!r}")
    return found


def representative(cases: list[Case], every: int) -> list[Case]:
    """Each category's first case and every so many after it."""
    seen: Counter[str] = Counter()
    chosen = []
    for case in cases:
        if seen[case.category] % every == 0:
            chosen.append(case)
        seen[case.category] += 1
    return chosen
