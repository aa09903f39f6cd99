"""Results and baselines that are damaged, for every command that reads them."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tests.bad_input.case import Case, Prepare, overridden
from tests.bad_input.edits import (
    DEEP,
    both,
    edit_bytes,
    edit_json,
    folder,
    in_point,
    keys,
    point_json,
    remove,
    set_at,
    with_point,
    without,
    write,
)

DONE: Final = "results/done"
GATE: Final = "results/gate"
READERS: Final = ("plot", "report", "recommend")
CHECK: Final = ("check", GATE, "--baseline", "baseline.json")
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
_BASELINE: dict[str, tuple[Prepare, str]] = {
    "missing": (remove("baseline.json"), "baseline.json"),
    "empty": (write("baseline.json", ""), "cannot read baseline"),
    "cut off": (edit_bytes("baseline.json", lambda c: c[: len(c) // 2]), "cannot read baseline"),
    "not UTF-8": (write("baseline.json", b"\xff\xfe"), "cannot read baseline"),
    "nested without end": (write("baseline.json", DEEP), "cannot read baseline"),
    "a list": (write("baseline.json", "[]"), "is no baseline"),
    "something else": (write("baseline.json", '{"format": "x"}'), "is no baseline"),
    "a later version": (keys("baseline.json", version=99), "has version 99"),
    "no points": (keys("baseline.json", points=[]), "holds no point"),
    "points of text": (keys("baseline.json", points="x"), "is damaged"),
    "points of null": (keys("baseline.json", points=None), "is damaged"),
    "points missing": (without("baseline.json", "points"), "is damaged"),
}
_BASELINE_POINT: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no identity": lambda p: p.pop("identity") and None,
    "an identity of other keys": lambda p: p.update(identity={"a": 1}),
    "gamma of text": lambda p: p.update(gamma="four"),
    "gamma of zero": lambda p: p.update(gamma=0),
    "gamma infinite": lambda p: p.update(gamma=float("inf")),
    "gamma of billions": lambda p: p.update(gamma=10**12),
    "prompts of null": lambda p: p.update(prompts=None),
    "fewer hashes than prompts": lambda p: p.update(prompt_hashes=["a"]),
    "a prompt twice": lambda p: p.update(prompts=[p["prompts"][0]] * len(p["prompts"])),
    "no repeats": lambda p: p.update(repeats=[]),
    "negative counts": lambda p: p["repeats"][0].update(cycles=[-1] * len(p["prompts"])),
    "counts of NaN": lambda p: p["repeats"][0].update(cycles=[float("nan")] * len(p["prompts"])),
    "counts of text": lambda p: p["repeats"][0].update(verified="x"),
    "counts of another shape": lambda p: p["repeats"][0].update(accepted=[[1]]),
    "more accepted than verified": lambda p: p["repeats"][0].update(
        accepted=[[10**6] * p["gamma"]] * len(p["prompts"])
    ),
    "speed of text": lambda p: p.update(speed="fast"),
    "speed without a table": lambda p: p.update(speed={"labels": ["a"], "is_by_prompt": True}),
    "keys of a list": lambda p: p.update(keys=[1]),
}


def cases() -> list[Case]:
    """The catalogue's part."""
    return [*_readers(), *_checks(), *_resumed(), *_random()]


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


def _checks() -> list[Case]:
    found = [
        Case("baseline", name, CHECK, says, prepare) for name, (prepare, says) in _BASELINE.items()
    ]
    found += [
        Case(
            "baseline",
            name,
            CHECK,
            "is damaged",
            edit_json("baseline.json", _each_point(change)),
        )
        for name, change in _BASELINE_POINT.items()
    ]
    found += [
        Case("check", name, arguments, says, prepare)
        for name, arguments, says, prepare in (
            ("without a baseline", ("check", GATE), "--baseline", None),
            ("without results", ("check", "--baseline", "baseline.json"), "results folder", None),
            (
                "results nowhere",
                ("check", "nowhere", "--baseline", "baseline.json"),
                "nowhere",
                None,
            ),
            (
                "results of a file",
                ("check", "prompts.jsonl", "--baseline", "baseline.json"),
                "is not a folder",
                None,
            ),
            (
                "a baseline of another kind",
                ("check", GATE, "--baseline", "costs.json"),
                "is no baseline",
                None,
            ),
            (
                "a baseline folder without sweeps",
                ("check", GATE, "--baseline", "target"),
                "no sweep in target",
                None,
            ),
            ("a margin of zero", (*CHECK, "--margin", "0"), "--margin is 0.0", None),
            ("a margin above one", (*CHECK, "--margin", "2"), "--margin is 2.0", None),
            ("a margin of text", (*CHECK, "--margin", "small"), "--margin", None),
            ("a margin that is no number", (*CHECK, "--margin", "nan"), "--margin is nan", None),
            (
                "a negative speed margin",
                (*CHECK, "--speed-margin=-1"),
                "--speed-margin is -1",
                None,
            ),
            ("an unknown choice", (*CHECK, "--on-inconclusive", "maybe"), "'maybe'", None),
            ("junit into a folder", (*CHECK, "--junit", "target"), "cannot write target", None),
            (
                "markdown below a file",
                (*CHECK, "--markdown", "prompts.jsonl/a.md"),
                "cannot write prompts.jsonl/a.md",
                None,
            ),
            (
                "--update into a folder",
                ("check", GATE, "--baseline", "target", "--update"),
                "is a folder",
                None,
            ),
            (
                "--plan of a broken baseline",
                (*CHECK, "--plan"),
                "cannot read baseline",
                write("baseline.json", "{"),
            ),
            ("a folder of other prompts", CHECK, "prompt", _other_prompts),
            ("no cycles", CHECK, "cycles.parquet", with_point(GATE, _drop("cycles.parquet"))),
            (
                "cycles of text",
                CHECK,
                "cycles.parquet",
                in_point(GATE, "cycles.parquet", lambda c: b"hello"),
            ),
            (
                "cycles empty",
                CHECK,
                "cycles.parquet",
                in_point(GATE, "cycles.parquet", lambda c: b""),
            ),
            (
                "cycles cut off",
                CHECK,
                "cycles.parquet",
                in_point(GATE, "cycles.parquet", lambda c: c[: len(c) // 2]),
            ),
            (
                "cycles of the requests' table",
                CHECK,
                "no column",
                with_point(
                    GATE,
                    lambda p: (
                        (p / "cycles.parquet").write_bytes((p / "requests.parquet").read_bytes())
                        and None
                    ),
                ),
            ),
            (
                "metrics cut off",
                CHECK,
                "metrics.json",
                in_point(GATE, "metrics.json", lambda c: c[:20]),
            ),
            (
                "metrics nested without end",
                CHECK,
                "metrics.json",
                in_point(GATE, "metrics.json", lambda c: DEEP.encode()),
            ),
            (
                "metrics missing",
                CHECK,
                "has no metrics.json",
                with_point(GATE, _drop("metrics.json")),
            ),
            (
                "metrics without keys",
                CHECK,
                "is damaged",
                point_json(GATE, lambda m: m["point"].pop("keys") and None),
            ),
            (
                "a fact of another kind",
                CHECK,
                "is damaged",
                point_json(GATE, lambda m: m.update(facts=7)),
            ),
            (
                "gamma of text",
                CHECK,
                "is damaged",
                point_json(GATE, lambda m: m["point"]["keys"].update(gamma="x")),
            ),
            (
                "gamma infinite",
                CHECK,
                "is damaged",
                point_json(GATE, lambda m: m["point"]["keys"].update(gamma=float("inf"))),
            ),
            (
                "gamma of zero",
                CHECK,
                "is damaged",
                point_json(GATE, lambda m: m["point"]["keys"].update(gamma=0)),
            ),
            (
                "gamma of billions",
                CHECK,
                "is damaged",
                point_json(GATE, lambda m: m["point"]["keys"].update(gamma=10**12)),
            ),
            (
                "counts of text",
                CHECK,
                "is damaged",
                point_json(GATE, lambda m: m.update(counts="x")),
            ),
            (
                "counts of wrong values",
                CHECK,
                "is damaged",
                point_json(GATE, lambda m: m.update(counts={"cycles": "a", "trial_cycles": []})),
            ),
            (
                "points of text",
                CHECK,
                "sweep.json",
                write(f"{GATE}/sweep.json", '{"points": "all"}'),
            ),
            (
                "points of numbers",
                CHECK,
                "sweep.json",
                write(f"{GATE}/sweep.json", '{"points": [1]}'),
            ),
            (
                "a point that leaves the folder",
                CHECK,
                "sweep.json",
                write(f"{GATE}/sweep.json", '{"points": [{"point_id": "../../done"}]}'),
            ),
            (
                "no point",
                CHECK,
                "gate",
                both(remove(f"{GATE}/points"), write(f"{GATE}/sweep.json", "{}")),
            ),
        )
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
            ("missing", with_point(DONE, _drop("environment.json"))),
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


def _each_point(change: Callable[[dict[str, Any]], Any]) -> Callable[[Any], Any]:
    def apply(content: Any) -> None:
        for point in content["points"]:
            change(point)

    return apply


def _drop(name: str) -> Callable[[Path], None]:
    return lambda point: (point / name).unlink()


def _other_prompts(box: Path) -> None:
    def rename(content: Any) -> None:
        content["prompts"] = [f"other{n}" for n in range(len(content["prompts"]))]

    edit_json("baseline.json", _each_point(rename))(box)
