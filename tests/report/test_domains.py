"""S by domain in a report: every number is one of metrics.json."""

import json
from pathlib import Path
from typing import Any

import pytest

from dspark_bench.reading.gather import gather
from dspark_bench.report.page import write_report
from dspark_bench.report.tables import domain_tables
from tests.report.folders import cells, write_sweep


def _figures(value: float | None, n: int) -> dict[str, Any]:
    speedup = {"value": value, "low": 1.125, "high": 2.25, "n": n}
    return {
        "num_prompts": n + 1,
        "speedup": speedup,
        "accepted_length": {"value": 2.5, "low": None, "high": None, "n": n},
        "speedup_interval_basis": f"{n} prompts, Student's t",
    }


@pytest.mark.usefixtures("without_figures")
def test_rows_by_domain_with_their_places(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path / "s", [cells("p1"), cells("p2")])
    assert domain_tables(gather(folder)) == ()
    metrics = folder / "points" / "p1" / "metrics.json"
    content = json.loads(metrics.read_text())
    content["domains"] = {"v1.5 code": _figures(1.75, 8), "roleplay": _figures(None, 3)}
    metrics.write_text(json.dumps(content))
    (table,) = domain_tables(gather(folder))
    assert table.heads[0] == "domain" and len(table.rows) == 2
    heads = dict(zip(table.heads, table.rows[0], strict=True))
    shown = {
        head: heads[head].text for head in ("domain", "prompts", "S", "low", "high", "n", "tau")
    }
    assert shown == {
        "domain": "v1.5 code", "prompts": "9", "S": "1.75", "low": "1.12", "high": "2.25",
        "n": "8", "tau": "2.50",
    }  # fmt: skip
    assert heads["S"].column == "domains.v1.5 code.speedup.value" and heads["S"].value == "1.75"
    assert dict(zip(table.heads, table.rows[1], strict=True))["S"].text == "-"
    page, twin = write_report(folder)
    assert "By domain" in page.read_text() and "v1.5 code" in twin.read_text()
