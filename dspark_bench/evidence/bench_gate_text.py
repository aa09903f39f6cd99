"""What `bench_gate` counts, how sure its rates are, and the section that it keeps."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dspark_bench.evidence.gate_runs import ReplayBench
from dspark_bench.evidence.robustness_file import table_rows
from dspark_bench.gate.figures import FAIL_LEVEL, Verdict
from dspark_bench.gate.report import DEFAULT_MARGIN

HEADING: Final = "## The acceptance gate"


@dataclass(frozen=True, slots=True)
class Tally:
    """Verdicts of n repetitions."""

    name: str
    n: int
    num_failed: int
    num_open: int

    def row(self, revision: str) -> str:
        """A row of the table: shares with their one-sided 95 % upper bounds, and the commit."""
        cells = [self.name, str(self.n)]
        for count in (self.num_failed, self.num_open):
            cells.append(f"{count / self.n:.1%} (at most {upper_bound(count, self.n):.2%})")
        return "| " + " | ".join([*cells, revision]) + " |"


def tally(name: str, verdicts: Sequence[Verdict]) -> Tally:
    """Count verdicts."""
    return Tally(name, len(verdicts), verdicts.count("fail"), verdicts.count("open"))


def upper_bound(count: int, n: int, level: float = 0.05) -> float:
    """Clopper-Pearson: the largest rate at which `count` or fewer of n has chance `level`."""
    if count >= n:
        return 1.0

    def chance(rate: float) -> float:
        logs = [
            math.lgamma(n + 1)
            - math.lgamma(k + 1)
            - math.lgamma(n - k + 1)
            + k * math.log(rate)
            + (n - k) * math.log1p(-rate)
            for k in range(count + 1)
        ]
        return sum(map(math.exp, logs))

    low, high = 1e-12, 1 - 1e-12
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if chance(middle) > level else (low, middle)
    return high


def section(benches: Sequence[ReplayBench], found: Sequence[str], before: str = "") -> str:
    """The text that is kept. found: rows; before: the section whose other rows stay."""
    requests = benches[0].objects.prompts.requests
    gammas = " and ".join(str(bench.point.gamma) for bench in benches)
    rows = {**table_rows(before), **table_rows("\n".join(found))}
    power = [row for name, row in rows.items() if name.endswith("%")]
    return "\n".join(
        [
            HEADING,
            "",
            f"`make bench-gate`: zoo `semi_ar`, gamma {gammas} checked together, {len(requests)} "
            f"mixed prompts of {requests[0].max_new_tokens} tokens, margin {DEFAULT_MARGIN:.0%}, a "
            f"failure at {FAIL_LEVEL:g} after Holm. Bounds are one-sided 95 % (Clopper-Pearson).",
            "",
            "| repetitions | n | false alarms | inconclusive | commit |",
            "|---|---|---|---|---|",
            *(row for row in rows.values() if row not in power),
            "",
            "Power (simulated): noise on the real weights, other seeds than the baseline's. Loss: "
            "of acceptance rate, by expected acceptance, at each gamma.",
            "",
            "| aimed at | noise | loss | caught | inconclusive | passed | n | commit |",
            "|---|---|---|---|---|---|---|---|",
            *power,
            "",
        ]
    )
