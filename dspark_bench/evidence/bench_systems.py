"""Every drafter on one target, as a chain and as a tree: `make systems`.

    python -m dspark_bench.evidence.bench_systems [--only math-0,code-1] [--prompts 60]

A part is one domain at one temperature. First every arm of every drafter (draft lengths, trees,
and the layers of `layer_skip`) is tried on a few prompts of their own; then each drafter's fastest
chain and fastest tree are measured together in one block, on many. Both steps resume, part by part,
and the table is made again from whatever parts are there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from dspark_bench.commands.sweep_list import run_sweep_list
from dspark_bench.commands.sweep_plan import SweepRequest, plan_sweep
from dspark_bench.config.sweep_lists import Exhibit, SweepList
from dspark_bench.core.errors import UsageError
from dspark_bench.evidence.entry import run_bench
from dspark_bench.evidence.systems_arms import SYSTEMS, Arm, arms_of, find_systems
from dspark_bench.evidence.systems_table import keep_systems
from dspark_bench.measure.identity import HashCache
from dspark_bench.models.config_values import read_json
from dspark_bench.reading.gather import gather
from dspark_bench.reading.points import Point

WORK: Final = "systems"
TRIED: Final = "tried"
_TRIAL_SEED: Final = 1
"""Of the prompts that choose; those that measure have seed 0."""
_SHARED: Final = (
    *("measure.precision=null", "measure.repeats=1", "measure.max_arms=64"),
    *("measure.calibration_requests=0", "measure.agreement_requests=0"),
)


@dataclass(frozen=True, slots=True)
class Job:
    """folder: where sweeps are kept; prompts, trial_prompts: of each part; extra: overrides of
    every sweep, which may name another target; checkpoints: of drafters, instead of shipped ones.
    """

    folder: Path
    domains: tuple[str, ...] = ("math", "code", "prose")
    temperatures: tuple[str, ...] = ("0", "1")
    drafters: tuple[str, ...] = SYSTEMS
    prompts: int = 60
    trial_prompts: int = 8
    extra: tuple[str, ...] = ("max_new_tokens=96",)
    checkpoints: Mapping[str, Path] = field(default_factory=dict)

    @property
    def parts(self) -> tuple[str, ...]:
        """Such as `math-0`: domain and temperature."""
        return tuple(f"{domain}-{t}" for domain in self.domains for t in self.temperatures)

    def settings(self, part: str) -> tuple[str, ...]:
        """Overrides of one part."""
        domain, _, temperature = part.rpartition("-")
        return f"workload={domain}", f"temperature={temperature}", *_SHARED, *self.extra


def main(
    out: Annotated[Path, typer.Option(help="Folder of systems.md.")] = Path("results/reference"),
    results: Annotated[Path, typer.Option(help="Where points are kept.")] = Path("results"),
    only: Annotated[str, typer.Option(help="Parts, such as math-0,code-1; empty: all.")] = "",
    drafters: Annotated[str, typer.Option(help="Some of them; empty: all.")] = "",
    prompts: Annotated[int, typer.Option(help="Prompts of each part.")] = 60,
    trial_prompts: Annotated[int, typer.Option(help="Prompts that choose its arms.")] = 8,
    domains: Annotated[str, typer.Option(help="Workloads.")] = "math,code,prose",
    extra: Annotated[str, typer.Option(help="More overrides, by spaces.")] = "max_new_tokens=96",
) -> None:
    """Measure what is missing and write the table."""
    chosen = tuple(drafters.split(",")) if drafters else SYSTEMS
    workloads, more = tuple(domains.split(",")), tuple(extra.split())
    job = Job(
        results / WORK, workloads, drafters=chosen, prompts=prompts, trial_prompts=trial_prompts,
        extra=more,
    )  # fmt: skip
    console = Console()
    print_table(measure(job, parts_of(job, only), console, out), console)


def print_table(text: str, console: Console) -> None:
    """The Markdown as it was written."""
    console.print(text, markup=False, soft_wrap=True)


def parts_of(job: Job, only: str) -> tuple[str, ...]:
    """Those named, or all. Raises UsageError for one that there is not."""
    named = tuple(only.split(",")) if only else job.parts
    for part in named:
        if part not in job.parts:
            raise UsageError(f"--only names {part!r}; valid: {', '.join(job.parts)}")
    return named


def measure(job: Job, parts: Sequence[str], console: Console, out: Path) -> str:
    """Try, choose and measure each part; then write `systems.md` and return it."""
    target_dir = _target_dir(job)
    systems, missing = find_systems(job.drafters, target_dir, job.checkpoints)
    if not systems:
        raise UsageError(f"none of {', '.join(job.drafters)} can be measured on {target_dir}")
    depth = int(read_json(target_dir / "config.json")["num_hidden_layers"])
    for part in parts:
        arms = [arm for system in systems for arm in arms_of(system, depth)]
        chosen = choose(job, part, arms, console)
        _run(job, part, part, chosen, (f"num_requests={job.prompts}",), console)
    return keep_systems(job.folder, job.parts, systems, missing, out)


def choose(job: Job, part: str, arms: Sequence[Arm], console: Console) -> list[Arm]:
    """The fastest chain and the fastest tree of each system, by a trial on other prompts."""
    trial = (f"num_requests={job.trial_prompts}", f"seed={_TRIAL_SEED}", "measure.law_tokens=0")
    _run(job, part, f"{part}-{TRIED}", arms, trial, console)
    points = gather(job.folder / f"{part}-{TRIED}").points
    speeds = {_signature(point): point.number("speedup") or 0.0 for point in points}
    best: dict[tuple[str, bool], Arm] = {}
    for arm in arms:
        place = (arm.system, arm.is_tree)
        if place not in best or _speed(arm, speeds) > _speed(best[place], speeds):
            best[place] = arm
    return list(best.values())


Signature = frozenset[tuple[str, str]]


def _signature(point: Point) -> Signature:
    keys = ("drafter", "gamma", "tree", "tree.nodes", "drafter.layers")
    known = {key: _plain(point.keys.get(key)) for key in keys}
    return frozenset((key, value) for key, value in known.items() if value not in ("", "none"))


def _speed(arm: Arm, speeds: Mapping[Signature, float]) -> float:
    """Of an arm's point; 0 where it has none."""
    pairs = [override.partition("=") for override in arm.overrides]
    wanted = frozenset((key, _plain(value)) for key, _, value in pairs if key != "drafter.path")
    return speeds.get(wanted, 0.0)


def _plain(value: object) -> str:
    return "" if value is None else str(value).replace(" ", "")


def _run(
    job: Job,
    part: str,
    name: str,
    arms: Sequence[Arm],
    settings: Sequence[str],
    console: Console,
) -> None:
    """All arms in the blocks of one folder."""
    shared = (*job.settings(part), *settings, f"results_dir={job.folder}")
    sweeps = tuple((*arm.overrides, *shared) for arm in arms)
    found = SweepList(name, (Exhibit(name, sweeps),), is_suite=False, is_beside_paper=False)
    run_sweep_list(found, SweepRequest(()), console)


def _target_dir(job: Job) -> Path:
    """Where the target lies that the extra overrides name."""
    _, (point, *_) = plan_sweep((*job.settings(job.parts[0]), "drafter=none"), HashCache())
    return point.config.target_dir


if __name__ == "__main__":
    run_bench(main, "systems")
