"""`verify` as typed: what is exact passes and is remembered, what is not fails with exit 1."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from dspark_bench import cli
from dspark_bench.commands.sweep_plan import SweepRequest, single_point
from dspark_bench.core.random_streams import Floats
from dspark_bench.core.types import PlanContext, SchedulerSpec
from dspark_bench.engine.exactness import CheckResult
from dspark_bench.measure import law_checks
from dspark_bench.measure.law_checks import scheduler_checks
from dspark_bench.measure.rule_pairs import PairResult
from dspark_bench.schedulers.fixed import FixedScheduler
from tests.sweeps import read_summary, tiny_overrides
from tests.tiny_models import TinyZoo

pytestmark = pytest.mark.usefixtures("few_draws")


class PeekingScheduler(FixedScheduler):
    """Verifies a draft only if a later confidence likes what came before: biased."""

    spec = SchedulerSpec("peeking", is_selective=True)

    def plan_verify(
        self, context: PlanContext, draft_lens: Sequence[int], confidence: Floats | None
    ) -> list[int]:
        assert confidence is not None
        return [n if row[-1] > 0.5 else 0 for n, row in zip(draft_lens, confidence, strict=True)]


def own_drafter(folder: Path, target: str, **keys: object) -> list[str]:
    """Arguments that make a drafter of the tests' own available as drafter=mine."""
    (folder / "mine" / "drafter").mkdir(parents=True, exist_ok=True)
    lines = [f"_target_: {target}", *(f"{key}: {value}" for key, value in keys.items())]
    (folder / "mine" / "drafter" / "mine.yaml").write_text("\n".join(lines) + "\n")
    return ["--config-dir", str(folder / "mine")]


def without(key: str, overrides: list[str]) -> list[str]:
    """Overrides of other keys."""
    return [override for override in overrides if not override.startswith(key)]


def test_a_drafter_that_ends_every_text_fails(
    tiny_zoo: TinyZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = own_drafter(tmp_path, "tests.plugins.EndOfTextDrafter", max_gamma=8)
    overrides = [
        o for o in tiny_overrides(tiny_zoo, tmp_path, "gamma=2") if not o.startswith("drafter")
    ]
    own = without("measure.law_tokens", overrides)
    code = cli.execute(["run", *options, *own, "drafter=mine", "measure.law_tokens=1024"])
    shown = capsys.readouterr().out
    assert code == 0
    assert "violated" in shown and "not the target's law: emitted law" in " ".join(shown.split())
    assert cli.execute(["verify", *options, *overrides, "drafter=mine"]) == 1
    assert "not exact: emitted law" in capsys.readouterr().err


def test_a_look_up_that_misreads_forced_tokens_is_exact_and_told_so(
    tiny_zoo: TinyZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = own_drafter(tmp_path, "tests.engine.lookup.LookupDrafter", claims_forced="true")
    overrides = [
        o for o in tiny_overrides(tiny_zoo, tmp_path, "gamma=2") if not o.startswith("drafter")
    ]
    assert cli.execute(["verify", *options, *overrides, "drafter=mine"]) == 0
    shown = capsys.readouterr().out
    assert "BROKEN" in shown
    assert "contract broken: LookupDrafter.propose lets batch.forced change" in shown
    assert "tilt" not in shown
    assert cli.execute(["run", *options, *overrides, "drafter=mine"]) == 0
    (point,) = (tmp_path / "results" / "tiny" / "points").iterdir()
    metrics = json.loads((point / "metrics.json").read_text())
    assert any(note.startswith("no agreement curve: LookupDrafter") for note in metrics["notes"])
    capsys.readouterr()
    code = cli.execute(["run", *options, *overrides, "drafter=mine", "acceptance=replay"])
    assert code == 2
    assert "acceptance=replay forces tokens, and LookupDrafter.propose" in capsys.readouterr().err


def test_the_first_sweep_of_its_settings_is_judged_and_the_next_takes_the_verdict(
    tiny_zoo: TinyZoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = without("measure.law_tokens", tiny_overrides(tiny_zoo, tmp_path))
    overrides.append("measure.law_tokens=256")
    assert cli.execute(["sweep", *overrides, "gamma=2"]) == 0
    rows = read_summary(tmp_path / "results" / "tiny")
    assert [row["lossless_evidence"] for row in rows] == ["verified"]
    assert [row["lossless"] for row in rows] == ["true"]
    verdicts = {path.name for path in (tmp_path / "results" / "verify").iterdir()}
    assert {row["verification"] for row in rows} < verdicts

    def refuse(*arguments: object) -> None:
        raise AssertionError("what is known is not checked again")

    monkeypatch.setattr(law_checks, "emitted_law_check", refuse)
    assert cli.execute(["sweep", *overrides, "gamma=2", "--fresh"]) == 0
    rows = read_summary(tmp_path / "results" / "tiny")
    assert [row["lossless_evidence"] for row in rows] == ["verified"]
    assert cli.execute(["run", *overrides, "gamma=2", "temperature=0.9", "name=other"]) == 4


def test_a_passed_verdict_makes_sampled_output_lossless(
    tiny_zoo: TinyZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = tiny_overrides(tiny_zoo, tmp_path, "gamma=2")
    assert cli.execute(["sweep", *overrides]) == 0
    assert read_summary(tmp_path / "results" / "tiny")[0]["lossless"] == ""
    assert cli.execute(["verify", *overrides]) == 0
    shown = capsys.readouterr().out
    checks = ("distribution", "non_anticipation", "greedy at batch 1", "emitted law", "tilt")
    for check in (*checks, "contract: forced"):
        assert check in shown
    table = shown[shown.index("rules of acceptance with drafter=") :]
    for word in ("best_first", "beam", "jetspec", "static", "optimal", "sampled", "multiround"):
        assert word in table
    assert table.count("lossy") == 8 and "FAIL" not in table
    assert cli.execute(["sweep", *overrides]) == 0
    row = read_summary(tmp_path / "results" / "tiny")[0]
    assert (row["lossless"], row["lossless_evidence"]) == ("true", "verified")


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
    promise, _, causal = scheduler_checks(point, 100)
    assert not promise.is_passed and not causal.is_passed
    assert reason in causal.detail


def test_verify_takes_one_point(
    tiny_zoo: TinyZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.execute(["verify", *tiny_overrides(tiny_zoo, tmp_path, "gamma=1,2")]) == 2
    assert "gamma has several values" in capsys.readouterr().err


@pytest.mark.parametrize("failing", ["law", "own"])
@pytest.mark.parametrize("is_lossy", [False, True])
def test_a_rule_fails_by_its_law_or_with_the_drafter_at_hand(
    tiny_zoo: TinyZoo,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    failing: str,
    is_lossy: bool,
) -> None:
    passed = CheckResult("check", True, "as it should be")
    pair = replace(
        PairResult("match", "a chain", is_lossy, passed, passed),
        **{failing: replace(passed, is_passed=False)},
    )
    for name in ("greedy_checks", "scheduler_checks"):
        monkeypatch.setattr(f"dspark_bench.commands.verify.{name}", lambda *given: [])
    monkeypatch.setattr("dspark_bench.commands.verify.sampled_checks", lambda *given: ([], None))
    monkeypatch.setattr("dspark_bench.commands.verify.pair_checks", lambda *given: [pair])
    code = cli.execute(["verify", *tiny_overrides(tiny_zoo, tmp_path, "gamma=2")])
    assert code == (0 if is_lossy else 1)
    assert ("not exact: match on a chain" in capsys.readouterr().err) != is_lossy
