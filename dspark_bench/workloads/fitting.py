"""Prompts that are too long: `workload.too_long=error|skip|cut`, and their count.

That is: that the target has no room for, or that have more than `workload.max_prompt_tokens`.

Called while a point's prompts are chosen. `skip` walks on in the workload's own order, so that the
prompts that fit are those that would have been drawn; `cut` keeps the end.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from tokenizers import Tokenizer

from dspark_bench.core.errors import WorkloadError
from dspark_bench.workloads.prompt import Prompt, TooLong
from dspark_bench.workloads.requests import RequestMaker, check_room, too_many

SPARE_FOR_DRAFTS: Final = 33
"""Positions that `skip` and `cut` leave for drafts, so that every gamma to 32 has equal prompts."""
MOST_COUNTED: Final = 4096
"""Prompts that a refusal tokenises to say how many are too long."""
_MOST_CUTS: Final = 50


@dataclass(frozen=True, slots=True)
class Source:
    """Prompts in the order in which they are drawn.

    draw: the first n; available: how many there are; name: in messages.
    """

    draw: Callable[[int], list[Prompt]]
    available: int
    name: str


@dataclass(frozen=True, slots=True)
class Fitting:
    """Prompts that fit, and how many of those looked at did not.

    room: tokens that a prompt may have.
    """

    prompts: tuple[Prompt, ...]
    num_too_long: int
    num_seen: int
    room: int


def fit_prompts(
    source: Source,
    num_wanted: int,
    rule: TooLong,
    maker: RequestMaker,
    is_all_needed: bool = True,
) -> Fitting:
    """`num_wanted` prompts that the target has room for. is_all_needed: `skip` may find fewer.

    Raises WorkloadError if there are too few, or if one is too long and the rule is `error`.
    """
    check_room(maker.limits)
    if rule == "error":
        return _refusing(source, num_wanted, maker)
    room = maker.limits.max_positions - maker.limits.max_new_tokens
    room -= max(maker.limits.num_spare, SPARE_FOR_DRAFTS)
    room = maker.limits.allowed(room) if room >= 1 else maker.limits.room
    if rule == "cut":
        drawn = source.draw(num_wanted)
        cut = [
            prompt if _fits(prompt, room, maker) else _cut(prompt, room, maker) for prompt in drawn
        ]
        num_cut = sum(a is not b for a, b in zip(drawn, cut, strict=True))
        return Fitting(tuple(cut), num_cut, len(drawn), room)
    return _skipping(source, num_wanted, room, maker, is_all_needed)


def fit_line(fitting: Fitting, rule: TooLong, what: str) -> str | None:
    """What became of prompts that were too long, for people; None if there were none."""
    if not fitting.num_too_long:
        return None
    done = "left out" if rule == "skip" else "cut to their end"
    return (
        f"{fitting.num_too_long} of {fitting.num_seen} {what} prompts drawn have more than "
        f"{fitting.room} tokens and are {done} (workload.too_long={rule})"
    )


def _refusing(source: Source, num_wanted: int, maker: RequestMaker) -> Fitting:
    drawn = source.draw(num_wanted)
    room = maker.limits.room
    lengths = [len(maker.tokens(prompt)) for prompt in drawn]
    long = [length for length in lengths if length > room]
    if not long:
        return Fitting(tuple(drawn), 0, len(drawn), room)
    first = next(p for p, n in zip(drawn, lengths, strict=True) if n > room)
    num_counted = min(source.available, max(MOST_COUNTED, num_wanted))
    every = source.draw(num_counted)
    num_long = sum(not _fits(prompt, room, maker) for prompt in every)
    share = f"{num_long} of " + ("the first " if num_counted < source.available else "")
    raise WorkloadError(
        f"prompt {first.id!r} has {too_many(long[0], maker.limits)}; "
        f"{share}{num_counted} prompts of {source.name} are too long: workload.too_long=skip "
        "leaves them out, cut keeps their end"
    )


def _skipping(
    source: Source, num_wanted: int, room: int, maker: RequestMaker, is_all_needed: bool
) -> Fitting:
    known: dict[str, bool] = {}
    num_drawn = num_wanted
    while True:
        drawn = source.draw(num_drawn)
        for prompt in drawn:
            if prompt.id not in known:
                known[prompt.id] = _fits(prompt, room, maker)
        fitting = [prompt for prompt in drawn if known[prompt.id]]
        missing = num_wanted - len(fitting)
        is_end = num_drawn >= source.available
        if missing <= 0 or (is_end and not is_all_needed):
            num_too_long = len(drawn) - len(fitting)
            return Fitting(tuple(fitting[:num_wanted]), num_too_long, len(drawn), room)
        if is_end:
            raise WorkloadError(
                f"{num_wanted} prompts wanted from {source.name}; valid: 1 to {len(fitting)} "
                f"({len(drawn) - len(fitting)} of {len(drawn)} have more than {room} tokens and "
                "are left out: workload.too_long=skip)"
            )
        num_drawn = min(num_drawn + missing, source.available)


def _fits(prompt: Prompt, room: int, maker: RequestMaker) -> bool:
    return len(maker.tokens(prompt)) <= room


def _cut(prompt: Prompt, room: int, maker: RequestMaker) -> Prompt:
    """The prompt with the beginning of its longest text gone, as often as needed.

    A question mostly stands at the end, and so does what a text goes on from. The template's own
    marks and the system's words stay while another text is longer.
    """
    shorter, excess = prompt, 0
    for _ in range(_MOST_CUTS):
        over = len(maker.tokens(shorter)) - room
        if over <= 0:
            return shorter
        excess += over  # tokens merge anew where a text is cut, so it may take another time
        shorter = _shortened(prompt, excess, maker.tokenizer)
    raise WorkloadError(
        f"prompt {prompt.id!r} cannot be cut to {room} tokens (workload.too_long=cut); valid: "
        "fewer max_new_tokens"
    )


def _shortened(prompt: Prompt, excess: int, tokenizer: Tokenizer) -> Prompt:
    """`excess` tokens less of the texts, from the beginning of the longest at a time."""
    texts = [m.content for m in prompt.messages] or [prompt.text]
    offsets = [tokenizer.encode(text, add_special_tokens=False).offsets for text in texts]
    gone = [0] * len(texts)
    while excess > 0:
        left = [len(found) - num for found, num in zip(offsets, gone, strict=True)]
        place = max(range(len(texts)), key=left.__getitem__)
        if left[place] <= 1:
            raise WorkloadError(
                f"prompt {prompt.id!r} is too long without a word of its own "
                "(workload.too_long=cut); valid: fewer max_new_tokens"
            )
        others = max((n for i, n in enumerate(left) if i != place), default=1)
        taken = max(1, min(excess, left[place] - max(others, 1)))
        gone[place] += taken
        excess -= taken
    kept = [
        text[found[num][0] :] if num else text
        for text, found, num in zip(texts, offsets, gone, strict=True)
    ]
    if not prompt.messages:
        return replace(prompt, text=kept[0])
    messages = tuple(
        replace(message, content=text) for message, text in zip(prompt.messages, kept, strict=True)
    )
    return replace(prompt, text="\n\n".join(kept), messages=messages)
