"""What a tree brings over a chain: which pairs are made, and their ratios by known times."""

import math
from pathlib import Path

import pytest

from dspark_bench import cli
from dspark_bench.reading.gather import gather
from dspark_bench.report.recommend import Recommendation, recommend
from dspark_bench.report.tree_gain import Basis, TreeGain, gain_sections, tree_gains
from tests.report.folders import cells, write_sweep, write_times

_SECONDS = {f"p{n}": (1.0 + n, 1.25 * (1.0 + n)) for n in range(10)}


def _row(point_id: str, budget: float, speedup: float, **values: object) -> dict[str, object]:
    default = {"block_id": "b", "tree": "none", "tree.nodes": "", "gamma_trained": 16}
    figures = {"verify_budget": budget, "speedup": speedup}
    return cells(point_id, **(default | figures | values))


def _tree(point_id: str, nodes: int, speedup: float, **values: object) -> dict[str, object]:
    own = {"tree": "best_first", "tree.nodes": nodes}
    return _row(point_id, nodes + 1.0, speedup, **(own | values))


def _found(folder: Path, rows: list[dict[str, object]]) -> Recommendation:
    """A sweep whose arms are faster than their baseline by their own S, prompt by prompt."""
    sweep = write_sweep(folder, rows)
    for place, values in enumerate(rows):
        speedup = float(str(values["speedup"]))
        times = {
            prompt: (base / (speedup * (1 + 0.01 * math.sin(number * (place + 1)))), base)
            for number, (prompt, (_, base)) in enumerate(_SECONDS.items())
        }
        write_times(sweep / "points" / str(values["point_id"]), times)
    (found,) = recommend(gather(sweep))
    return found


def _said(gains: tuple[TreeGain, ...]) -> list[tuple[str, str, str]]:
    return [(g.basis.name, g.tree.point.point_id, g.chain.point.point_id) for g in gains]


def test_a_tree_stands_against_the_chain_that_verifies_as_many_tokens(tmp_path: Path) -> None:
    rows = [
        _row("c4", 5.0, 1.6, gamma=4),
        _row("c8", 8.8, 1.2, gamma=8),
        _tree("t8", 8, 1.5),
        _tree("t4", 4, 1.44),
    ]
    gains = tree_gains(_found(tmp_path / "s", rows))
    assert _said(gains) == [
        ("EQUAL_BUDGET", "t4", "c4"),
        ("EQUAL_BUDGET", "t8", "c8"),
        ("BEST", "t8", "c4"),
    ]
    values = [gain.ratio.value for gain in gains]
    assert values == pytest.approx([1.44 / 1.6, 1.5 / 1.2, 1.5 / 1.6], rel=0.01)
    assert [gain.verdict for gain in gains] == ["chain", "tree", "chain"]
    assert gains[1].budgets == (9.0, 8.8)
    assert all(gain.ratio.n == 10 for gain in gains)


def test_no_chain_of_as_many_tokens_leaves_the_best_alone(tmp_path: Path) -> None:
    rows = [_row("c4", 5.0, 1.6, gamma=4), _row("c7", 8.0, 1.5, gamma=7), _tree("t8", 8, 1.2)]
    assert _said(tree_gains(_found(tmp_path / "s", rows))) == [("BEST", "t8", "c4")]


def test_beyond_the_trained_length_the_longest_chain_is_the_rival(tmp_path: Path) -> None:
    rows = [_row("c2", 3.0, 1.2, gamma=2), _row("c16", 17.0, 1.1, gamma=16), _tree("t32", 32, 1.3)]
    found = tree_gains(_found(tmp_path / "s", rows))
    assert _said(found) == [("LONGEST_CHAIN", "t32", "c16"), ("BEST", "t32", "c2")]


def test_arms_chosen_by_speed_have_the_wider_interval(tmp_path: Path) -> None:
    """The same pair by budget and as the best of three arms: three pairs share the error."""
    rows = [_row("c4", 5.0, 1.6, gamma=4), _row("c8", 9.0, 1.2, gamma=8), _tree("t4", 4, 1.44)]
    equal, best = tree_gains(_found(tmp_path / "s", rows))
    assert _said((equal, best)) == [("EQUAL_BUDGET", "t4", "c4"), ("BEST", "t4", "c4")]
    assert equal.ratio.value == best.ratio.value
    assert equal.ratio.low and best.ratio.low and equal.ratio.high and best.ratio.high
    assert best.ratio.low < equal.ratio.low and best.ratio.high > equal.ratio.high


def test_other_drafters_and_other_blocks_are_no_rivals(tmp_path: Path) -> None:
    other = {"drafter": "parallel", "drafter_hash": "p"}
    rows = [_row("c", 9.0, 1.6, gamma=8, **other), _tree("t", 8, 1.5)]
    assert tree_gains(_found(tmp_path / "drafters", rows)) == ()
    rows = [_row("c", 9.0, 1.6, gamma=8, block_id="other"), _tree("t", 8, 1.5)]
    assert tree_gains(_found(tmp_path / "blocks", rows)) == ()
    rows = [_row("c", 9.0, 1.6, gamma=8), _row("d", 5.0, 1.5)]
    assert tree_gains(_found(tmp_path / "chains", rows)) == ()


def test_few_units_and_equal_speeds_are_no_verdict(tmp_path: Path) -> None:
    rows = [_row("c8", 9.0, 1.5, gamma=8), _tree("t8", 8, 1.501)]
    equal, _ = tree_gains(_found(tmp_path / "s", rows))
    assert equal.verdict == "tie"
    for name in ("c8", "t8"):
        point = tmp_path / "s" / "points" / name
        write_times(point, dict(list(_SECONDS.items())[:3]))
    (found,) = recommend(gather(tmp_path / "s"))
    assert {gain.verdict for gain in tree_gains(found)} == {"too few"}


@pytest.mark.usefixtures("without_figures")
def test_recommend_and_report_show_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [_row("c8", 9.0, 1.2, gamma=8), _tree("t8", 8, 1.5)]
    found = _found(tmp_path / "s", rows)
    gain = tree_gains(found)[0]
    assert cli.execute(["recommend", str(tmp_path / "s")]) == 0
    said = capsys.readouterr().out
    assert f"{gain.ratio.text()} tree; {Basis.EQUAL_BUDGET.value}, 9.0 and 9.0 tokens" in said
    (section,) = gain_sections([found])
    assert section.title == "Trees against chains"
    assert cli.execute(["report", str(tmp_path / "s"), "--out", str(tmp_path / "r")]) == 0
    text = (tmp_path / "r" / "report.md").read_text()
    assert (
        "## Trees against chains" in text and f"{gain.ratio.low:.2f}-{gain.ratio.high:.2f}" in text
    )
    assert gain_sections([]) == []
