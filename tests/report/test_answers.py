"""The answer section of a report: one per machine, and what could not be ranked."""

from pathlib import Path

from dspark_bench.reading.gather import gather
from dspark_bench.report.answers import answer_sections
from dspark_bench.report.content import Items
from dspark_bench.report.recommend import recommend
from dspark_bench.report.wording import headline
from tests.report.folders import cells, write_sweep


def test_each_machine_has_its_own_answer_and_this_one_the_headline(tmp_path: Path) -> None:
    big = {"machine_id": "m1", "cpu_model": "Big"}
    write_sweep(tmp_path / "a", [cells("a", speedup=9.0)], environment=big)
    write_sweep(tmp_path / "b", [cells("b"), cells("c", gamma=7, speedup="")])
    gathered = gather(tmp_path, "m0")
    found = recommend(gathered)
    assert [section.title for section in answer_sections(found, gathered)] == [
        "Answer. This machine: Test CPU (4 cores)",
        "Answer. Another machine: Big (4 cores)",
        "Not ranked",
    ]
    assert "1.25x" in headline(found)
    alone = gather(tmp_path / "b", "m0")
    titles = [section.title for section in answer_sections(recommend(alone), alone)]
    assert titles == ["Answer", "Not ranked"]


def test_the_sentence_that_is_the_headline_is_not_said_again(tmp_path: Path) -> None:
    def said(path: Path) -> list[int]:
        gathered = gather(path, "m0")
        sections = answer_sections(recommend(gathered), gathered)
        items = [[b for b in s.blocks if isinstance(b, Items)] for s in sections]
        return [sum("theory says" in line for b in own for line in b.items) for own in items]

    write_sweep(tmp_path / "a", [cells("a")])
    assert said(tmp_path) == [0]
    write_sweep(tmp_path / "b", [cells("b")], environment={"machine_id": "m1", "cpu_model": "Big"})
    assert said(tmp_path) == [0, 1]
    write_sweep(tmp_path / "c", [cells("c", workload="code")])
    assert said(tmp_path) == [2, 1]
