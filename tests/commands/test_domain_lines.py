"""S by domain on the terminal."""

import io
from typing import Any

from rich.console import Console
from rich.table import Table

from dspark_bench.commands.display import SweepDisplay
from dspark_bench.commands.domain_lines import domain_table


def _figures(value: float | None, n: int) -> dict[str, Any]:
    speedup = {"value": value, "low": None, "high": None, "n": n}
    if value is not None and n > 1:
        speedup |= {"low": value - 0.25, "high": value + 0.25}
    tau = {"value": 2.5, "low": 2.0, "high": 3.0, "n": n}
    return {"speedup": speedup, "accepted_length": tau, "has_enough_units": n >= 6}


def _shown(table: Table | str | None) -> list[str]:
    console = Console(file=io.StringIO(), width=80)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines()]


def test_rows_are_grouped_by_domain_with_n_and_interval() -> None:
    points = [
        ("ar gamma=2", {"code": _figures(1.5, 8), "roleplay": _figures(0.75, 3)}),
        ("ar gamma=4", {"code": _figures(1.75, 8), "roleplay": _figures(None, 1)}),
    ]
    assert _shown(domain_table(points)) == [
        "S by domain (*: no verdict, n < 6)",
        "domain point n S 95 % tau",
        "code ar gamma=2 8 1.50 1.25-1.75 2.50",
        "code ar gamma=4 8 1.75 1.50-2.00 2.50",
        "roleplay ar gamma=2 3* 0.75 0.50-1.00 2.50",
        "roleplay ar gamma=4 1* - - 2.50",
    ]


def test_nothing_without_domains_and_a_line_for_too_many() -> None:
    assert domain_table([("a", {}), ("b", {})]) is None
    many = {f"d{n}": _figures(1.0, 8) for n in range(31)}
    line = domain_table([("a", many), ("b", many)])
    assert line == "S by domain (31 domains): in the report, and in each point's metrics.json"
    (head, *_) = _shown(domain_table([("a", many)]))
    assert head == "S by domain"
    few = {f"d{n}": _figures(1.0, 1) for n in range(4)}
    line = domain_table([("a", few)] * 6)
    assert isinstance(line, str) and "(4 domains, no verdict in any, n < 6): in the rep" in line
    (head, *_) = _shown(domain_table([("a point", few)] * 5))
    assert head.startswith("S by domain (*: no")
    assert not isinstance(domain_table([("a", few | {"e": _figures(1.0, 6)})] * 4), str)


def test_notes_are_said_once_a_sweep() -> None:
    console = Console(file=io.StringIO(), width=80)
    display = SweepDisplay(console, 2)
    display.begin(["one"])
    display.say(("80 prompts have further turns", "[b]odd[/b]"))
    display.begin(["two"])
    display.say(("80 prompts have further turns", "another"))
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines() == [
        "note: 80 prompts have further turns",
        "note: [b]odd[/b]",
        "note: another",
    ]
