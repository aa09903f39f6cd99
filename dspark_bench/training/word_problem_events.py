"""The story about one quantity that `word_problems` tells, and the events that change it.

Each teller mutates the story it is handed: it appends one clause to the question, one or two
worked steps with an explicit equation, and sets the quantity. `word_problem_openings` and
`word_problem_endings` hold the rest of a story.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

MAX_VALUE = 120

_NAMES = (
    "Anna Ben Carla David Elena Farid Grace Hugo Ines Jack Kofi Lena Maya Noah Olga Peter Quinn "
    "Rosa Sam Tara Umar Vera Walter Xenia Yusuf Zoe Mia Leo Nina Omar"
).split()
_ITEMS = (
    "apples books coins stickers marbles pencils cards shells stamps cookies eggs tickets flowers "
    "bricks bottles candles buttons pears cups photos"
).split()
_CONTAINERS = "boxes bags baskets jars crates trays drawers packs".split()
_WORKERS = "A machine|A baker|A printer|A small workshop|A farmer|A team|A robot".split("|")


@dataclass
class Story:
    """A story in the making. `value` is the quantity after the steps so far."""

    name: str
    other: str
    item: str
    container: str
    worker: str
    value: int = 0
    clauses: list[str] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)

    def tell(self, rng: Random, clauses: tuple[str, ...], **numbers: int) -> None:
        """Append one of `clauses`, filled in."""
        self.clauses.append(self._fill(rng.choice(clauses), numbers))

    def work(self, rng: Random, steps: tuple[str, ...], **numbers: int) -> None:
        """Append one of the worked `steps`, filled in."""
        self.steps.append(self._fill(rng.choice(steps), numbers))

    def _fill(self, template: str, numbers: dict[str, int]) -> str:
        return template.format(
            name=self.name,
            other=self.other,
            item=self.item,
            container=self.container,
            worker=self.worker,
            **numbers,
        )


Teller = Callable[[Random, Story], None]


@dataclass(frozen=True)
class Event:
    """A teller and the quantities it can be told about."""

    tell: Teller
    is_possible: Callable[[int], bool]


def new_story(rng: Random) -> Story:
    """A story with its people and things chosen and nothing told."""
    name, other = rng.sample(_NAMES, 2)
    return Story(name, other, rng.choice(_ITEMS), rng.choice(_CONTAINERS), rng.choice(_WORKERS))


def _gain(rng: Random, story: Story) -> None:
    before, more = story.value, rng.randint(2, 20)
    story.value = before + more
    numbers = {"b": before, "n": more, "v": story.value}
    story.tell(
        rng,
        (
            "Then {other} brings {n} more {item}.",
            "After lunch {n} more {item} arrive.",
            "A friend adds another {n} {item}.",
            "Later {name} buys {n} extra {item}.",
        ),
        **numbers,
    )
    story.work(
        rng,
        (
            "With {n} more there are {b} + {n} = {v} {item}.",
            "Adding {n} gives {b} + {n} = {v}.",
            "After that it is {b} + {n} = {v} {item}.",
            "The {n} new {item} raise this to {b} + {n} = {v}.",
        ),
        **numbers,
    )


def _lose(rng: Random, story: Story) -> None:
    before = story.value
    gone = rng.randint(1, min(20, before - 2))
    story.value = before - gone
    numbers = {"b": before, "n": gone, "v": story.value}
    story.tell(
        rng,
        (
            "Then {n} {item} are sold.",
            "{name} gives {n} {item} to {other}.",
            "On the way home {n} of the {item} get lost.",
            "{other} takes away {n} {item}.",
        ),
        **numbers,
    )
    story.work(
        rng,
        (
            "Without those {n} there are {b} - {n} = {v} {item}.",
            "Taking away {n} leaves {b} - {n} = {v}.",
            "That leaves {b} - {n} = {v} {item}.",
            "We subtract {n}: {b} - {n} = {v}.",
        ),
        **numbers,
    )


def _multiply(rng: Random, story: Story) -> None:
    before = story.value
    factor = rng.randint(2, min(4, MAX_VALUE // before))
    story.value = before * factor
    numbers = {"b": before, "n": factor, "v": story.value}
    story.tell(
        rng,
        (
            "By the next week the number of {item} is {n} times as large.",
            "A trade then multiplies the {item} by {n}.",
            "{name} soon has {n} times as many {item}.",
        ),
        **numbers,
    )
    story.work(
        rng,
        (
            "{n} times as many is {b} * {n} = {v} {item}.",
            "Multiplying by {n} gives {b} * {n} = {v}.",
            "The number grows to {b} * {n} = {v} {item}.",
        ),
        **numbers,
    )


_DIVISORS = tuple(range(2, 10))
_PERCENTAGES = (10, 20, 25, 50, 75)


def _share(rng: Random, story: Story) -> None:
    before = story.value
    people = rng.choice([d for d in _DIVISORS if before % d == 0])
    story.value = before // people
    numbers = {"b": before, "n": people, "v": story.value}
    story.tell(
        rng,
        (
            "All {item} are divided equally among {n} people, and {name} keeps one share.",
            "{name} splits the {item} into {n} equal piles and keeps only one pile.",
            "The {item} go evenly into {n} {container}, and {name} takes one of them.",
        ),
        **numbers,
    )
    story.work(
        rng,
        (
            "One share of {n} is {b} / {n} = {v} {item}.",
            "Dividing by {n} gives {b} / {n} = {v}.",
            "Each of the {n} parts has {b} / {n} = {v} {item}.",
        ),
        **numbers,
    )


def _percent(rng: Random, story: Story) -> None:
    before = story.value
    percent = rng.choice([p for p in _PERCENTAGES if before * p % 100 == 0])
    part = before * percent // 100
    story.value = before - part
    numbers = {"b": before, "p": percent, "x": part, "v": story.value}
    story.tell(
        rng,
        (
            "Next {name} gives away {p}% of the {item}.",
            "It turns out that {p}% of the {item} are damaged and are thrown out.",
            "{other} borrows {p}% of the {item}.",
        ),
        **numbers,
    )
    story.work(
        rng,
        (
            "{p}% of {b} is {b} * {p} / 100 = {x}.",
            "The part that goes is {b} * {p} / 100 = {x} {item}.",
        ),
        **numbers,
    )
    story.work(
        rng,
        ("So {b} - {x} = {v} {item} remain.", "What is left is {b} - {x} = {v}."),
        **numbers,
    )


EVENTS: tuple[Event, ...] = (
    Event(_gain, lambda value: value <= MAX_VALUE - 20),
    Event(_lose, lambda value: value >= 4),
    Event(_multiply, lambda value: 2 <= value <= MAX_VALUE // 2),
    Event(_share, lambda value: value > 9 and any(value % d == 0 for d in _DIVISORS)),
    Event(_percent, lambda value: value >= 8 and any(value * p % 100 == 0 for p in _PERCENTAGES)),
    Event(_gain, lambda value: value < 10),
)
