"""The table of draft lengths: which arms a part holds, and what the file says of them."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from dspark_bench.core.errors import ResultsError, UsageError
from dspark_bench.evidence.bench_lengths import Job, measure, named_files
from dspark_bench.evidence.lengths_table import keep_lengths, lengths_text
from dspark_bench.reading.gather import gather
from tests.report.folders import cells, write_sweep, write_times
from tests.sweeps import tiny_overrides
from tests.tiny_models import TinyZoo

_SECONDS = {f"p{n}": (1.0 + n, 1.25 * (1.0 + n)) for n in range(10)}
_ALONE = "speedup_not_degenerate"
_NO_CIRCLES = dict.fromkeys(
    ("degenerate_requests", _ALONE, f"{_ALONE}_ci_low", f"{_ALONE}_ci_high"), ""
)
_CIRCLES = dict(zip(_NO_CIRCLES, (0.25, 1.1, 1.0, 1.2), strict=True))


def _row(
    name: str, drafter: str, gamma: int, speedup: float, **values: object
) -> dict[str, object]:
    own = {"speedup": speedup, "speedup_ci_low": speedup - 0.1, "speedup_ci_high": speedup + 0.1}
    return cells(name, drafter=drafter, gamma=gamma, block_id="b", **(_NO_CIRCLES | own | values))


def test_each_drafter_stands_behind_the_fastest_arm(tmp_path: Path) -> None:
    rows = [
        _row("slow", "semi_ar", 2, 1.3),
        _row("fast", "semi_ar", 4, 1.5),
        _row("other", "ar", 4, 1.2, **_CIRCLES),
    ]
    folder = write_sweep(tmp_path / "chat-0", rows)
    for name, factor in (("slow", 1.04), ("fast", 1.2), ("other", 0.96)):
        times = {prompt: (own / factor, base) for prompt, (own, base) in _SECONDS.items()}
        write_times(folder / "points" / name, times)
    text = lengths_text({"chat-0": gather(folder).points}, "Measured there.")
    assert "## chat, temperature 0" in text and "Measured there." in text
    assert "Fastest: `semi_ar` at 4, S 1.50 [1.40-1.60]." in text
    (behind,) = (line for line in text.splitlines() if line.startswith("- `ar` at 4: 1.2"))
    assert float(behind.split()[4]) == pytest.approx(1.2 / 0.96, abs=0.01)
    arms = [line.split(" | ")[:2] for line in text.splitlines() if "ar | " in line]
    assert arms == [["| ar", "4"], ["| semi_ar", "2"], ["| semi_ar", "4"]]
    shown = [line for line in text.splitlines() if line.startswith("| ar |")]
    assert "| 1.20 [1.10-1.30] | 1.10 [1.00-1.20] | 25% |" in shown[0]
    assert "`semi_ar` at 4: 1.50 in theory; non iid -0.02, verify cost -0.11" in text


def test_a_part_that_was_begun_and_left_is_left_out(tmp_path: Path) -> None:
    write_sweep(tmp_path / "code-0", [], pending=("later",))
    (tmp_path / "chat-0").mkdir()
    folder = write_sweep(tmp_path / "math-0", [_row("only", "ar", 4, 1.2)])
    write_times(folder / "points" / "only", _SECONDS)
    text = keep_lengths(tmp_path, ("math-0", "code-0", "chat-0"), tmp_path / "x.md")
    assert "## math, temperature 0" in text and "## code" not in text and "## chat" not in text
    assert "Fastest: `ar` at 4, S 1.20 [1.10-1.30]." in text


def test_nothing_measured_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="has a measured S"):
        keep_lengths(tmp_path, ("math-0",), tmp_path / "x.md")


@pytest.mark.parametrize("text", ["math", "=x", "math=", "math=nowhere.jsonl"])
def test_files_have_names(text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="valid: NAME=FILE, a file of prompts"):
        named_files([text])
    file = tmp_path / "a=b.jsonl"
    file.write_text("{}\n")
    assert named_files([f"math={file}"]) == {"math": file}


@pytest.mark.slow
def test_the_file_of_a_tiny_run_holds_what_was_measured(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    typed = tiny_overrides(tiny_zoo, tmp_path)
    (path,) = (o.partition("=")[2] for o in typed if o.startswith("workload.path="))
    left_out = ("drafter=", "name=", "results_dir=", "num_requests=", "measure.", "workload", "gam")
    extra = tuple(o for o in typed if not o.startswith((*left_out, "temperature")))
    job = Job(tmp_path / "lengths", {"own": Path(path)}, ("0",), "semi_ar", "2,4", 6, extra)
    out = tmp_path / "out" / "table.md"
    text = measure(job, job.parts, Console(file=io.StringIO()), out)
    assert out.read_text() == text and "## own, temperature 0" in text
    points = gather(job.folder / "own-0").points
    assert len(points) == 2 and len({point.text("block_id") for point in points}) == 1
    for point in points:
        assert f"| {point.text('gamma')} | {point.number('accepted_length'):.2f}" in text
