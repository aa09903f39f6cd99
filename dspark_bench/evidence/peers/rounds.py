"""Rounds of turns at one batch size: every arm serves all prompts once a round."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from dspark_bench.evidence.peers.process import Answer
from dspark_bench.measure.williams import orders
from dspark_bench.metrics.intervals import Interval
from dspark_bench.metrics.log_ratio import log_ratio_interval
from dspark_bench.metrics.units import FloatArray


class Serves(Protocol):
    """A worker, or what stands for one in tests."""

    def serve(self, prompts: Sequence[Sequence[int]], limit_s: float) -> Answer:
        """One turn."""
        ...


@dataclass(frozen=True, slots=True)
class Block:
    """What one batch size gave: answers of each arm [rounds], and facts about its engine.

    missing: arms that could not be measured, with the reason; others_cores: kept busy by other
    processes, the mean over all turns, None if the machine does not say.
    """

    batch: int
    answers: Mapping[str, tuple[Answer, ...]]
    facts: Mapping[str, Mapping[str, str]]
    missing: Mapping[str, str]
    others_cores: float | None = None


def turns(num_arms: int, least_rounds: int) -> tuple[tuple[int, ...], ...]:
    """Orders of the arms, round by round: `least_rounds` or a few more.

    A whole number of squares, so that every arm stands equally often in each place; after an even
    number of squares (any number, for even arms) also equally often behind each other arm.
    """
    rows = orders(num_arms)
    num_rounds = -(-least_rounds // num_arms) * num_arms
    return tuple(rows[number % len(rows)] for number in range(num_rounds))


def take_turns(
    workers: Mapping[str, Serves],
    prompts: Sequence[Sequence[int]],
    least_rounds: int,
    limit_s: float,
    tell: Callable[[int, int], None],
) -> dict[str, tuple[Answer, ...]]:
    """Answers of each arm, after a warm-up round that is not kept.

    tell: called after each round with its number, from 0 for the warm-up, and how many there are.
    """
    names = tuple(workers)
    kept: dict[str, list[Answer]] = {name: [] for name in names}
    plan = turns(len(names), least_rounds)
    for number, order in enumerate((plan[0], *plan)):
        for place in order:
            answer = workers[names[place]].serve(prompts, limit_s)
            if number > 0:
                kept[names[place]].append(answer)
        tell(number, len(plan))
    return {name: tuple(found) for name, found in kept.items()}


def speed(answers: Sequence[Answer]) -> float:
    """Tokens per second, pooled over the turns."""
    return sum(one.num_tokens for one in answers) / sum(one.seconds for one in answers)


def cores_used(answers: Sequence[Answer]) -> float:
    """Processor time over time, pooled over the turns."""
    return sum(one.cpu_s for one in answers) / sum(one.seconds for one in answers)


def ratio(ours: Sequence[Answer], theirs: Sequence[Answer]) -> Interval:
    """Speed over speed with its 95 % interval; units are the rounds, paired."""
    table: FloatArray = np.array(
        [
            (a.num_tokens, a.seconds, b.num_tokens, b.seconds)
            for a, b in zip(ours, theirs, strict=True)
        ],
        dtype=np.float64,
    )
    return log_ratio_interval(table)


def num_equal(answers: Sequence[Answer], reference: Sequence[Answer]) -> int:
    """Prompts whose output was the same tokens in every round of both."""
    outputs = [one.tokens for one in (*reference, *answers)]
    return sum(len(set(of_prompt)) == 1 for of_prompt in zip(*outputs, strict=True))
