"""Baseline files of `check` that are damaged, or say what no measurement can."""

from collections.abc import Callable
from typing import Any

from tests.bad_input.case import Case, Prepare
from tests.bad_input.edits import DEEP, edit_bytes, edit_json, keys, remove, without, write
from tests.bad_input.gate import CHECK, each_point

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
    "more verified than cycles": lambda p: _fill(p, "verified", 10**6),
    "more rejected than verified": lambda p: _fill(p, "rejected", 10**6),
    "more expected than reached": lambda p: _fill(p, "overlaps", 5000.0),
    "more expected than verified": lambda p: _fill(p, "all_overlaps", 5000.0),
    "counts beyond all bounds": lambda p: _fill(p, "verified", 1e308),
    "no cycles": lambda p: p["repeats"][0].update(cycles=[0] * len(p["prompts"])),
    "a label of a list": lambda p: p.update(label=[1]),
    "a label of two lines": lambda p: p.update(label="a\nb"),
    "prompts of one text": lambda p: p.update(prompts="x" * len(p["prompts"])),
    "gamma with a fraction": lambda p: p.update(gamma=2.7),
    "a unit of speed twice": lambda p: p.update(
        speed={"labels": ["a", "a"], "is_by_prompt": True, "table": [[1, 1, 1, 1]] * 2}
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
    return found + [
        Case(
            "baseline",
            name,
            CHECK,
            "is damaged",
            edit_json("baseline.json", each_point(change)),
        )
        for name, change in _BASELINE_POINT.items()
    ]


def _fill(point: dict[str, Any], name: str, value: float) -> None:
    """One number everywhere in a table of the first repeat."""
    point["repeats"][0][name] = [[value] * point["gamma"]] * len(point["prompts"])
