"""The tables of `recommend`: what they say, and that nothing is ever cut."""

from itertools import product
from pathlib import Path

import pytest

from dspark_bench.metrics.intervals import Interval
from dspark_bench.reading.gather import gather
from dspark_bench.reading.origin import SHIPPED
from dspark_bench.report.answers import answer_table
from dspark_bench.report.changes import Change
from dspark_bench.report.recommend import Challenger, Recommendation, recommend
from dspark_bench.report.setting_table import change_line, setting_tables
from dspark_bench.report.terminal import by_origin
from tests.report.folders import cells, write_sweep

_DRAFTERS = ("semi_ar", "parallel", "ar")


def _many(folder: Path, **values: object) -> tuple[Recommendation, ...]:
    """12 settings of 9 configurations."""
    rows = []
    for setting, (workload, users) in enumerate(product(("math", "code", "prose"), (1, 4, 8, 16))):
        for number, (drafter, gamma) in enumerate(product(_DRAFTERS, (2, 4, 7))):
            speedup = 10.0 + setting / 10 + number
            bounds = {"speedup_ci_low": speedup - 0.5, "speedup_ci_high": speedup + 0.5}
            own = {"workload": workload, "prompts_hash": workload, "concurrency": users}
            own |= {"drafter": drafter, "gamma": gamma, "drafter_hash": drafter, **bounds}
            own |= {"speedup": speedup, "throughput_tok_s": 1000.0 + number}
            rows.append(cells(f"p{setting}-{number}", **(own | values)))
    return recommend(gather(write_sweep(folder, rows)))


def _all_there(found: tuple[Recommendation, ...], text: str) -> None:
    """Every S with its whole interval, and every rate, stands in the text."""
    for item in found:
        for candidate in (item.winner, *(other.candidate for other in item.challengers)):
            speedup = candidate.speedup
            assert f"{speedup.value:.2f}  {speedup.low:.2f}-{speedup.high:.2f}" in text
            assert f"  {candidate.point.number('throughput_tok_s'):.0f}  " in text


def test_twelve_settings_fit_80_columns_in_k_plus_3_lines_each(tmp_path: Path) -> None:
    found = _many(tmp_path / "s")
    assert len(found) == 12
    lines = [line.text for line in setting_tables(found, 80)]
    assert len(lines) <= 12 * (9 + 3) and max(map(len, lines)) <= 80
    _all_there(found, "\n".join(lines))
    assert not any("..." in line or "\u2026" in line for line in lines)


def test_long_names_become_letters_with_a_legend(tmp_path: Path) -> None:
    rows = [
        cells("a", scheduler="a_scheduler_of_a_very_long_name_indeed", speedup=1.5),
        cells("b", gamma=2),
    ]
    lines = [
        line.text
        for line in setting_tables(recommend(gather(write_sweep(tmp_path / "t", rows))), 80)
    ]
    assert lines[0] == "a = semi_ar gamma 4 a_scheduler_of_a_very_long_name_indeed"
    assert lines[3].split()[:2] == ["a", "1.50"]
    assert lines[4].startswith("semi_ar gamma 2 ") and max(map(len, lines)) <= 80


def test_long_settings_stand_on_a_line_of_their_own(tmp_path: Path) -> None:
    found = _many(tmp_path / "s", max_new_tokens=12345, load="a_load_of_a_long_name")
    lines = [line.text for line in setting_tables(found, 80)]
    assert len(lines) <= 12 * (9 + 3)
    _all_there(found, "\n".join(lines))


def test_the_winner_is_bold_and_comes_first(tmp_path: Path) -> None:
    (first, *_) = _many(tmp_path / "s")
    heads, winner, *others = setting_tables([first], 80)
    assert " ".join(heads.text.split()) == (
        "code, 1 request at a time S 95 % tok/s winner's lead clear"
    )
    assert winner.is_bold and winner.text.startswith("ar gamma 7")
    assert not any(line.is_bold for line in others)


def test_one_line_says_what_would_change_it(tmp_path: Path) -> None:
    (found, *_) = _many(tmp_path / "s")
    other = found.challengers[0]
    changes = (
        Change("alpha", "", 0.5, 0.6, 9.0),
        Change("verify cost", "steps", 1.0, 0.9, 9.0),
        Change("draft cost", "steps", 0.1, None, 9.0),
    )

    def says(*challengers: Challenger, width: int = 200, reason: str | None = None) -> str:
        item = Recommendation("math", found.winner, challengers, (), reason)
        return change_line(item, width=width)

    beaten = Challenger(other.candidate, Interval(1.1, 1.05, 1.2, 9), True, changes, None, True)
    name = "ar gamma 4"
    full = f"{name} draws level with verify cost -10.0% (to 0.90) or alpha +20.0% (to 0.60)"
    assert says(beaten) == full
    assert says(beaten, width=len(full) - 1) == full.partition(" or ")[0]
    tied = Challenger(other.candidate, Interval(1.1, 0.9, 1.2, 9), True, changes)
    assert says(tied) == "tie: ar gamma 7 and ar gamma 4; more prompts may part them"
    assert says(tied, width=50) == "tie of 2, marked; more prompts may part them"
    assert says(tied, reason="5 units: no verdict below 6").startswith("not comparable: 5 units")
    assert says(found.challengers[0]).startswith("not comparable, not paired")
    narrow = says(found.challengers[0], width=78)
    assert narrow.endswith("; one `sweep --fresh` over both pairs them") and len(narrow) <= 78
    assert says().startswith("nothing to compare")
    mixed = (Change("draft cost", "s", 1.0, 0.7, 9.0), Change("alpha", "", 0.6, 0.63, 9.0))
    better = Challenger(other.candidate, Interval(1.1, 1.05, 1.2, 9), True, mixed, None, True)
    full = f"{name} draws level with alpha +5.0% (to 0.63) or draft cost -30.0% (to 0.70)"
    assert says(better) == full
    hopeless = Challenger(
        other.candidate, Interval(2.0, 1.9, 2.1, 9), True, changes[2:], None, True
    )
    assert says(hopeless) == f"{name}: no single change lets it draw level"
    rejected = (Change("alpha", "", 0.0, 0.3, 9.0), *changes[1:])
    none_stood = Challenger(other.candidate, Interval(2.0, 1.9, 2.1, 9), True, rejected, None, True)
    full = f"{name} draws level with verify cost -10.0% (to 0.90) or alpha 0 to 0.30"
    assert says(none_stood) == full


def test_machines_have_headings_and_this_one_comes_first(tmp_path: Path) -> None:
    write_sweep(tmp_path / "a", [cells("a")], environment={"machine_id": "m1", "cpu_model": "Big"})
    write_sweep(tmp_path / "b", [cells("b")])
    lines = [line.text for line in by_origin(recommend(gather(tmp_path, "m0")), 80)]
    heads = [line for line in lines if "machine" in line]
    assert heads == ["This machine: Test CPU (4 cores)", "Another machine: Big (4 cores)"]
    alone = by_origin(recommend(gather(tmp_path / "b", "m0")), 80)
    assert not any("machine" in line.text for line in alone)
    other = by_origin(recommend(gather(tmp_path / "a", "m0")), 80)
    assert other[0].text == "Another machine: Big (4 cores)"
    (tmp_path / "a" / SHIPPED).write_text("")
    shipped = by_origin(recommend(gather(tmp_path / "a", "m0")), 80)
    assert shipped[0].text == "Came with dspark-bench, measured on Big (4 cores)"


def test_behind_is_how_far_the_slower_one_lies_behind(tmp_path: Path) -> None:
    """1.27 is 15.3 % behind 1.50, which is 18.1 % ahead of it."""
    rows = [
        cells("a", speedup=1.50, speedup_ci_low=1.5, speedup_ci_high=1.5),
        cells("b", speedup=1.27, speedup_ci_low=1.27, speedup_ci_high=1.27, gamma=7),
    ]
    found = recommend(gather(write_sweep(tmp_path / "s", rows)))
    table = answer_table(found)
    place = table.heads.index("behind the fastest by")
    assert table.rows[0][place].text == "15.3% [+15.3% to +15.3%]"
    row = setting_tables(found, 80)[2].text
    assert "18% [18, 18]" in row
    assert found[0].challengers[0].ratio.value == pytest.approx(1.5 / 1.27)
