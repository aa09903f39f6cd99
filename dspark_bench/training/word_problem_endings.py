"""How a story of `word_problems` ends: with one more computation, or by asking for the quantity."""

from __future__ import annotations

from random import Random

from dspark_bench.training.word_problem_events import MAX_VALUE, Event, Story

_GROUP_SIZES = tuple(range(2, 10))


def _ask_total(rng: Random, story: Story) -> None:
    story.tell(
        rng,
        (
            "How many {item} does {name} have now?",
            "How many {item} are there in the end?",
            "What is the final number of {item}?",
            "Find the number of {item} that {name} ends up with.",
        ),
    )


def _remainder(rng: Random, story: Story) -> None:
    before = story.value
    size = rng.choice(_GROUP_SIZES)
    full, left = divmod(before, size)
    packed = full * size
    story.value = left
    numbers = {"b": before, "n": size, "q": full, "m": packed, "v": left}
    story.tell(
        rng,
        (
            "{name} packs them into {container} of {n}. How many {item} are left over?",
            "If every one of the {container} takes exactly {n} {item}, how many remain unpacked?",
            "They are tied into bundles of {n}. How many {item} do not fit into a full bundle?",
        ),
        **numbers,
    )
    story.work(
        rng,
        (
            "There are {q} full groups, which use {q} * {n} = {m} {item}.",
            "The largest multiple of {n} up to {b} is {q} * {n} = {m}.",
            "{q} groups of {n} take {q} * {n} = {m}.",
        ),
        **numbers,
    )
    story.work(
        rng,
        (
            "The remainder is {b} - {m} = {v}.",
            "Left over are {b} - {m} = {v} {item}.",
            "So {b} - {m} = {v} {item} stay behind.",
        ),
        **numbers,
    )


def _sell(rng: Random, story: Story) -> None:
    before, price = story.value, rng.randint(2, 9)
    story.value = before * price
    numbers = {"b": before, "n": price, "v": story.value}
    story.tell(
        rng,
        (
            "Each of them is then sold for {n} dollars. How many dollars does {name} get?",
            "At a price of {n} dollars each, how much are all the {item} worth?",
            "{other} pays {n} dollars for each one. How much money does {other} pay?",
        ),
        **numbers,
    )
    story.work(
        rng,
        (
            "The price of all of them is {b} * {n} = {v} dollars.",
            "{b} {item} at {n} dollars each bring {b} * {n} = {v}.",
            "Multiplying by the price gives {b} * {n} = {v} dollars.",
        ),
        **numbers,
    )


def _groups(rng: Random, story: Story) -> None:
    before = story.value
    size = rng.choice([n for n in _GROUP_SIZES if before % n == 0])
    story.value = before // size
    numbers = {"b": before, "n": size, "v": story.value}
    story.tell(
        rng,
        (
            "They are packed {n} at a time. How many {container} are needed?",
            "{name} puts {n} {item} into each of the {container}. How many {container} get filled?",
            "If {n} {item} are used per day, for how many days do they last?",
        ),
        **numbers,
    )
    story.work(
        rng,
        (
            "We divide: {b} / {n} = {v}.",
            "Groups of {n} mean {b} / {n} = {v}.",
            "That takes {b} / {n} = {v} in all.",
        ),
        **numbers,
    )


def _goal(rng: Random, story: Story) -> None:
    before, missing = story.value, rng.randint(2, 20)
    goal = before + missing
    story.value = missing
    numbers = {"b": before, "g": goal, "v": missing}
    story.tell(
        rng,
        (
            "{name} needs {g} {item} altogether. How many are still missing?",
            "The goal is {g} {item}. How many more does {name} need?",
        ),
        **numbers,
    )
    story.work(
        rng,
        (
            "To reach {g} it takes {g} - {b} = {v} more.",
            "The gap to the goal is {g} - {b} = {v}.",
            "Still missing are {g} - {b} = {v} {item}.",
        ),
        **numbers,
    )


ASK_TOTAL = Event(_ask_total, lambda value: True)

ENDINGS: tuple[Event, ...] = (
    Event(_remainder, lambda value: value > 9),
    Event(_sell, lambda value: 2 <= value <= MAX_VALUE // 2),
    Event(_groups, lambda value: value > 9 and any(value % n == 0 for n in _GROUP_SIZES)),
    Event(_goal, lambda value: value >= 2),
)
