"""The answer section of a report: one per machine, and what could not be ranked."""

from pathlib import Path

from dspark_bench.reading.gather import gather
from dspark_bench.report.answers import answer_sections
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
