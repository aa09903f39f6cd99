"""The report as a document: its structure, its numbers, and odd folders."""

import base64
import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from dspark_bench import cli
from dspark_bench.core.errors import ResultsError
from dspark_bench.report.content import Cell, Page, Paragraph, Section, Table
from dspark_bench.report.html import render_html
from dspark_bench.report.markdown import render_markdown
from dspark_bench.report.page import write_report
from tests.report.folders import cells, write_sweep

_VOID = {"meta", "link", "img", "br", "hr"}
_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?")


class _Document(HTMLParser):
    """Checks nesting while reading; keeps images, links, and the cells of all tables."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.urls: list[str] = []
        self.figures: list[tuple[dict[str, str | None], str]] = []
        self.loose: list[str] = []
        self.heads: list[dict[str, str | None]] = []
        self.num_captions = self.num_tables = 0
        self._data: dict[str, str | None] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        assert tag != "script"
        self.urls += [v for k, v in attrs if k in ("src", "href", "srcset", "data") and v]
        if tag == "img":
            self.images.append(found)
        if tag == "th":
            self.heads.append(found)
        self.num_tables += tag == "table"
        self.num_captions += tag == "caption"
        if tag == "data":
            self._data = found
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag == "data":
            self._data = None

    def handle_data(self, data: str) -> None:
        if self._data is not None:
            self.figures.append((self._data, data))
        elif self.open and self.open[-1] == "td" and _NUMBER.fullmatch(data):
            self.loose.append(data)


def _read(path: Path) -> _Document:
    document = _Document()
    document.feed(path.read_text(encoding="utf-8"))
    assert document.open == []
    return document


def _rows() -> list[dict[str, object]]:
    return [
        cells("a", speedup=1.2345678, alpha=0.123456),
        cells("b", gamma=7, speedup=2.5, speedup_ci_low=2.4, speedup_ci_high=2.6),
        cells("c", gamma=9, status="failed", speedup=""),
    ]


def test_one_file_that_fetches_nothing(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path / "s", _rows())
    html, _ = write_report(folder)
    document = _read(html)
    assert document.images and document.num_tables == document.num_captions > 4
    assert all(
        (image["src"] or "").startswith("data:image/png;base64,") for image in document.images
    )
    assert all(image["alt"] for image in document.images)
    assert all(url.startswith("data:") for url in document.urls)
    assert all(head.get("scope") in ("col", "row") for head in document.heads)
    text = re.sub(r"base64,[^\"]*", "", html.read_text())
    assert "://" not in text and "@import" not in text and "url(" not in text
    assert str(tmp_path) not in text
    assert "prefers-color-scheme: dark" in text and "@media print" in text


@pytest.mark.usefixtures("without_figures")
def test_every_number_is_one_of_the_results(tmp_path: Path) -> None:
    """Exact values are those of summary.csv or metrics.json, and the shown text rounds them."""
    folder = write_sweep(tmp_path / "s", _rows())
    document = _read(write_report(folder)[0])
    with (folder / "summary.csv").open() as file:
        rows = {row["point_id"]: row for row in csv.DictReader(file)}
    assert len(document.figures) > 20
    for found, shown in document.figures:
        column, value = str(found["data-column"]), str(found["value"])
        sweep, point = str(found["data-point"]).split("/")
        assert sweep == "s"
        if column in rows[point]:
            assert rows[point][column] == value
        else:
            metrics = json.loads((folder / "points" / point / "metrics.json").read_text())
            for name in column.split("."):
                metrics = metrics[name]
            assert str(metrics) == value
        digits = len(shown.partition(".")[2])
        assert float(shown) == pytest.approx(float(value), abs=0.5000001 * 10**-digits)
    columns = {str(found["data-column"]) for found, _ in document.figures}
    assert {"speedup", "alpha", "speedup_theory", "gap_verify_cost"} <= columns
    # other numbers in cells are counts of states, settings and the environment; no measurement
    assert not {"1.23", "0.123", "2.50", "2.40"} & set(document.loose)


def test_the_twin_says_the_same(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path / "s", _rows(), pending=("later",))
    html, markdown = write_report(folder)
    text = markdown.read_text()
    assert "**semi_ar at gamma 7 with fixed is fastest here: 2.50x, 95 % interval 2.40 to" in text
    assert "the largest loss is verify cost (-0.11)" in text
    for picture in re.findall(r"\]\((figures/[^)]+)\)", text):
        content = (folder / picture).read_bytes()
        assert content.startswith(b"\x89PNG")
        assert base64.b64encode(content).decode() in html.read_text()
    assert "figures/s_curve.png" in text
    for said in (
        "git checkout aaaaaaaa",
        "dspark-bench sweep gamma=2,4",
        "1 point asked for, not measured yet",
        "Test CPU (4 cores)",
        "| 1.23 |",
    ):
        assert said in text
    assert r"cannot \<draft\>" in text
    assert "cannot &lt;draft&gt;" in html.read_text()


@pytest.mark.usefixtures("without_figures")
def test_what_would_change_the_answer_is_a_table(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path / "s", _rows())
    text = write_report(folder)[1].read_text()
    (row,) = [
        line for line in text.splitlines() if "semi_ar at gamma 4" in line and "(2.000" in line
    ]
    # S 1.2345678 to 2.5: 2.025 times the tokens, or a cycle of 0.79 steps instead of 1.6
    assert "| +102.5% (2.000 to 4.050) |" in row
    assert "| -73.6% (1.100 to 0.290) |" in row
    assert f"not enough (S {1.2345678 * 1.6 / 1.5:.2f})" in row


@pytest.mark.usefixtures("without_figures")
def test_copies_of_a_measurement_are_counted_once(tmp_path: Path) -> None:
    for name in ("exhibit", "other"):
        write_sweep(tmp_path / "r" / name, [cells("a"), cells("b", gamma=7)])
    text = write_report(tmp_path / "r")[1].read_text()
    assert "2 measured points (2 more are copies of them) in 2 sweeps" in text
    assert "was measured 2 times" not in text


def test_words_are_escaped() -> None:
    hostile = '<script>alert("x")</script> | `a` [b](http://c) & "d"'
    cell = Cell(hostile, point=hostile, column=hostile, value=hostile)
    table = Table(hostile, (hostile,), ((cell,),), num_heads=0)
    page = Page(hostile, hostile, hostile, (Section(hostile, (Paragraph(hostile), table)),))
    document = _Document()
    document.feed(render_html(page))
    assert document.open == []
    assert document.figures == [
        ({"value": hostile, "data-point": hostile, "data-column": hostile}, hostile)
    ]
    text = render_markdown(page)
    assert "<script>" not in text.replace("\\<", "")
    (row,) = [line for line in text.splitlines() if line.startswith("| \\<script")][1:]
    assert len(re.findall(r"(?<!\\)\|", row)) == 2


def test_several_sweeps_damage_and_nothing_to_draw(tmp_path: Path) -> None:
    write_sweep(tmp_path / "r" / "good", [cells("a", drafter="none", gamma=0)])
    bad = write_sweep(tmp_path / "r" / "bad", _rows())
    (bad / "points" / "a" / "metrics.json").write_text('{"point"')
    worse = write_sweep(tmp_path / "r" / "worse", _rows())
    (worse / "sweep.json").write_text("\0")
    out = tmp_path / "out"
    html, markdown = write_report(tmp_path / "r", out)
    _read(html)
    text = markdown.read_text()
    assert "bad/a: cannot read metrics.json" in text
    assert "worse: cannot read sweep.json" in text
    assert not (tmp_path / "r" / "report.html").exists()
    only = write_sweep(tmp_path / "only", [cells("n", drafter="none", gamma=0)])
    page = write_report(only)[1].read_text()
    assert "No configuration can be recommended" in page and "left out: " in page


def test_nothing_measured_or_nowhere_to_write_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = write_sweep(tmp_path / "s", [], pending=("x", "y"))
    assert cli.execute(["report", str(empty)]) == 2
    assert "0 points failed, 2 never run" in capsys.readouterr().err
    assert cli.execute(["report", str(tmp_path / "absent")]) == 2
    full = write_sweep(tmp_path / "full", _rows())
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultsError, match="cannot write"):
        write_report(full, tmp_path / "file")
    assert cli.execute(["report", str(full)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        str(full / "report.html"),
        str(full / "report.md"),
    ]


def test_one_point_is_counted_in_the_singular(tmp_path: Path) -> None:
    for name in ("exhibit", "other"):
        write_sweep(tmp_path / "r" / name, [cells("a")])
    text = write_report(tmp_path / "r" / "other")[1].read_text()
    assert "1 measured point in 1 sweep, each" in text
    text = write_report(tmp_path / "r")[1].read_text()
    assert "1 measured point (1 more is a copy of it) in 2 sweeps, each" in text


def test_the_rule_that_judged_a_tree_is_named(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path / "s", [cells("chain", tree="none"), cells("t", tree="beam")])
    text = write_report(folder)[1].read_text()
    assert "| acceptance | exact, exact (on trees: match) |" in text
    assert "| semi_ar | 4 | beam | fixed |" in text and "| semi_ar | 4 | none | fixed |" in text
    chains = write_report(write_sweep(tmp_path / "c", [cells("chain", tree="none")]))[1].read_text()
    assert "| semi_ar | 4 | fixed |" in chains and text.count("| target | ") <= 1
