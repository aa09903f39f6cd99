"""A block of arms put together from records: what `bench_precision` draws its runs from.

What each prompt gave, cycle by cycle, is in the committed results: the gate's baseline (`semi_ar`
at gamma 4 and 8, two repeats) and the reference over domains (three drafters at gamma 7, beside
their baseline) ran the same 192 prompts. What a cycle of each arm costs, and how the pace of a
machine drifts from turn to turn, is in `turns.csv` (`record_turns`). A run draws prompts anew,
domain by domain, and stretches of the drift as it was recorded, with the arms' turns in the orders
of a Williams square. The truth is the ratio over all prompts at those costs.
"""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import yaml

from dspark_bench.core.errors import ResultsError
from dspark_bench.evidence.record_turns import AT_ONCE, BASELINE, ROUND_PROMPTS, TURNS
from dspark_bench.measure.williams import orders
from dspark_bench.metrics.frames import BASELINE as BASELINE_ARM
from dspark_bench.metrics.frames import SPECULATIVE, TURN_KEY, measured
from dspark_bench.metrics.strata import IntArray
from dspark_bench.metrics.units import FloatArray

GATE: Final = Path("results/baseline/zoo/points")
DOMAINS: Final = Path("results/reference/domains/points")
COPY: Final = " (copy)"
"""Ends the name of an arm that is a second run of another one."""
_DRAFTERS: Final = {
    "ParallelDrafter": "parallel 7",
    "SemiAutoregressiveDrafter": "semi_ar 7",
    "AutoregressiveDrafter": "ar 7",
}
_STRETCH: Final = 100
_HANDOVERS: Final = 4
"""Turns of about a second that an arm's share of a round is served in."""


@dataclass(frozen=True, slots=True)
class RecordedBlock:
    """P prompts, the baseline first among A arms.

    domains [P]: numbered; emitted[a][p]: tokens of each cycle of a run, the prompt's own cycle
    first; costs_s [2, A]: seconds per cycle, one request at a time and eight at once; drift [T]:
    logarithm of what turns took over what they should have, in order of time.
    """

    arms: tuple[str, ...]
    domains: IntArray
    emitted: tuple[tuple[FloatArray, ...], ...]
    costs_s: FloatArray
    drift: FloatArray

    @property
    def tokens(self) -> FloatArray:
        """[A, P]."""
        return np.array([[run.sum() for run in runs] for runs in self.emitted])

    @property
    def cycles(self) -> FloatArray:
        """[A, P]."""
        return np.array([[float(len(run)) for run in runs] for runs in self.emitted])

    def only(self, arms: Sequence[str]) -> "RecordedBlock":
        """The baseline and these of the arms. Raises ValueError for one that is not there."""
        kept = [0, *map(self.arms.index, arms)]
        return replace(
            self,
            arms=tuple(self.arms[number] for number in kept),
            emitted=tuple(self.emitted[number] for number in kept),
            costs_s=self.costs_s[:, kept],
        )

    def at_drift(self, factor: float) -> "RecordedBlock":
        """The same on a machine whose pace drifts so much more or less."""
        return replace(self, drift=factor * self.drift)

    def stretches(self, num_runs: int, length: int, random: np.random.Generator) -> FloatArray:
        """[N, length] of the drift: stretches of 100 turns as they came, from random moments on.

        After the end comes the start. Longer ones would bring the same turns again in step.
        """
        num_stretches = -(-length // _STRETCH)
        starts = random.integers(len(self.drift), size=(num_runs, num_stretches, 1))
        places = (starts + np.arange(_STRETCH)) % len(self.drift)
        return np.asarray(self.drift[places].reshape(num_runs, -1)[:, :length])


@dataclass(frozen=True, slots=True)
class Drawn:
    """N runs of K arms: tables [K, N, U, 4] as in `log_ratio`, strata [U] or None."""

    tables: FloatArray
    strata: IntArray | None


def prompt_runs(
    block: RecordedBlock, num_runs: int, num_prompts: int, random: np.random.Generator
) -> Drawn:
    """Runs of one request at a time over so many prompts, in turn of every domain."""
    num_domains, num_arms = int(block.domains.max()) + 1, len(block.arms)
    strata = np.arange(num_prompts) % num_domains
    chosen = np.stack(
        [random.choice(np.flatnonzero(block.domains == d), num_runs) for d in strata], axis=1
    )
    square = np.array(orders(num_arms))
    places = np.argsort(square, axis=1)[np.arange(num_prompts) % len(square)]
    drift = block.stretches(num_runs, num_prompts * num_arms, random)
    pace = np.exp(drift.reshape(num_runs, num_prompts, num_arms))
    tokens, cycles = block.tokens, block.cycles

    def arm(number: int) -> tuple[FloatArray, FloatArray]:
        own = np.take_along_axis(pace, places[None, :, number, None], axis=2)[..., 0]
        return tokens[number][chosen], cycles[number][chosen] * block.costs_s[0, number] * own

    baseline = arm(0)
    tables = [np.stack([*arm(number), *baseline], axis=-1) for number in range(1, num_arms)]
    return Drawn(np.stack(tables), strata.astype(np.int64))


def prompt_truth(block: RecordedBlock) -> FloatArray:
    """[K] log S over all prompts."""
    speeds = block.tokens.sum(axis=1) / block.cycles.sum(axis=1) / block.costs_s[0]
    return np.asarray(np.log(speeds[1:] / speeds[0]))


@dataclass(frozen=True, slots=True)
class RoundPool:
    """R rounds of every arm: tokens and cycles [A, R] of their steady parts."""

    tokens: FloatArray
    cycles: FloatArray

    def truth(self, block: RecordedBlock) -> FloatArray:
        """[K] log S over all of them."""
        speeds = self.tokens.sum(axis=1) / self.cycles.sum(axis=1) / block.costs_s[1]
        return np.asarray(np.log(speeds[1:] / speeds[0]))


def pool_rounds(block: RecordedBlock, num_rounds: int, random: np.random.Generator) -> RoundPool:
    """Rounds of 24 prompts, eight at once, put together from single prompts' recorded cycles."""
    num_domains = int(block.domains.max()) + 1
    places = [np.flatnonzero(block.domains == d) for d in range(num_domains)]
    found = np.empty((num_rounds, len(block.arms), 2))
    for number in range(num_rounds):
        parts = [random.choice(place, ROUND_PROMPTS // num_domains, False) for place in places]
        chosen = np.stack(parts, axis=1).ravel()
        for arm, runs in enumerate(block.emitted):
            found[number, arm] = steady_part([runs[prompt] for prompt in chosen], AT_ONCE)
    return RoundPool(found[..., 0].T, found[..., 1].T)


def steady_part(runs: Sequence[FloatArray], at_once: int) -> tuple[float, float]:
    """Tokens and cycles of a closed loop while it is full, after the cycle that all begin with.

    runs: tokens of every cycle of each request, in the order in which they are admitted.
    """
    slots, spans = [0] * at_once, []
    for run in runs:
        start = heapq.heappop(slots)
        spans.append((start, start + len(run)))
        heapq.heappush(slots, start + len(run))
    last = min(slots)  # from here on a slot is empty
    tokens = 0.0
    for run, (start, _) in zip(runs, spans, strict=True):
        tokens += float(run[max(1 - start, 0) : max(last - start, 0)].sum())
    return tokens, float(max(last - 1, 0))


def round_runs(
    block: RecordedBlock,
    pool: RoundPool,
    num_runs: int,
    num_rounds: int,
    random: np.random.Generator,
) -> Drawn:
    """Runs of so many rounds; arms take turns of a second, four in a round."""
    num_arms = len(block.arms)
    chosen = random.integers(pool.tokens.shape[1], size=(num_runs, num_rounds))
    square = np.array(orders(num_arms))
    turns = num_rounds * _HANDOVERS
    places = np.argsort(square, axis=1)[np.arange(turns) % len(square)]
    drift = block.stretches(num_runs, turns * num_arms, random)
    pace = np.exp(drift.reshape(num_runs, turns, num_arms))

    def arm(number: int) -> tuple[FloatArray, FloatArray]:
        own = np.take_along_axis(pace, places[None, :, number, None], axis=2)[..., 0]
        mean = own.reshape(num_runs, num_rounds, _HANDOVERS).mean(axis=2)
        cycles = pool.cycles[number][chosen] * block.costs_s[1, number]
        return pool.tokens[number][chosen], cycles * mean

    baseline = arm(0)
    tables = [np.stack([*arm(number), *baseline], axis=-1) for number in range(1, num_arms)]
    return Drawn(np.stack(tables), None)


def read_block(arms: Sequence[str], turns: Path = TURNS) -> RecordedBlock:
    """The baseline and these arms, such as `semi_ar 4` or its second run, `semi_ar 4 (copy)`.

    Raises ResultsError for an arm that is not on record.
    """
    runs = dict(chain(_gate_runs(), _domain_runs()))
    domains = _domains()
    prompts = sorted(domains)
    costs, drift = read_pace(turns, [BASELINE, *(arm.removesuffix(COPY) for arm in arms)])
    missing = [arm for arm in arms if arm not in runs]
    if missing:
        raise ResultsError(f"no records of {missing[0]}; there are: {', '.join(sorted(runs))}")
    codes, _ = pd.factorize(np.array([domains[prompt] for prompt in prompts]))
    return RecordedBlock(
        (BASELINE, *arms),
        codes.astype(np.int64),
        tuple(tuple(runs[arm][prompt] for prompt in prompts) for arm in (BASELINE, *arms)),
        costs,
        drift,
    )


def read_pace(path: Path, arms: Sequence[str]) -> tuple[FloatArray, FloatArray]:
    """Seconds per cycle [2, A] and the drift [T] of a file that `record_turns` wrote.

    Raises ResultsError if an arm has no turn in it.
    """
    frame = pd.read_csv(path)
    frame = frame[frame["cycles"] > 0]
    sums = frame.groupby(["at_once", "arm"])[["seconds", "cycles"]].sum()
    costs = sums["seconds"] / sums["cycles"]
    for key in ((at_once, arm) for at_once in (1, AT_ONCE) for arm in arms):
        if key not in costs.index:
            raise ResultsError(f"{path} holds no turn of {key[1]} with {key[0]} requests at once")
    single = frame[frame["at_once"] == 1].sort_values("started_s")
    usual = single["arm"].map(costs.loc[1]) * single["cycles"]
    drift = np.log(single["seconds"] / usual).to_numpy(np.float64)
    table = [[costs[at_once, arm] for arm in arms] for at_once in (1, AT_ONCE)]
    return np.array(table, dtype=np.float64), drift


Runs = dict[str, FloatArray]
"""Tokens of every cycle, by prompt."""


def _gate_runs() -> Iterator[tuple[str, Runs]]:
    for point in _points(GATE):
        name = f"semi_ar {_config(point)['gamma']}"
        yield name, _runs(point, SPECULATIVE, 0)
        yield name + COPY, _runs(point, SPECULATIVE, 1)


def _domain_runs() -> Iterator[tuple[str, Runs]]:
    found: dict[str, Runs] = {}
    for point in _points(DOMAINS):
        drafter = str(_config(point)["drafter"]["_target_"]).rpartition(".")[2]
        for name, arm in ((_DRAFTERS[drafter], SPECULATIVE), (BASELINE, BASELINE_ARM)):
            found[name] = found.get(name, {}) | _runs(point, arm, 0)
    yield from found.items()


def _runs(point: Path, arm: str, number: int) -> Runs:
    cycles = measured(pd.read_parquet(point / "cycles.parquet"), arm)
    requests = measured(pd.read_parquet(point / "requests.parquet"), arm)
    key = [*TURN_KEY, "request_id"]
    rows = cycles[cycles["repeat"] == number].merge(
        requests[[*key, "prompt_id"]].drop_duplicates(), on=key
    )
    grouped = rows.sort_values(["block", "cycle"]).groupby("prompt_id")["num_emitted"]
    return {str(name): part.to_numpy(np.float64) for name, part in grouped}


def _domains() -> dict[str, str]:
    point = next(iter(_points(GATE)))
    frame = pd.read_parquet(point / "requests.parquet")[["prompt_id", "domain"]]
    return dict(zip(frame["prompt_id"], frame["domain"], strict=True))


def _points(folder: Path) -> list[Path]:
    return sorted(folder.glob("[!.]*"))


def _config(point: Path) -> dict[str, dict[str, object]]:
    content: dict[str, dict[str, object]] = yaml.safe_load((point / "config.yaml").read_text())
    return content
