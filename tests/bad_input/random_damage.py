"""Results whose bytes are damaged at random: a file bears it, or one line says what is wrong."""

import random
from collections.abc import Callable, Iterator
from typing import Final

from tests.bad_input.case import Case, either
from tests.bad_input.edits import edit_bytes, in_point
from tests.bad_input.gate import CHECK, GATE
from tests.bad_input.results import DONE, READERS, RESUME

NUM_SEEDS: Final = 2
_POINT_FILES: Final = (
    *("metrics.json", "environment.json", "cycles.parquet", "requests.parquet"),
    *("reliability.csv", "config.yaml"),
)
_COMMANDS: Final = {verb: (verb, DONE) for verb in READERS} | {"sweep": RESUME}


def cases() -> list[Case]:
    """The catalogue's part."""
    return [case for seed in range(NUM_SEEDS) for case in _damaged(seed)]


def _damaged(seed: int) -> Iterator[Case]:
    category, change = "random damage", damage(seed)
    for verb, arguments in _COMMANDS.items():
        for name in _POINT_FILES:
            yield either(
                category, f"{verb}: {name} {seed}", arguments, in_point(DONE, name, change)
            )
        for name in ("summary.csv", "sweep.json"):
            prepare = edit_bytes(f"{DONE}/{name}", change)
            yield either(category, f"{verb}: {name} {seed}", arguments, prepare)
    for name in ("metrics.json", "cycles.parquet", "requests.parquet"):
        yield either(category, f"check: {name} {seed}", CHECK, in_point(GATE, name, change))
    prepare = edit_bytes("baseline.json", change)
    yield either(category, f"check: baseline.json {seed}", CHECK, prepare)


def damage(seed: int) -> Callable[[bytes], bytes]:
    """Change a few bytes, or for odd seeds cut the file somewhere and put noise there."""

    def change(content: bytes) -> bytes:
        rng = random.Random(f"{seed}/{len(content)}")
        spoiled = bytearray(content)
        if seed % 2:
            place = rng.randrange(len(spoiled))
            return bytes(spoiled[:place]) + rng.randbytes(20)
        for _ in range(8):
            spoiled[rng.randrange(len(spoiled))] = rng.randrange(256)
        return bytes(spoiled)

    return change
