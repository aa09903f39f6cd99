"""Results that are damaged, for every command that reads them; damage at random bytes."""

import random
from collections.abc import Callable
from typing import Any, Final

from tests.bad_input.case import Case, overridden
from tests.bad_input.edits import (
    DEEP,
    both,
    drop,
    edit_bytes,
    folder,
    in_point,
    point_json,
    remove,
    set_at,
    with_point,
    write,
)
from tests.bad_input.gate import CHECK, GATE

DONE: Final = "results/done"
READERS: Final = ("plot", "report", "recommend")
RESUME: Final = overridden("sweep", "acceptance=replay", "name=done")
NUM_SEEDS: Final = 2

_POINT_FILES: Final = (
    *("metrics.json", "environment.json", "cycles.parquet", "requests.parquet"),
    *("reliability.csv", "config.yaml"),
)

_SWEEP_JSON: dict[str, str | bytes] = {
    "empty": "",
    "no JSON": "{",
    "a list": "[]",
    "not UTF-8": b"\xff\xfe{",
    "nested without end": DEEP,
    "points of text": '{"points": "all"}',
    "points of numbers": '{"points": [1, 2]}',
    "points without ids": '{"points": [{}]}',
    "a point whose id leaves the folder": '{"points": [{"point_id": "../../x"}]}',
    "keys of wrong types": '{"swept_keys": 7, "overrides": 3, "commands": {"a": 1}}',
}
_SUMMARY: dict[str, str | bytes] = {
    "empty": "",
    "not UTF-8": b"point_id,drafter,gamma,speedup,status\n\xff\xfe,a,1,1,finished\n",
    "null bytes": b"\x00" * 300,
    "no known column": "a,b\n1,2\n",
    "a header and no rows": "point_id,drafter,gamma,speedup,status\n",
    "rows longer than the header": "point_id,drafter,gamma,speedup,status\na,b,4,1,finished,9,9\n",
    "a row cut off": "point_id,drafter,gamma,speedup,status\nabc",
    "a quote that is never closed": 'point_id,drafter,gamma,speedup,status\n"abc,b,4,1,finished\n',
    "numbers of text": "point_id,drafter,gamma,speedup,status\nabc,b,four,fast,finished\n",
    "an id that leaves the folder": (
        "point_id,drafter,gamma,speedup,status\n../../../target,b,4,1,finished\n"
    ),
    "an id of an absolute path": "point_id,drafter,gamma,speedup,status\n/etc,b,4,1,finished\n",
    "one column twice": "point_id,drafter,gamma,speedup,status,gamma\na,b,4,1,finished,2\n",
}
_METRICS: dict[str, Callable[[Any], Any]] = {
    "null": lambda m: [],
    "without a point": lambda m: m.pop("point") and None,
    "keys of text": lambda m: set_at(m, "point", "keys", value="x"),
    "facts of a list": lambda m: set_at(m, "facts", value=[1]),
    "a version of text": lambda m: set_at(m, "schema_version", value="new"),
    "counts of text": lambda m: set_at(m, "counts", value="many"),
    "positions of text": lambda m: set_at(m, "positions", value="x"),
    "intervals of numbers": lambda m: set_at(m, "intervals", value=7),
    "a position of text": lambda m: set_at(
        m, "positions", value={"agreement": ["a"], "conditional_acceptance": [{}]}
    ),
    "summary of a list": lambda m: set_at(m, "summary", value=[1, 2]),
    "gamma of text": lambda m: set_at(m, "point", "keys", "gamma", value="four"),
    "gamma beyond all bounds": lambda m: set_at(m, "point", "keys", "gamma", value=1e308),
    "notes of numbers": lambda m: set_at(m, "notes", value=7),
}


def cases() -> list[Case]:
    """The catalogue's part."""
    return [*_readers(), *_resumed(), *_random()]


def _readers() -> list[Case]:
    found = []
    for verb in READERS:
        arguments = (verb, DONE)
        found += [
            Case(
                "results",
                f"{verb}: sweep.json {name}",
                arguments,
                "sweep.json",
                prepare,
                2,
                "either",
            )
            for name, text in _SWEEP_JSON.items()
            for prepare in (write(f"{DONE}/sweep.json", text),)
        ]
        found += [
            Case("results", f"{verb}: summary.csv {name}", arguments, "", prepare, 2, "either")
            for name, text in _SUMMARY.items()
            for prepare in (write(f"{DONE}/summary.csv", text),)
        ]
        found += [
            Case(
                "results",
                f"{verb}: metrics.json {name}",
                arguments,
                "",
                point_json(DONE, change),
                2,
                "either",
            )
            for name, change in _METRICS.items()
        ]
        found += [
            Case(
                "results",
                f"{verb}: metrics.json cut off",
                arguments,
                "metrics.json",
                in_point(DONE, "metrics.json", lambda c: c[:40]),
                2,
                "either",
            ),
            Case(
                "results",
                f"{verb}: metrics.json nested without end",
                arguments,
                "metrics.json",
                in_point(DONE, "metrics.json", lambda c: DEEP.encode()),
                2,
                "either",
            ),
            Case(
                "results",
                f"{verb}: no summary.csv",
                arguments,
                "summary.csv",
                remove(f"{DONE}/summary.csv"),
            ),
            Case("results", f"{verb}: no sweep", (verb, "target"), "no sweep in target"),
            Case("results", f"{verb}: no folder", (verb, "nowhere"), "nowhere is not a folder"),
        ]
    found += [
        Case(
            "results", "report: a file for a folder", ("report", "prompts.jsonl"), "is not a folder"
        ),
        Case(
            "results",
            "recommend: a file for a folder",
            ("recommend", "prompts.jsonl"),
            "is not a folder",
        ),
        Case(
            "results", "plot: a file of something else", ("plot", "prompts.jsonl"), "prompts.jsonl"
        ),
        Case("results", "plot: an unknown kind", ("plot", DONE, "--kind", "pie"), "'pie'"),
        Case("results", "plot: an unknown format", ("plot", DONE, "--format", "gif"), "'gif'"),
        Case("results", "plot: no format", ("plot", DONE, "--format", ""), "format ''"),
        Case("results", "plot: an unknown style", ("plot", DONE, "--style", "neon"), "'neon'"),
        Case(
            "results",
            "plot: into a file",
            ("plot", DONE, "--out", "prompts.jsonl"),
            "cannot write figures",
        ),
        Case(
            "results",
            "report: into a file",
            ("report", DONE, "--out", "prompts.jsonl"),
            "prompts.jsonl",
        ),
    ]
    return found


def _resumed() -> list[Case]:
    """A sweep that finds its own folder damaged measures the point again and says so."""
    found = [
        Case("resume", f"metrics.json {name}", RESUME, "damaged", prepare, 0, "named")
        for name, prepare in (
            ("cut off", in_point(DONE, "metrics.json", lambda c: c[:100])),
            ("empty", in_point(DONE, "metrics.json", lambda c: b"")),
            ("nested without end", in_point(DONE, "metrics.json", lambda c: DEEP.encode())),
            ("a list", in_point(DONE, "metrics.json", lambda c: b"[]")),
            ("without a point", point_json(DONE, lambda m: m.pop("point") and None)),
            ("with facts of a list", point_json(DONE, lambda m: m.update(facts=[1]))),
            ("with a summary of text", point_json(DONE, lambda m: m.update(summary="x"))),
            ("with keys of text", point_json(DONE, lambda m: m["point"].update(keys="x"))),
        )
    ]
    found += [
        Case("resume", f"environment.json {name}", RESUME, "damaged", prepare, 0, "named")
        for name, prepare in (
            ("missing", with_point(DONE, drop("environment.json"))),
            ("cut off", in_point(DONE, "environment.json", lambda c: c[:30])),
        )
    ]
    found += [
        Case(
            "resume",
            f"sweep.json {name}",
            RESUME,
            "",
            write(f"{DONE}/sweep.json", text),
            0,
            "either",
        )
        for name, text in _SWEEP_JSON.items()
    ]
    return [
        *found,
        Case(
            "resume",
            "summary.csv of garbage",
            RESUME,
            "",
            write(f"{DONE}/summary.csv", b"\xff\x00"),
            0,
            "either",
        ),
        Case(
            "resume",
            "a folder left aside by nobody",
            RESUME,
            "",
            folder(f"{DONE}/points/.aside-x"),
            0,
            "either",
        ),
        Case(
            "resume",
            "a file among the points",
            RESUME,
            "",
            write(f"{DONE}/points/file", "x"),
            0,
            "either",
        ),
        Case(
            "resume",
            "an empty folder among the points",
            RESUME,
            "",
            folder(f"{DONE}/points/ffffffffffffffff"),
            0,
            "either",
        ),
        Case(
            "resume",
            "a file in the place of the points",
            RESUME,
            "points",
            both(remove(f"{DONE}/points"), write(f"{DONE}/points", "x")),
        ),
        Case(
            "resume",
            "a folder in the place of summary.csv",
            RESUME,
            "summary.csv",
            folder(f"{DONE}/summary.csv"),
        ),
        Case(
            "resume",
            "a kept cost surface that is damaged",
            overridden("sweep", "scheduler=hardware_aware"),
            "",
            None,
            0,
            "either",
        ),
    ]


def _random() -> list[Case]:
    """Bytes damaged at random: a file bears it, or one line says what is wrong."""
    found = []
    for seed in range(NUM_SEEDS):
        for name in _POINT_FILES:
            for verb in (*READERS, "sweep"):
                arguments = RESUME if verb == "sweep" else (verb, DONE)
                found.append(
                    Case(
                        "random damage",
                        f"{verb}: {name} {seed}",
                        arguments,
                        "",
                        in_point(DONE, name, damage(seed)),
                        2,
                        "either",
                    )
                )
        for name in ("metrics.json", "cycles.parquet", "requests.parquet"):
            found.append(
                Case(
                    "random damage",
                    f"check: {name} {seed}",
                    CHECK,
                    "",
                    in_point(GATE, name, damage(seed)),
                    2,
                    "either",
                )
            )
        for name in ("summary.csv", "sweep.json"):
            for verb in (*READERS, "sweep"):
                arguments = RESUME if verb == "sweep" else (verb, DONE)
                found.append(
                    Case(
                        "random damage",
                        f"{verb}: {name} {seed}",
                        arguments,
                        "",
                        edit_bytes(f"{DONE}/{name}", damage(seed)),
                        2,
                        "either",
                    )
                )
        found.append(
            Case(
                "random damage",
                f"check: baseline.json {seed}",
                CHECK,
                "",
                edit_bytes("baseline.json", damage(seed)),
                2,
                "either",
            )
        )
    return found


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
