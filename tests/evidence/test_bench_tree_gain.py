"""The parts of the tree-gain bench are blocks of the zoo, and its table holds the gains."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from dspark_bench.commands.sweep_plan import plan_sweep
from dspark_bench.core.errors import ResultsError, UsageError
from dspark_bench.evidence.bench_tree_gain import Job, gain_text, measure, sweeps_of
from dspark_bench.measure.block_plan import plan_blocks
from dspark_bench.measure.identity import HashCache
from dspark_bench.reading.gather import gather
from dspark_bench.report.recommend import recommend
from dspark_bench.report.tree_gain import tree_gains
from tests.sweeps import tiny_overrides
from tests.tiny_models import TinyZoo


@pytest.mark.slow
def test_every_part_is_one_block_of_the_zoo() -> None:
    job = Job(Path("x"))
    assert len(job.parts) == 9
    hashes = HashCache()
    for part in ("1-exact", "16-match"):
        sweeps = [(*sweep, "name=one") for sweep in sweeps_of(job, part)]
        points = [p for sweep in sweeps for p in plan_sweep(sweep, hashes)[1]]
        assert len(points) == 3 * (3 + 6)
        assert len(plan_blocks(points)) == 1


@pytest.mark.slow
def test_the_table_holds_the_gains_of_a_tiny_run(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    typed = tiny_overrides(tiny_zoo, tmp_path)
    left_out = ("drafter", "name=", "results_dir=", "num_requests=", "measure.calib")
    extra = tuple(o for o in typed if not o.startswith((*left_out, "measure.agree")))
    job = Job(
        tmp_path / "gain", ("semi_ar",), (1,), prompts=6, lengths=(4, 8), nodes=(4, 8),
        extra=tuple(o for o in extra if not o.startswith(("measure.prec", "measure.rep"))),
        paths=(("semi_ar", tiny_zoo.semi_ar),),
    )  # fmt: skip
    with pytest.raises(ResultsError, match="no part below"):
        gain_text(job)
    with pytest.raises(UsageError, match="--only names '2-exact'; valid: 1-exact, 1-match"):
        measure(job, ["2-exact"], Console(file=io.StringIO()), tmp_path)
    text = measure(job, ["1-exact"], Console(file=io.StringIO()), tmp_path / "out")
    assert (tmp_path / "out" / "tree_gain.md").read_text() == text
    (found,) = recommend(gather(job.folder / "1-exact"))
    gains = tree_gains(found)
    rows = [line for line in text.splitlines() if line.startswith("| semi_ar")]
    assert len(rows) == len(gains) > 0
    for gain, row in zip(gains, rows, strict=True):
        assert gain.ratio.text(3) in row and gain.names[0] in row
    assert "## 1 request at a time, temperature 1, chains by `exact`" in text
