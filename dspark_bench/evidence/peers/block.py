"""One batch size: its workers started, their rounds taken, and all of them ended."""

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dspark_bench.evidence.peers.arms import (
    VLLM,
    VLLM_EAGLE3,
    Arm,
    Models,
    Setting,
    arms_for,
    vllm_variables,
)
from dspark_bench.evidence.peers.process import Launch, PeerError, Worker
from dspark_bench.evidence.peers.rounds import Block, take_turns
from dspark_bench.machine.watch import MachineReader
from dspark_bench.metrics.machine import Reading

_START_S: Final = 900
"""Longest start that is waited for: vLLM's first one compiles for minutes."""
_TURN_S: Final = 1800

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Site:
    """Where the peers are. work: the folder that holds the models; vllm: Python of the environment
    that has it, None if there is none; why: then the reason.
    """

    work: Path
    vllm: Path | None
    why: str = ""


def measure_block(
    site: Site, setting: Setting, prompts: Sequence[Sequence[int]], rounds: int, say: Say
) -> Block:
    """Every arm of one batch size. A peer that cannot start is left out, with one line.

    Raises PeerError for our own engine's start, and for whoever fails in mid-run.
    """
    missing = {} if site.vllm is not None else dict.fromkeys((VLLM, VLLM_EAGLE3), site.why)
    workers: dict[str, Worker] = {}
    with ExitStack() as stack:
        for arm in arms_for(setting.batch, Models(), site.vllm is not None):
            say(f"batch {setting.batch}: {arm.name} starts")
            try:
                worker = Worker(
                    _launch(arm, site, setting), arm.settings(setting, Models()), _START_S
                )
            except PeerError as error:
                if arm.engine == "ours":
                    raise
                say(str(error))
                missing[arm.name] = str(error)
                continue
            workers[arm.name] = stack.enter_context(worker)
        facts = {name: worker.facts for name, worker in workers.items()}
        before = _spent(workers)
        answers = take_turns(
            workers,
            prompts,
            rounds,
            _TURN_S,
            lambda done, of: say(f"batch {setting.batch}: round {done} of {of}"),
        )
        others = others_cores(before, _spent(workers))
    return Block(setting.batch, answers, facts, missing, others)


@dataclass(frozen=True, slots=True)
class Spent:
    """Until one moment. machine: its counters; workers_s: processor seconds of all workers."""

    machine: Reading
    workers_s: float


def others_cores(before: Spent, after: Spent) -> float | None:
    """Cores that neither workers nor bench kept busy in between; None if the machine hides it."""
    if before.machine.busy_s is None or after.machine.busy_s is None:
        return None
    busy_s = after.machine.busy_s - before.machine.busy_s
    own_s = after.machine.own_s - before.machine.own_s + after.workers_s - before.workers_s
    return max(0.0, busy_s - own_s) / (after.machine.time_s - before.machine.time_s)


def _spent(workers: Mapping[str, Worker]) -> Spent:
    return Spent(MachineReader().read(), sum(worker.cpu_s() for worker in workers.values()))


def _launch(arm: Arm, site: Site, setting: Setting) -> Launch:
    if arm.engine == "vllm" and site.vllm is not None:
        variables = vllm_variables(site.work)
        return arm.launch(site.vllm, site.work, setting.threads, variables)
    return arm.launch(Path(sys.executable), site.work, setting.threads, {})
