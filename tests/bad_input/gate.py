"""What `check` reads: baselines and records that are damaged, and options that do not fit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tests.bad_input.case import Case, Prepare
from tests.bad_input.edits import (
    DEEP,
    both,
    drop,
    edit_json,
    in_point,
    point_json,
    remove,
    with_point,
    write,
)

GATE: Final = "results/gate"
CHECK: Final = ("check", GATE, "--baseline", "baseline.json")


def each_point(change: Callable[[dict[str, Any]], Any]) -> Callable[[Any], Any]:
    """Change every point of a baseline."""

    def apply(content: Any) -> None:
        for point in content["points"]:
            change(point)

    return apply


def _other_prompts(box: Path) -> None:
    def rename(content: Any) -> None:
        content["prompts"] = [f"other{n}" for n in range(len(content["prompts"]))]

    edit_json("baseline.json", each_point(rename))(box)


_Row = tuple[str, tuple[str, ...], str, Prepare | None]
_CASES: tuple[_Row, ...] = (
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
    (
        "a margin that rounds to zero",
        (*CHECK, "--margin", "1e-400"),
        "--margin is 0.0",
        None,
    ),
    ("two margins", (*CHECK, "--margin", "0.02,0.03"), "--margin", None),
    ("a speed margin of NaN", (*CHECK, "--speed-margin", "nan"), "is nan", None),
    ("a third path", (*CHECK, "extra"), "extra", None),
    ("json over the baseline", (*CHECK, "--json", "./baseline.json"), "--baseline", None),
    ("two reports in one", (*CHECK, "--junit", "a", "--json", "a"), "--junit names", None),
    ("--plan with --update", (*CHECK, "--plan", "--update"), "one of them", None),
    ("--plan with --json", (*CHECK, "--plan", "--json", "x"), "--json writes", None),
    ("--update with --junit", (*CHECK, "--update", "--junit", "x"), "--junit writes", None),
    *(
        (
            f"--update over {name}",
            ("check", GATE, "--baseline", name, "--update"),
            "is no baseline, and --update does not overwrite it",
            None,
        )
        for name in ("target/config.json", f"{GATE}/sweep.json", "prompts.jsonl")
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
                (p / "cycles.parquet").write_bytes((p / "requests.parquet").read_bytes()) and None
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


def cases() -> list[Case]:
    """The catalogue's part."""
    return [
        Case("check", name, arguments, says, prepare) for name, arguments, says, prepare in _CASES
    ]
