"""Seeded generator of step-by-step word problems: the corpus's `math` domain.

A problem is a short story about one quantity. An opening fixes the quantity, events change it and
an ending asks for it. Every event owns several phrasings of its question clause and of its worked
step, so the equations are what a model can predict best and the wording is not fixed.
Called by `corpus` (documents) and by `target_trainer` (the accuracy on held-out problems).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from dspark_bench.training import word_problem_endings as endings
from dspark_bench.training import word_problem_events as events
from dspark_bench.training import word_problem_openings as openings

MAX_EVENTS = 3
MAX_STEPS = 5
ASK_SHARE = 0.5
_FINAL_ANSWER = re.compile(r"The answer is (-?\d+)\.")


@dataclass(frozen=True)
class WordProblem:
    """One problem: its question, the worked steps in order, and the integer result."""

    question: str
    steps: tuple[str, ...]
    answer: int

    @property
    def prompt(self) -> str:
        """Everything up to and including `Answer:`."""
        return f"Question: {self.question}\nAnswer:"

    @property
    def document(self) -> str:
        """The prompt, the worked steps and the final line."""
        return f"{self.prompt} {' '.join(self.steps)}\nThe answer is {self.answer}."


def _choose(rng: Random, choices: tuple[events.Event, ...], story: events.Story) -> events.Event:
    return rng.choice([event for event in choices if event.is_possible(story.value)])


def generate_problem(rng: Random) -> WordProblem:
    """Draw one problem of 1..5 steps; equal states of `rng` give equal problems."""
    story = events.new_story(rng)
    rng.choice(openings.OPENINGS)(rng, story)
    for _ in range(rng.choices(range(MAX_EVENTS + 1), weights=(2, 4, 3, 2))[0]):
        if len(story.steps) <= MAX_STEPS - 3:
            _choose(rng, events.EVENTS, story).tell(rng, story)
    is_asked = len(story.steps) > MAX_STEPS - 2 or (bool(story.steps) and rng.random() < ASK_SHARE)
    ending = endings.ASK_TOTAL if is_asked else _choose(rng, endings.ENDINGS, story)
    ending.tell(rng, story)
    return WordProblem(" ".join(story.clauses), tuple(story.steps), story.value)


def generate_problems(seed: int, count: int) -> Iterator[WordProblem]:
    """Yield `count` problems with pairwise different questions, fixed by `seed`."""
    rng = Random(seed)
    seen: set[str] = set()
    while len(seen) < count:
        problem = generate_problem(rng)
        if problem.question not in seen:
            seen.add(problem.question)
            yield problem


def stated_answer(text: str) -> int | None:
    """The integer of the first `The answer is N.` in `text`, or None when there is none."""
    found = _FINAL_ANSWER.search(text)
    return int(found.group(1)) if found else None
