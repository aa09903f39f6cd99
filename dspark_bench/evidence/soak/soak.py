"""Runs the rounds of a soak and adds up what they gave."""

import ctypes
import gc
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import psutil

from dspark_bench.core.records import UNSERVED
from dspark_bench.evidence.soak.accounting import Memory, Totals, round_problems
from dspark_bench.evidence.soak.rounds import (
    NUM_ROWS,
    Round,
    build_arms,
    fill_rounds,
    loads,
    plan_rounds,
)

HEADING: Final = "## Soak"
_MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class SoakPlan:
    """arms: overrides of each; common: of all; rate: of open loads, requests per second."""

    arms: tuple[tuple[str, ...], ...]
    common: tuple[str, ...]
    num_requests: int
    per_round: int
    rate: float

    @property
    def num_sent(self) -> int:
        """All requests: the asked for, and one per cache row before them."""
        return self.num_requests + NUM_ROWS * len(self.arms)


@dataclass(slots=True)
class SoakResult:
    """Mutated round by round. seen: request ids that came back, over all rounds; num_rows_lost:
    cache rows that were still held after a round, summed.
    """

    totals: Totals = field(default_factory=lambda: Totals(Counter()))
    rss_mib: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    combinations: set[tuple[str, str]] = field(default_factory=set)
    seen: set[int] = field(default_factory=set)
    num_rows_lost: int = 0
    wall_s: float = 0.0

    @property
    def memory(self) -> Memory:
        """Resident memory over the rounds."""
        return Memory(tuple(self.rss_mib))


def run_soak(plan: SoakPlan, tell: Callable[[str], None]) -> SoakResult:
    """Build everything once, run every round, check each as it ends."""
    arms, prompts = build_arms(plan.arms, plan.common)
    process, done = psutil.Process(), SoakResult()
    started_s = time.monotonic()
    makers = loads(plan.rate)
    rounds = plan_rounds(arms, makers, prompts, plan.num_requests, plan.per_round)
    for item in (*fill_rounds(arms, prompts, plan.num_requests), *rounds):
        _serve(item, done)
        done.rss_mib.append(_resident_mib(process))
        tell(
            f"round {item.number}: {item.arm.name}, {item.load_name}: "
            f"{done.totals.reasons.total()} requests, {done.rss_mib[-1]:.0f} MiB, "
            f"{len(done.problems)} problems"
        )
    done.wall_s = time.monotonic() - started_s
    if len(done.seen) != plan.num_sent:
        done.problems.append(f"{len(done.seen)} of {plan.num_sent} requests came back")
    done.problems += done.memory.problems()
    return done


def _resident_mib(process: psutil.Process) -> float:
    """Once what is free has been given back: the C library keeps pages between blocks in use, more
    of them with every batch of a new shape, and that would look like a leak.
    """
    gc.collect()
    give_back = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
    if give_back is not None:
        give_back(0)
    return float(process.memory_info().rss) / _MIB


def _serve(item: Round, done: SoakResult) -> None:
    result = item.arm.engine.run(item.requests, item.load, seed=item.requests[0].request_id)
    name = f"round {item.number} ({item.arm.name}, {item.load_name})"
    found = round_problems(item.requests, result, item.arm.eos_token_ids)
    num_held = NUM_ROWS - item.arm.engine.num_free_rows
    if num_held:
        found.append(f"{num_held} of {NUM_ROWS} cache rows were not given back")
    done.num_rows_lost += num_held
    returned = {record.request_id for record in result.requests}
    found += [f"request {i} came back in an earlier round too" for i in returned & done.seen]
    done.problems += [f"{name}: {problem}" for problem in found]
    done.seen |= returned
    done.totals += Totals.of(result)
    done.combinations.add((item.arm.name, item.load_name))


def section(plan: SoakPlan, done: SoakResult, revision: str) -> str:
    """The text that is kept. revision: of the code that was run."""
    totals, memory = done.totals, done.memory
    num_served = sum(n for reason, n in totals.reasons.items() if reason not in UNSERVED)
    reasons = ", ".join(f"{reason} {n}" for reason, n in sorted(totals.reasons.items()))
    rows = [
        ("requests sent / came back once", f"{plan.num_sent} / {len(done.seen)}"),
        ("served; by finish reason", f"{num_served}; {reasons}"),
        ("arms x loads met", f"{len(done.combinations)}"),
        ("prompt tokens read", f"{totals.prompt_tokens}"),
        ("output tokens = tokens emitted by cycles", f"{totals.output_tokens}"),
        ("request-cycles; drafts accepted", f"{totals.cycles}; {totals.accepted_tokens}"),
        ("cache rows not given back after a round", f"{done.num_rows_lost}"),
        (
            "resident memory after the first, middle and last round, free heap given back",
            " / ".join(f"{memory.after_round_mib[i]:.0f}" for i in (0, len(done.rss_mib) // 2, -1))
            + " MiB",
        ),
        (
            "growth within the second half (allowed)",
            f"{memory.growth_mib:.1f} MiB ({memory.limit_mib:.1f}); "
            f"{memory.slope_mib(plan.per_round):+.2f} MiB per 1,000 requests",
        ),
        ("minutes", f"{done.wall_s / 60:.1f}"),
        ("problems", f"{len(done.problems)}"),
    ]
    num_filling = plan.num_sent - plan.num_requests
    return "\n".join(
        [
            HEADING,
            "",
            f"`make soak` (commit {revision}): {plan.num_requests} requests of mixed prompts and "
            f"lengths in one process, {len(plan.arms)} engines that live throughout (baseline, "
            f"drafters, schedulers), each round another load; before them {num_filling} that fill "
            "every cache row. Growth: median of the last quarter of rounds less the quarter "
            "before; slope: least squares over the second half.",
            "",
            "| | |",
            "|---|---|",
            *(f"| {name} | {value} |" for name, value in rows),
            "",
            *(f"- {problem}" for problem in done.problems),
        ]
    )
