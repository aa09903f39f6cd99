"""What a tree brings over a chain of the same drafter at equal verified tokens: `make tree-gain`.

    python -m dspark_bench.evidence.bench_tree_gain [--only 1-exact,16-match] [--prompts 48]

A part is a load and a rule: chains are judged at temperature 1 by `exact` and by `match`, which
judges every tree, so that the rule and the shape are told apart; and greedily. All arms of a part
are one block. Parts resume, and the table is made again from whatever parts are there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from dspark_bench.commands.sweep_list import run_sweep_list
from dspark_bench.commands.sweep_plan import SweepRequest
from dspark_bench.config.sweep_lists import Exhibit, SweepList
from dspark_bench.core.errors import ResultsError, UsageError
from dspark_bench.evidence.entry import run_bench
from dspark_bench.evidence.reference_origin import measured_on
from dspark_bench.reading.gather import gather
from dspark_bench.report.ratios import measured_speedup
from dspark_bench.report.recommend import Recommendation, recommend
from dspark_bench.report.tree_gain import TreeGain, tree_gains

WORK: Final = "tree-gain"
TABLE: Final = "tree_gain.md"
RULES: Final = {
    "exact": ("temperature=1", "acceptance=exact"),
    "match": ("temperature=1", "acceptance=match"),
    "greedy": ("temperature=0", "acceptance=exact"),
}
"""How chains are judged. Trees are judged by `match` in each; greedily all rules are one."""
TREE_DEPTHS: Final = {4: (4,), 8: (4, 8), 16: (4, 8), 32: (8,)}
"""Nodes -> depths tried."""
_TREE: Final = "best_first"
_HEAD = (
    "| drafter | basis | tree | chain | S of the tree | S of the chain | tree_gain | n | faster |",
    "|---|---|---|---|---|---|---|---|---|",
)
_FEW_ROUNDS: Final = 6


@dataclass(frozen=True, slots=True)
class Job:
    """prompts: at one request at a time; rounds: at more; extra: overrides of every sweep;
    lengths: of chains, the last one what the drafters are trained for; paths: checkpoints typed.
    """

    folder: Path
    drafters: tuple[str, ...] = ("semi_ar", "parallel", "ar")
    loads: tuple[int, ...] = (1, 4, 16)
    prompts: int = 48
    rounds: int = 8
    lengths: tuple[int, ...] = (4, 8, 16)
    nodes: tuple[int, ...] = tuple(TREE_DEPTHS)
    extra: tuple[str, ...] = ("max_new_tokens=96",)
    paths: tuple[tuple[str, Path], ...] = ()

    @property
    def parts(self) -> tuple[str, ...]:
        """Such as `4-match`: requests at once and rule."""
        return tuple(f"{load}-{rule}" for load in self.loads for rule in RULES)


def main(
    out: Annotated[Path, typer.Option(help="Folder of the table.")] = Path("results/reference"),
    results: Annotated[Path, typer.Option(help="Where points are kept.")] = Path("results"),
    only: Annotated[str, typer.Option(help="Parts, such as 1-exact,16-match; empty: all.")] = "",
    drafters: Annotated[str, typer.Option(help="Drafters.")] = "semi_ar,parallel,ar",
    prompts: Annotated[int, typer.Option(help="Prompts at one request at a time.")] = 48,
    rounds: Annotated[int, typer.Option(help="Rounds at several at once, 6 or more.")] = 8,
    extra: Annotated[str, typer.Option(help="More overrides, by spaces.")] = "max_new_tokens=96",
) -> None:
    """Measure what is missing and write the table."""
    if rounds < _FEW_ROUNDS:
        raise UsageError(f"--rounds is {rounds}; valid: {_FEW_ROUNDS} or more")
    names, more = tuple(drafters.split(",")), tuple(extra.split())
    job = Job(results / WORK, names, prompts=prompts, rounds=rounds, extra=more)
    parts = tuple(only.split(",")) if only else job.parts
    console = Console()
    console.print(measure(job, parts, console, out), markup=False, soft_wrap=True)


def measure(job: Job, parts: Sequence[str], console: Console, out: Path) -> str:
    """Measure these parts, write the table of all that are there, and return it.

    Raises UsageError for a part that there is not.
    """
    for part in parts:
        if part not in job.parts:
            raise UsageError(f"--only names {part!r}; valid: {', '.join(job.parts)}")
    for part in parts:
        found = SweepList(part, (Exhibit(part, sweeps_of(job, part)),), False, False)
        run_sweep_list(found, SweepRequest(()), console)
    text = gain_text(job)
    out.mkdir(parents=True, exist_ok=True)
    (out / TABLE).write_text(text, encoding="utf-8")
    return text


def sweeps_of(job: Job, part: str) -> tuple[tuple[str, ...], ...]:
    """Overrides of the sweeps whose points make one block."""
    load, _, rule = part.partition("-")
    users = int(load)
    size = (job.prompts, 1) if users == 1 else (2 * users, job.rounds)
    shared = (
        *(f"load.concurrency={users}", *RULES[rule]),
        *(f"num_requests={size[0]}", f"measure.repeats={size[1]}"),
        *("measure.precision=null", "measure.max_arms=64"),
        *("measure.calibration_requests=0", "measure.agreement_requests=0"),
        *(*job.extra, f"results_dir={job.folder}"),
    )
    paths, sweeps = dict(job.paths), list[tuple[str, ...]]()
    for drafter in job.drafters:
        own = (f"drafter={drafter}", *([f"drafter.path={paths[drafter]}"] if paths else []))
        sweeps.append((*own, f"gamma={','.join(map(str, job.lengths))}", *shared))
        for nodes in job.nodes:
            depths = ",".join(str(depth) for depth in TREE_DEPTHS[nodes])
            tree = (f"tree={_TREE}", f"tree.nodes={nodes}")
            sweeps.append((*own, f"gamma={depths}", *tree, *shared))
    return tuple(sweeps)


def gain_text(job: Job) -> str:
    """The Markdown of every part that is there. Raises ResultsError if none is."""
    folders = {part: job.folder / part for part in job.parts if (job.folder / part).is_dir()}
    if not folders:
        raise ResultsError(f"no part below {job.folder} has been measured")
    lines = [
        "# A tree over a chain of the same drafter",
        "",
        f"S of a tree (`tree={_TREE}`, judged by `match`) over S of a chain, paired in one block, "
        "95 % intervals; made by `make tree-gain`. Equal budget: as many verified tokens. Longest "
        "chain: more nodes than the drafter is trained for. Each at its best: chosen by S, with an "
        "interval that is simultaneous over all arms of the drafter. Units are prompts at one "
        f"request at a time, else rounds. {measured_on(*folders.values())}",
        "",
    ]
    for part, folder in folders.items():
        load, _, rule = part.partition("-")
        judged = "temperature 0" if rule == "greedy" else f"temperature 1, chains by `{rule}`"
        users = "1 request at a time" if load == "1" else f"{load} requests at once"
        lines += [f"## {users}, {judged}", ""]
        for item in recommend(gather(folder)):
            lines += [*_HEAD, *gain_rows(item), ""]
    return "\n".join(lines)


def gain_rows(found: Recommendation) -> list[str]:
    """One row per comparison."""
    return [_row(gain) for gain in tree_gains(found)]


def _row(gain: TreeGain) -> str:
    speeds = (measured_speedup(item.point).text() for item in (gain.tree, gain.chain))
    cells = (gain.tree.drafter, gain.basis.value, *gain.names, *speeds)
    ends = (gain.ratio.text(3), str(gain.ratio.n), gain.verdict)
    return f"| {' | '.join([*cells, *ends])} |"


if __name__ == "__main__":
    run_bench(main, "tree-gain")
