"""What `check` reads: baselines and records that are damaged, and options that do not fit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tests.bad_input.case import Case, Prepare
from tests.bad_input.edits import (
    DEEP,
    both,
    drop,
    edit_bytes,
    edit_json,
    in_point,
    keys,
    point_json,
    remove,
    with_point,
    without,
    write,
)

GATE: Final = "results/gate"
CHECK: Final = ("check", GATE, "--baseline", "baseline.json")

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
            ("no cycles", CHECK, "cycles.parquet", with_point(GATE, drop("cycles.parquet"))),
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
                with_point(GATE, drop("metrics.json")),
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


def _each_point(change: Callable[[dict[str, Any]], Any]) -> Callable[[Any], Any]:
    def apply(content: Any) -> None:
        for point in content["points"]:
            change(point)

    return apply


def _other_prompts(box: Path) -> None:
    def rename(content: Any) -> None:
        content["prompts"] = [f"other{n}" for n in range(len(content["prompts"]))]

    edit_json("baseline.json", _each_point(rename))(box)
