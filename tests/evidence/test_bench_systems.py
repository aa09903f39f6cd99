"""The table of all drafters: which arms are tried, which are chosen, and what the file says."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from dspark_bench.core.errors import UsageError
from dspark_bench.evidence.bench_systems import TRIED, Job, choose, measure, parts_of
from dspark_bench.evidence.systems_arms import (
    SYSTEMS,
    Arm,
    System,
    arms_of,
    find_systems,
    floor_layers,
)
from dspark_bench.evidence.systems_table import systems_text
from dspark_bench.evidence.systems_training import Training, training_lines, training_of
from dspark_bench.models.config_values import read_json
from dspark_bench.reading.gather import gather
from tests.report.folders import cells, write_sweep, write_times
from tests.sweeps import tiny_overrides
from tests.tiny_models import TinyZoo

_ZOO = Path("dspark_bench/zoo")
_SECONDS = {f"p{n}": (1.0 + n, 1.25 * (1.0 + n)) for n in range(10)}


def _quiet() -> Console:
    return Console(file=io.StringIO())


def test_shipped_drafters_are_measured_and_others_named() -> None:
    systems, missing = find_systems((*SYSTEMS, "unheard"), _ZOO / "target")
    found = {system.name: system for system in systems}
    assert {"ngram", "layer_skip", "ar", "parallel", "semi_ar"} <= set(found)
    assert missing["unheard"] == "not in this version"
    assert set(found) | set(missing) == {*SYSTEMS, "unheard"}
    assert found["semi_ar"].max_gamma == 16 and found["semi_ar"].has_trees
    assert found["ngram"].checkpoint is None and not found["ngram"].has_trees
    none = find_systems(("semi_ar",), Path("nowhere"))
    assert none == ((), {"semi_ar": "not trained yet: no checkpoint for this target"})


def test_arms_stay_within_what_a_drafter_can() -> None:
    hydra = System("hydra", Path("h"), True, 4, True)
    assert [arm.overrides[2:] for arm in arms_of(hydra, 24)] == [
        ("gamma=2",),
        ("gamma=4",),
        ("gamma=4", "tree=best_first", "tree.nodes=4"),
        ("gamma=4", "tree=best_first", "tree.nodes=8"),
    ]
    eagle = arms_of(System("eagle", None, False, 16, True), 24)
    assert {arm.overrides[2] for arm in eagle if arm.is_tree} == {"tree=best_first", "tree=beam"}
    assert floor_layers(24) == ("4", "6", "8", "12", "[0,1,2,3,22,23]")
    assert floor_layers(4) == ("1", "2", "[0,2,3]")
    floor = arms_of(System("layer_skip", None, False, None, False), 4)
    assert len(floor) == 3 * 3 and not any(arm.is_tree for arm in floor)
    assert floor[0].overrides == ("drafter=layer_skip", "drafter.layers=1", "gamma=1")


def test_training_is_what_the_manifest_says() -> None:
    folder = _ZOO / "drafters" / "semi_ar"
    manifest = read_json(folder / "manifest.json")
    found = training_of(folder)
    assert (found.parameters, found.tokens) == (manifest["parameters"], manifest["tokens_seen"])
    assert Training(10, 7).flops == 420 and Training(None, 7).flops is None
    lines = training_lines([System("ngram", None, False, None, False)])
    assert lines[2] == "| ngram | 0 | 0 | 0 |" and "6 x own parameters" in lines[-1]
    assert training_of(Path("nowhere")) == Training(None, None)


def test_an_unknown_part_is_one_line() -> None:
    job = Job(Path("x"), domains=("math",))
    assert parts_of(job, "") == ("math-0", "math-1")
    with pytest.raises(UsageError, match="--only names 'code-0'; valid: math-0, math-1"):
        parts_of(job, "code-0")


def _row(name: str, speedup: float, **values: object) -> dict[str, object]:
    own = {"speedup": speedup, "speedup_ci_low": speedup - 0.1, "speedup_ci_high": speedup + 0.1}
    return cells(name, **({"block_id": "b", "tree": "none", "tree_nodes": ""} | own | values))


def test_every_row_stands_over_the_floor_of_its_block(tmp_path: Path) -> None:
    rows = [
        _row("floor", 1.25, drafter="layer_skip", gamma=2),
        _row("chain", 1.5),
        _row("tree", 1.2, tree="best_first", tree_nodes=8),
    ]
    folder = write_sweep(tmp_path / "s", rows)
    for place, (name, factor) in enumerate((("floor", 1.0), ("chain", 1.2), ("tree", 0.96))):
        times = {
            prompt: (own / (factor + 0.01 * (number * (place + 1) % 5)), base)
            for number, (prompt, (own, base)) in enumerate(_SECONDS.items())
        }
        write_times(folder / "points" / name, times)
    system = System("semi_ar", None, False, 16, True)
    text = systems_text(
        {"math-0": gather(folder).points}, [system], {"mtp": "not trained yet"}, "Measured there."
    )
    shown = [
        line.split(" | ") for line in text.splitlines() if line.startswith(("| semi", "| lay"))
    ]
    assert [cell[:2] for cell in shown[:3]] == [
        ["| semi_ar", "chain of 4"],
        ["| layer_skip", "chain of 2"],
        ["| semi_ar", "best_first of 8 nodes, 4 deep"],
    ]
    assert shown[0][2] == "2.05 [2.00-2.10]" and shown[0][4] == "1.50 [1.40-1.60]"
    over = [float(shown[place][5].split()[0]) for place in (0, 2)]
    assert over == pytest.approx([1.2, 0.96], rel=0.02) and shown[1][5] == "-"
    assert "Every trained drafter measured here is clearly faster than `layer_skip`." in text
    assert "## math, temperature 0" in text and "- `mtp`: not trained yet" in text


@pytest.mark.slow
def test_the_file_of_a_tiny_run_holds_what_was_measured(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    typed = tiny_overrides(tiny_zoo, tmp_path)
    left_out = ("drafter", "name=", "results_dir=", "num_requests=", "measure.calib", "workload=")
    extra = tuple(o for o in typed if not o.startswith((*left_out, "measure.agree")))
    job = Job(
        tmp_path / "systems", ("jsonl",), ("0",), ("layer_skip", "semi_ar", "mtp"), prompts=6,
        trial_prompts=2, extra=extra, checkpoints={"semi_ar": tiny_zoo.semi_ar},
    )  # fmt: skip
    text = measure(job, job.parts, _quiet(), tmp_path / "out")
    assert (tmp_path / "out" / "systems.md").read_text() == text
    points = gather(job.folder / "jsonl-0").points
    assert len(points) == 3 and len({point.text("block_id") for point in points}) == 1
    for point in points:
        assert f"| {point.number('speedup'):.2f} [" in text
        assert f"| {point.number('accepted_length'):.2f}" in text
    assert "- `mtp`: not trained yet" in text and "## jsonl, temperature 0" in text
    tried = gather(job.folder / f"jsonl-0-{TRIED}").points
    chains = [p for p in tried if p.text("drafter") == "semi_ar" and p.text("tree") == "none"]
    best = max(chains, key=lambda point: point.number("speedup") or 0.0)
    arms = [Arm("semi_ar", False, a) for a in _chain_arms(tiny_zoo)]
    assert choose_again(job, arms) == f"gamma={best.text('gamma')}"


def _chain_arms(zoo: TinyZoo) -> list[tuple[str, ...]]:
    own = ("drafter=semi_ar", f"drafter.path={zoo.semi_ar}")
    return [(*own, f"gamma={gamma}") for gamma in (2, 4, 8)]


def choose_again(job: Job, arms: list[Arm]) -> str:
    """The draft length chosen from the trial that is there already."""
    (chosen,) = choose(job, "jsonl-0", arms, _quiet())
    return chosen.overrides[-1]
