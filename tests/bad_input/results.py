"""Results that are damaged, for every command that reads them."""

from collections.abc import Callable
from typing import Any, Final

from tests.bad_input.case import Case, Prepare, either, overridden
from tests.bad_input.edits import (
    DEEP,
    both,
    drop,
    folder,
    in_point,
    point_json,
    remove,
    set_at,
    with_point,
    write,
)

DONE: Final = "results/done"
READERS: Final = ("plot", "report", "recommend", "export", "whatif")
RESUME: Final = overridden("sweep", "acceptance=replay", "name=done")

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

_OPTIONS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("report: a file for a folder", ("report", "prompts.jsonl"), "is not a folder"),
    ("recommend: a file for a folder", ("recommend", "prompts.jsonl"), "is not a folder"),
    ("plot: a file of something else", ("plot", "prompts.jsonl"), "prompts.jsonl"),
    ("plot: an unknown kind", ("plot", DONE, "--kind", "pie"), "'pie'"),
    ("plot: an unknown format", ("plot", DONE, "--format", "gif"), "'gif'"),
    ("plot: no format", ("plot", DONE, "--format", ""), "format ''"),
    ("plot: an unknown style", ("plot", DONE, "--style", "neon"), "'neon'"),
    ("plot: into a file", ("plot", DONE, "--out", "prompts.jsonl"), "cannot write figures"),
    ("report: into a file", ("report", DONE, "--out", "prompts.jsonl"), "prompts.jsonl"),
)
_BORNE: dict[str, Prepare] = {
    **{
        f"sweep.json {name}": write(f"{DONE}/sweep.json", text)
        for name, text in _SWEEP_JSON.items()
    },
    "summary.csv of garbage": write(f"{DONE}/summary.csv", b"\xff\x00"),
    "a folder left aside by nobody": folder(f"{DONE}/points/.aside-x"),
    "a file among the points": write(f"{DONE}/points/file", "x"),
    "an empty folder among the points": folder(f"{DONE}/points/ffffffffffffffff"),
}
_UNBEARABLE: tuple[tuple[str, Prepare, str], ...] = (
    (
        "a file in the place of the points",
        both(remove(f"{DONE}/points"), write(f"{DONE}/points", "x")),
        "points",
    ),
    (
        "a folder in the place of summary.csv",
        folder(f"{DONE}/summary.csv"),
        "summary.csv",
    ),
)


def cases() -> list[Case]:
    """The catalogue's part."""
    return [*_readers(), *_resumed()]


def _readers() -> list[Case]:
    found = [case for verb in READERS for case in _read_by(verb)]
    return found + [Case("results", name, arguments, says) for name, arguments, says in _OPTIONS]


def _read_by(verb: str) -> list[Case]:
    few = ("--kind", "s_curve") if verb == "plot" else ()  # thirteen figures say no more
    arguments, found = (verb, DONE, *few), list[Case]()

    def add(name: str, prepare: Prepare, says: str = "") -> None:
        found.append(either("results", f"{verb}: {name}", arguments, prepare, says))

    for name, text in _SWEEP_JSON.items():
        add(f"sweep.json {name}", write(f"{DONE}/sweep.json", text), "sweep.json")
    for name, text in _SUMMARY.items():
        add(f"summary.csv {name}", write(f"{DONE}/summary.csv", text))
    for name, change in _METRICS.items():
        add(f"metrics.json {name}", point_json(DONE, change))
    for name, content in (("cut off", lambda c: c[:40]), ("too deep", lambda c: DEEP.encode())):
        add(f"metrics.json {name}", in_point(DONE, "metrics.json", content), "metrics.json")
    add("no summary.csv", remove(f"{DONE}/summary.csv"))
    add("no sweep.json", remove(f"{DONE}/sweep.json"), "sweep.json")
    return [
        *found,
        Case("results", f"{verb}: no sweep", (verb, "target"), "no sweep in target"),
        Case("results", f"{verb}: no folder", (verb, "nowhere"), "nowhere is not a folder"),
    ]


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
        Case("resume", name, RESUME, "", prepare, 0, "either") for name, prepare in _BORNE.items()
    ]
    return found + [
        Case("resume", name, RESUME, says, prepare) for name, prepare, says in _UNBEARABLE
    ]
