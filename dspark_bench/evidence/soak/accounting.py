"""Whether a round lost, doubled or miscounted anything, and whether memory stays flat. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

import numpy as np

from dspark_bench.core.records import UNSERVED, CycleRecord, RequestRecord, RunResult
from dspark_bench.core.types import Request

EOS, LENGTH = "eos", "length"
GROWTH_MIB: Final = 20.0
GROWTH_SHARE: Final = 0.02
MIN_ROUNDS: Final = 40
"""Every engine must have met its loads before memory can be called flat or not."""


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over rounds. reasons: requests by finish reason."""

    reasons: Counter[str]
    prompt_tokens: int = 0
    output_tokens: int = 0
    cycles: int = 0
    accepted_tokens: int = 0

    @classmethod
    def of(cls, result: RunResult) -> "Totals":
        """Of one round. Prompt tokens count where the prompt was read."""
        served = [record for record in result.requests if record.finish_reason not in UNSERVED]
        return cls(
            Counter(record.finish_reason for record in result.requests),
            sum(record.num_prompt_tokens for record in served),
            sum(len(record.output_tokens) for record in served),
            len(result.cycles),
            sum(record.num_accepted for record in result.cycles),
        )

    def __add__(self, other: "Totals") -> "Totals":
        """Sums of both."""
        return Totals(
            self.reasons + other.reasons,
            self.prompt_tokens + other.prompt_tokens,
            self.output_tokens + other.output_tokens,
            self.cycles + other.cycles,
            self.accepted_tokens + other.accepted_tokens,
        )


def round_problems(
    requests: Sequence[Request], result: RunResult, eos_token_ids: Sequence[int]
) -> list[str]:
    """What does not add up; empty if every request is there once and every token is counted."""
    sent = {request.request_id: request for request in requests}
    returned = Counter(record.request_id for record in result.requests)
    found = [f"request {i} is lost" for i in sent if i not in returned]
    found += [f"request {i} came back {n} times" for i, n in returned.items() if n > 1]
    found += [f"request {i} was never sent" for i in returned if i not in sent]
    emitted: Counter[int] = Counter()
    for cycle in result.cycles:
        emitted[cycle.request_id] += cycle.num_emitted
        found += _cycle_problems(cycle)
    found += [f"cycles of request {i}, which was never sent" for i in emitted if i not in sent]
    for record in result.requests:
        if record.request_id in sent:
            counted = emitted[record.request_id]
            found += _record_problems(sent[record.request_id], record, counted, eos_token_ids)
    return found


def _cycle_problems(cycle: CycleRecord) -> list[str]:
    """Drafted >= verified >= accepted; what stands and the bonus are emitted, unless some is cut.

    Behind an accepted end of sequence everything is cut, accepted drafts too.
    """
    is_ordered = cycle.num_drafted >= cycle.verify_len >= cycle.num_accepted >= 0
    whole = cycle.num_accepted + 1
    is_whole = cycle.num_emitted == whole and cycle.num_cut == 0
    is_cut = cycle.num_cut > 0 and whole - cycle.num_cut <= cycle.num_emitted <= whole
    if is_ordered and cycle.num_emitted > 0 and (is_whole or is_cut):
        return []
    return [
        f"request {cycle.request_id}, cycle {cycle.cycle}: {cycle.num_drafted} drafted, "
        f"{cycle.verify_len} verified, {cycle.num_accepted} accepted, {cycle.num_emitted} emitted, "
        f"{cycle.num_cut} cut"
    ]


def _record_problems(
    request: Request, record: RequestRecord, counted: int, eos_token_ids: Sequence[int]
) -> list[str]:
    name = f"request {request.request_id} ({record.finish_reason})"
    length, reason = len(record.output_tokens), record.finish_reason
    found = []
    if counted != length:
        found.append(f"{name}: {length} tokens, but its cycles emitted {counted}")
    if record.num_prompt_tokens != len(request.prompt_tokens):
        found.append(f"{name}: {record.num_prompt_tokens} prompt tokens")
    num_ends = sum(token in eos_token_ids for token in record.output_tokens)
    ends_well = {
        LENGTH: length == request.max_new_tokens and num_ends == 0,
        EOS: 0 < length <= request.max_new_tokens
        and num_ends == 1
        and record.output_tokens[-1] in eos_token_ids,
        **dict.fromkeys(UNSERVED, length == 0),
    }
    if not ends_well.get(reason, False):
        found.append(f"{name}: ends after {length} of {request.max_new_tokens} tokens")
    return found


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory after each round, MiB. Warm-up is the first half."""

    after_round_mib: tuple[float, ...]

    @property
    def growth_mib(self) -> float:
        """Median of the last quarter less that of the quarter before; NaN under `MIN_ROUNDS`."""
        values = self.after_round_mib
        if len(values) < MIN_ROUNDS:
            return float("nan")
        half, rest = len(values) // 2, len(values) - len(values) // 4
        return median(values[rest:]) - median(values[half:rest])

    @property
    def limit_mib(self) -> float:
        """Growth from which on memory is not called flat: 2 %, at least 20 MiB."""
        return max(GROWTH_MIB, GROWTH_SHARE * median(self.after_round_mib))

    def slope_mib(self, requests_per_round: float) -> float:
        """Least-squares growth per 1,000 requests over the second half."""
        values = self.after_round_mib[len(self.after_round_mib) // 2 :]
        if len(values) < 2:
            return float("nan")
        slope = np.polyfit(np.arange(len(values)), values, 1)[0]
        return float(slope) * 1000 / requests_per_round

    def problems(self) -> list[str]:
        """Empty if memory is flat after warm-up, or if there are too few rounds to say."""
        if not self.growth_mib > self.limit_mib:
            return []
        return [f"memory grew by {self.growth_mib:.1f} MiB; allowed: {self.limit_mib:.1f}"]
