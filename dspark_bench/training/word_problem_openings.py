"""How a story of `word_problems` begins: with the quantity given, or with one to compute."""

from __future__ import annotations

from random import Random

from dspark_bench.training.word_problem_events import Story, Teller


def _open_plain(rng: Random, story: Story) -> None:
    story.value = rng.randint(4, 40)
    story.tell(
        rng,
        (
            "{name} has {v} {item}.",
            "{name} starts the day with {v} {item}.",
            "There are {v} {item} on {name}'s table.",
            "At first {name} owns {v} {item}.",
        ),
        v=story.value,
    )


def _open_groups(rng: Random, story: Story) -> None:
    groups, each = rng.randint(2, 9), rng.randint(2, 12)
    story.value = groups * each
    numbers = {"g": groups, "e": each, "v": story.value}
    story.tell(
        rng,
        (
            "{name} has {g} {container} with {e} {item} in each.",
            "{name} fills {g} {container} and puts {e} {item} into every one.",
            "There are {g} {container}, and each holds {e} {item} for {name}.",
        ),
        **numbers,
    )
    story.work(
        rng,
        (
            "The {g} {container} hold {g} * {e} = {v} {item}.",
            "{g} {container} of {e} {item} make {g} * {e} = {v}.",
            "First we multiply: {g} * {e} = {v} {item}.",
            "In total that is {g} * {e} = {v} {item} to begin with.",
        ),
        **numbers,
    )


def _open_rate(rng: Random, story: Story) -> None:
    rate, hours = rng.randint(2, 12), rng.randint(2, 9)
    story.value = rate * hours
    numbers = {"r": rate, "h": hours, "v": story.value}
    story.tell(
        rng,
        (
            "{worker} prepares {r} {item} per hour and works for {h} hours. {name} gets them all.",
            "{name} collects {r} {item} every hour for {h} hours.",
            "Every day {name} finds {r} {item}, and this goes on for {h} days.",
        ),
        **numbers,
    )
    story.work(
        rng,
        (
            "At a rate of {r}, a time of {h} gives {r} * {h} = {v} {item}.",
            "{r} each time, {h} times over, is {r} * {h} = {v}.",
            "We begin with rate times time: {r} * {h} = {v} {item}.",
        ),
        **numbers,
    )


def _open_pair(rng: Random, story: Story) -> None:
    own, extra = rng.randint(3, 25), rng.randint(2, 15)
    others = own + extra
    story.value = own + others
    numbers = {"a": own, "x": extra, "b": others, "v": story.value}
    story.tell(
        rng,
        (
            "{name} has {a} {item} and {other} has {x} more than {name}. They put them together.",
            "{other} owns {x} more {item} than {name}, who owns {a}. They pool everything.",
        ),
        **numbers,
    )
    story.work(
        rng,
        (
            "{other} has {a} + {x} = {b} {item}.",
            "Since {other} has {x} more, that is {a} + {x} = {b}.",
        ),
        **numbers,
    )
    story.work(
        rng,
        ("Together they have {a} + {b} = {v} {item}.", "Both amounts add up to {a} + {b} = {v}."),
        **numbers,
    )


OPENINGS: tuple[Teller, ...] = (_open_plain, _open_plain, _open_groups, _open_rate, _open_pair)
