"""Acceptance by prompt: what the gate compares, from the records of a point.

Letters: R repeats, U prompts, K = gamma. Index 0 of a position axis is position 1.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from dspark_bench.core.errors import ResultsError
from dspark_bench.metrics.frames import (
    SPECULATIVE,
    TURN_KEY,
    cycle_depths,
    decode_cycles,
    measured,
)
from dspark_bench.metrics.sums import FloatArray, trial_cycles
from dspark_bench.reading.records import ROUNDING, check_records

MAX_COUNT = 1e12
FIELDS = ("verified", "accepted", "rejected", "overlaps", "reached", "all_overlaps")


@dataclass(frozen=True, slots=True)
class Counts:
    """Sums over decode cycles, each [..., K]; an axis of prompts or resamples may come before.

    verified: #(l >= k); accepted: #(a >= k); rejected: #(is_rejected and a = k-1); overlaps: sum of
    sum_v min(target, draft) over the `reached` cycles of k (k <= a+1, k <= l, and recorded);
    all_overlaps: the same over every verified cycle, which means something along a record only.
    cycles [...]: decode cycles.
    """

    cycles: FloatArray
    verified: FloatArray
    accepted: FloatArray
    rejected: FloatArray
    overlaps: FloatArray
    reached: FloatArray
    all_overlaps: FloatArray

    @property
    def gamma(self) -> int:
        """K."""
        return int(self.verified.shape[-1])

    def weighted(self, weights: FloatArray) -> "Counts":
        """Sums over prompts [U, ...] with weights [N, U] or [U]."""
        tables = [getattr(self, name) for name in FIELDS]
        sums = weights @ np.concatenate([self.cycles[:, None], *tables], axis=1)
        return Counts(sums[..., 0], *np.split(sums[..., 1:], len(FIELDS), axis=-1))

    def total(self) -> "Counts":
        """Sums over prompts."""
        return self.weighted(np.ones(len(self.cycles)))

    def take(self, index: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> "Counts":
        """Chosen prompts."""
        return Counts(self.cycles[index], *(getattr(self, name)[index] for name in FIELDS))

    def plus(self, other: "Counts") -> "Counts":
        """Sums of two runs over the same prompts."""
        pairs = ((getattr(self, name), getattr(other, name)) for name in FIELDS)
        return Counts(self.cycles + other.cycles, *(a + b for a, b in pairs))


def check_counts(counts: Counts) -> None:
    """Raise ValueError for counts by prompt [U, ...] that no cycles can give."""
    cycles = counts.cycles[:, None]
    if not counts.cycles.any():
        raise ValueError("there are no cycles")
    for name, value, most in (
        ("drafts are verified than there are cycles", counts.verified, cycles),
        ("drafts are decided than verified", counts.accepted + counts.rejected, counts.verified),
        ("positions are reached than verified", counts.reached, counts.verified),
        ("acceptance is expected than reached", counts.overlaps, counts.reached),
        ("acceptance is expected than verified", counts.all_overlaps, counts.verified),
    ):
        if (value > most * (1 + ROUNDING)).any():
            raise ValueError(f"more {name}")


@dataclass(frozen=True, slots=True)
class PromptCounts:
    """prompts [U] and the hashes of their tokens [U] (empty where not recorded), sorted by prompt;
    repeats [R]: counts with one row per prompt.
    """

    prompts: tuple[str, ...]
    hashes: tuple[str, ...]
    repeats: tuple[Counts, ...]

    def select(self, prompts: tuple[str, ...], num_repeats: int) -> Counts:
        """Counts of these prompts, summed over the first repeats."""
        place = {prompt: index for index, prompt in enumerate(self.prompts)}
        index = np.array([place[prompt] for prompt in prompts], dtype=np.int64)
        found = self.repeats[0].take(index)
        for counts in self.repeats[1:num_repeats]:
            found = found.plus(counts.take(index))
        return found

    def without_overlaps(self) -> "PromptCounts":
        """The same as if no expected acceptance had been recorded."""
        return replace(
            self,
            repeats=tuple(
                replace(
                    counts,
                    overlaps=np.zeros_like(counts.overlaps),
                    reached=np.zeros_like(counts.reached),
                    all_overlaps=np.zeros_like(counts.all_overlaps),
                )
                for counts in self.repeats
            ),
        )


def collect_counts(
    cycles: pd.DataFrame, requests: pd.DataFrame, gamma: int, is_selective: bool
) -> PromptCounts:
    """Counts of the speculative arm. Raises ResultsError if records are missing or disagree.

    A selective scheduler's point speaks by its `full_width` cycles only.
    """
    check_records(cycles, requests, gamma)
    key = [*TURN_KEY, "request_id"]
    named = measured(requests, SPECULATIVE)
    hashes = named["prompt_hash"] if "prompt_hash" in named.columns else ""
    named = named.assign(prompt_hash=hashes)[[*key, "prompt_id", "prompt_hash"]].drop_duplicates()
    rows = trial_cycles(decode_cycles(cycles), is_selective)
    rows = rows.merge(named, on=key, how="left", validate="many_to_one")
    if rows["prompt_id"].isna().any():
        raise ResultsError("a cycle belongs to no request")
    if rows.empty and is_selective:
        raise ResultsError(
            "confidences shaped every cycle, so that none speaks of the drafter; valid for the "
            "gate: scheduler=fixed"
        )
    if rows.empty:
        raise ResultsError("no decode cycle of the speculative arm is recorded")
    prompts = pd.Index(sorted(rows["prompt_id"].astype(str).unique()))
    by_prompt = rows.drop_duplicates("prompt_id").set_index("prompt_id")["prompt_hash"]
    units = prompts.get_indexer(pd.Index(rows["prompt_id"].astype(str)))
    repeats = []
    for repeat in sorted(rows["repeat"].unique()):
        chosen = (rows["repeat"] == repeat).to_numpy()
        repeats.append(_sum_by_unit(rows[chosen], units[chosen], len(prompts), gamma))
    return PromptCounts(
        tuple(prompts), tuple(str(by_prompt[prompt]) for prompt in prompts), tuple(repeats)
    )


def _sum_by_unit(
    rows: pd.DataFrame,
    units: "np.ndarray[tuple[int], np.dtype[np.int64]]",
    num_units: int,
    gamma: int,
) -> Counts:
    depths = cycle_depths(rows)[:, None]
    accepted = rows["num_accepted"].to_numpy(dtype=np.int64)[:, None]
    is_rejected = rows["is_rejected"].to_numpy(dtype=bool)[:, None]
    places = np.arange(1, gamma + 1)
    overlaps, is_known = _overlap_table(rows, gamma)
    is_verified = depths >= places
    is_reached = is_known & is_verified & (places <= accepted + 1)
    parts = (
        is_verified,
        accepted >= places,
        is_rejected & (accepted == places - 1),
        np.where(is_reached, overlaps, 0.0),
        is_reached,
        np.where(is_known & is_verified, overlaps, 0.0),
    )
    table = np.concatenate([np.ones((len(rows), 1)), *parts], axis=1).astype(np.float64)
    sums = np.zeros((num_units, table.shape[1]))
    np.add.at(sums, units, table)
    return Counts(sums[:, 0], *np.split(sums[:, 1:], len(parts), axis=1))


def _overlap_table(
    rows: pd.DataFrame, gamma: int
) -> tuple[FloatArray, "np.ndarray[tuple[int, int], np.dtype[np.bool_]]"]:
    """Recorded expected acceptance [cycles, K], and where there is any."""
    table = np.zeros((len(rows), gamma))
    is_known = np.zeros((len(rows), gamma), dtype=bool)
    if "expected_acceptance" in rows.columns:
        for row, values in enumerate(rows["expected_acceptance"]):
            known = np.asarray(() if values is None else values, dtype=np.float64)[:gamma]
            table[row, : known.size] = known
            is_known[row, : known.size] = True
    return table, is_known
