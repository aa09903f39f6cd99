"""`verify` as typed: what is exact passes and is remembered, what is not fails with exit 1."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from dspark_bench import cli
from dspark_bench.commands.sweep import SweepRequest, single_point
from dspark_bench.commands.verify import scheduler_checks
from dspark_bench.core.random_streams import Floats
from dspark_bench.core.types import PlanContext, SchedulerSpec
from dspark_bench.schedulers.fixed import FixedScheduler
from tests.sweeps import read_summary, tiny_overrides
from tests.tiny_models import TinyZoo


class PeekingScheduler(FixedScheduler):
    """Verifies a draft only if a later confidence likes what came before: biased."""

    spec = SchedulerSpec("peeking", is_selective=True)

    def plan_verify(
        self, context: PlanContext, draft_lens: Sequence[int], confidence: Floats | None
    ) -> list[int]:
        assert confidence is not None
        return [n if row[-1] > 0.5 else 0 for n, row in zip(draft_lens, confidence, strict=True)]


def test_a_passed_verdict_makes_sampled_output_lossless(
    tiny_zoo: TinyZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = tiny_overrides(tiny_zoo, tmp_path, "gamma=2")
    assert cli.execute(["sweep", *overrides]) == 0
    assert read_summary(tmp_path / "results" / "tiny")[0]["lossless"] == ""
    assert cli.execute(["verify", *overrides]) == 0
    shown = capsys.readouterr().out
    for check in ("distribution", "non_anticipation", "greedy at batch 1", "tilt"):
        assert check in shown
    assert cli.execute(["sweep", *overrides]) == 0
    row = read_summary(tmp_path / "results" / "tiny")[0]
    assert (row["lossless"], row["lossless_evidence"]) == ("true", "untested")


def test_a_biased_scheduler_fails(
    tiny_zoo: TinyZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "mine" / "scheduler"
    folder.mkdir(parents=True)
    target = "tests.commands.test_verify.PeekingScheduler"
    (folder / "peeking.yaml").write_text(f"_target_: {target}\n")
    overrides = tiny_overrides(tiny_zoo, tmp_path, "gamma=2", "scheduler=peeking")
    code = cli.execute(["verify", "--config-dir", str(folder.parent), *overrides])
    shown = capsys.readouterr()
    assert code == 1
    assert "not exact: distribution, non_anticipation" in shown.err


@pytest.mark.parametrize(
    ("scheduler", "reason"),
    [
        ("global_argmax", "decisions moved when only later confidences changed"),
        ("oracle", "is told the accepted lengths beforehand"),
    ],
)
def test_schedulers_that_look_ahead_are_caught_at_it(
    tiny_zoo: TinyZoo, tmp_path: Path, scheduler: str, reason: str
) -> None:
    overrides = tiny_overrides(tiny_zoo, tmp_path, "gamma=3", f"scheduler={scheduler}")
    point = single_point(SweepRequest(tuple(overrides)), "verify").config
    promise, _, causal = scheduler_checks(point)
    assert not promise.is_passed and not causal.is_passed
    assert reason in causal.detail


def test_verify_takes_one_point(
    tiny_zoo: TinyZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.execute(["verify", *tiny_overrides(tiny_zoo, tmp_path, "gamma=1,2")]) == 2
    assert "gamma has several values" in capsys.readouterr().err
