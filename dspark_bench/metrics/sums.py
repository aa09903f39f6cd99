"""Records pooled to sums per resampling unit: the numerators and denominators of every ratio.

A unit (`units.label_units`) is what an interval counts as one observation.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd

from dspark_bench.metrics.frames import (
    BASELINE,
    SPECULATIVE,
    TURN_KEY,
    batch_cycles,
    decode_cycles,
    measured,
    served,
    served_by_both,
)
from dspark_bench.metrics.latency import user_rates
from dspark_bench.metrics.more_units import Ending, more_units
from dspark_bench.metrics.slo import Slo, has_arrived, meets
from dspark_bench.metrics.strata import IntArray, sums_without_each
from dspark_bench.metrics.units import FloatArray, label_units

__all__ = [
    "FloatArray",
    "Pooling",
    "Sums",
    "collect_sums",
    "ratio",
    "steady_cycles",
    "trial_cycles",
]


@dataclass(frozen=True, slots=True)
class Pooling:
    """How the records of a point are pooled.

    is_closed: arrivals wait for finishes; is_selective: the scheduler chose what to verify by
    confidence, so only `full_width` cycles say something about the drafter itself; slo: what a good
    answer is; ending: what ended the measurement; is_tree: drafts are trees of depth gamma, so that
    their lengths are numbers of nodes.
    """

    gamma: int
    concurrency: int = 1
    is_closed: bool = True
    is_selective: bool = False
    slo: Slo = Slo()
    ending: Ending = Ending.REPEATS
    is_tree: bool = False

    @property
    def is_by_prompt(self) -> bool:
        """Whether the resampling unit is a prompt; otherwise it is a round."""
        return self.is_closed and self.concurrency == 1

    def more(self, num_units: int) -> str:
        """The overrides that give so many units."""
        return more_units(num_units, self.is_by_prompt, self.ending)


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums per unit [U]; a total has shape [].

    cycles .. emitted: R, sum(l), sum(a), sum(is_rejected) and sum(num_emitted) over decode cycles;
    trial_*: the same over the cycles that may speak about the drafter (all of them, or the
    `full_width` ones under a selective scheduler); tokens, time_s: steady part of the speculative
    arm, prefills included; steps .. engine_s: its steady cycles without prefill work; full_drafts:
    those of them whose longest draft was gamma (with trees: that drafted); requests .. e2e_s:
    requests that both arms served, their tokens after the first and the time those took, and their
    latencies; users, user_tok_s: answered requests that have a time per token, and the sum of its
    inverses; arrived, met, span_s: requests that fell due, those served within the objective, and
    the time from the first cycle of a turn to its last. baseline_*: the other arm.
    """

    cycles: FloatArray
    verified: FloatArray
    accepted: FloatArray
    rejected: FloatArray
    emitted: FloatArray
    trial_cycles: FloatArray
    trial_verified: FloatArray
    trial_accepted: FloatArray
    trial_rejected: FloatArray
    tokens: FloatArray
    time_s: FloatArray
    steps: FloatArray
    draft_s: FloatArray
    schedule_s: FloatArray
    verify_s: FloatArray
    accept_s: FloatArray
    engine_s: FloatArray
    full_drafts: FloatArray
    full_draft_s: FloatArray
    requests: FloatArray
    decode_tokens: FloatArray
    decode_s: FloatArray
    e2e_s: FloatArray
    users: FloatArray
    user_tok_s: FloatArray
    arrived: FloatArray
    met: FloatArray
    span_s: FloatArray
    baseline_tokens: FloatArray
    baseline_time_s: FloatArray
    baseline_steps: FloatArray
    baseline_step_s: FloatArray
    baseline_requests: FloatArray
    baseline_decode_tokens: FloatArray
    baseline_decode_s: FloatArray
    baseline_e2e_s: FloatArray
    baseline_users: FloatArray
    baseline_user_tok_s: FloatArray
    baseline_arrived: FloatArray
    baseline_met: FloatArray
    baseline_span_s: FloatArray

    @property
    def num_units(self) -> int:
        """U."""
        return self.cycles.size

    def total(self) -> "Sums":
        """Sums over all units, each of shape []."""
        return self._map(np.ones(self.num_units))

    def without_each(self, strata: Sequence[IntArray]) -> "Sums":
        """Sums [U] over all units but one, by the one that is left out, which the others of its
        stratum make up for (`strata.sums_without_each`).
        """
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return Sums(**{name: _without_each(units, strata) for name, units in values.items()})

    def as_counts(self) -> dict[str, float]:
        """The totals by name, from which any other definition can be recomputed."""
        return {f.name: float(getattr(self, f.name).sum()) for f in fields(self)}

    def _map(self, weights: FloatArray) -> "Sums":
        mapped = {f.name: np.asarray(weights @ getattr(self, f.name)) for f in fields(self)}
        return Sums(**mapped)


def _without_each(units: FloatArray, strata: Sequence[IntArray]) -> FloatArray:
    """[U] 0 exactly where nothing is left."""
    rest = sums_without_each(units[:, None], strata)[:, 0]
    return np.where(np.abs(rest) > 1e-12 * np.abs(units.sum()), rest, 0.0)


def ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """numerator / denominator, NaN where the denominator is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(denominator == 0, np.nan, numerator / denominator))


def collect_sums(cycles: pd.DataFrame, requests: pd.DataFrame, pooling: Pooling) -> Sums:
    """Pool the measured records of a point. Raises ResultsError if a cycle has no request."""
    cycles, requests, num_units = label_units(
        measured(cycles), measured(requests), pooling.is_by_prompt
    )
    batches = batch_cycles(cycles)
    tally = _Tally(num_units)
    sums = _acceptance_sums(decode_cycles(cycles), pooling, tally)
    paired, answered = served_by_both(requests), served(requests)
    for arm, prefix in ((SPECULATIVE, ""), (BASELINE, "baseline_")):
        own = batches[batches["arm"] == arm]
        speed = _speed_sums(own, pooling, tally)
        speed |= _latency_sums(paired[paired["arm"] == arm], tally)
        speed |= _user_sums(answered[answered["arm"] == arm], tally)
        speed |= _slo_sums(requests[requests["arm"] == arm], pooling.slo, tally)
        speed["span_s"] = tally.sum(_spans(own), "span_s")
        sums |= {prefix + name: value for name, value in speed.items()}
    sums |= _cost_sums(_clean(batches[batches["arm"] == SPECULATIVE], pooling), pooling, tally)
    clean_baseline = _clean(batches[batches["arm"] == BASELINE], pooling)
    sums["baseline_steps"] = tally.count(clean_baseline)
    sums["baseline_step_s"] = tally.sum(clean_baseline, "duration_s")
    return Sums(**sums)


@dataclass(frozen=True, slots=True)
class _Tally:
    """Adds up rows by their `unit`."""

    num_units: int

    def count(self, rows: pd.DataFrame) -> FloatArray:
        return np.bincount(rows["unit"].to_numpy(), minlength=self.num_units).astype(np.float64)

    def sum(self, rows: pd.DataFrame, column: str) -> FloatArray:
        values = rows[column].to_numpy(dtype=np.float64)
        return np.bincount(rows["unit"].to_numpy(), values, self.num_units).astype(np.float64)


def _acceptance_sums(rows: pd.DataFrame, pooling: Pooling, tally: _Tally) -> dict[str, FloatArray]:
    trials = trial_cycles(rows, pooling.is_selective)
    sums = {"cycles": tally.count(rows), "emitted": tally.sum(rows, "num_emitted")}
    for prefix, part in (("", rows), ("trial_", trials)):
        sums[prefix + "cycles"] = tally.count(part)
        sums[prefix + "verified"] = tally.sum(part, "verify_len")
        sums[prefix + "accepted"] = tally.sum(part, "num_accepted")
        sums[prefix + "rejected"] = tally.sum(part, "is_rejected")
    return sums


def trial_cycles(rows: pd.DataFrame, is_selective: bool) -> pd.DataFrame:
    """Decode cycles whose verify length was chosen without looking at a token or a confidence."""
    return rows[rows["full_width"].astype(bool)] if is_selective else rows


def _speed_sums(batches: pd.DataFrame, pooling: Pooling, tally: _Tally) -> dict[str, FloatArray]:
    """Tokens and wall time of the steady part; open loop: the span of each turn, idle included."""
    steady = steady_cycles(batches, pooling)
    if pooling.is_closed:
        return {
            "tokens": tally.sum(steady, "num_emitted"),
            "time_s": tally.sum(steady, "duration_s"),
        }
    spans = _spans(steady)
    return {"tokens": tally.sum(steady, "num_emitted"), "time_s": tally.sum(spans, "span_s")}


def _user_sums(requests: pd.DataFrame, tally: _Tally) -> dict[str, FloatArray]:
    rows = requests.assign(rate=user_rates(requests))
    rows = rows[rows["rate"] > 0]
    return {"users": tally.count(rows), "user_tok_s": tally.sum(rows, "rate")}


def _spans(batches: pd.DataFrame) -> pd.DataFrame:
    """Turns with `unit` and `span_s`, from the start of the first cycle to the end of the last."""
    ends = batches.assign(ended_s=batches["started_s"] + batches["duration_s"])
    grouped = ends.groupby([*TURN_KEY, "unit"], sort=False)
    turns = grouped.agg({"started_s": "min", "ended_s": "max"})
    return turns.assign(span_s=turns["ended_s"] - turns["started_s"]).reset_index()


def _slo_sums(requests: pd.DataFrame, slo: Slo, tally: _Tally) -> dict[str, FloatArray]:
    rows = requests.assign(arrived=has_arrived(requests), met=meets(requests, slo))
    return {"arrived": tally.sum(rows, "arrived"), "met": tally.sum(rows, "met")}


def _cost_sums(batches: pd.DataFrame, pooling: Pooling, tally: _Tally) -> dict[str, FloatArray]:
    longest = batches["max_drafted"]
    is_full = longest > 0 if pooling.is_tree else longest == pooling.gamma
    full = batches[is_full & (pooling.gamma > 0)]
    parts = {name[2:]: tally.sum(batches, name) for name in _STAGES}
    return {
        "steps": tally.count(batches),
        **parts,
        "full_drafts": tally.count(full),
        "full_draft_s": tally.sum(full, "t_draft_s"),
    }


_STAGES = ("t_draft_s", "t_schedule_s", "t_verify_s", "t_accept_s", "t_engine_s")


def _latency_sums(requests: pd.DataFrame, tally: _Tally) -> dict[str, FloatArray]:
    following = requests["output_tokens"].map(len) - 1
    rows = requests.assign(
        following=following.clip(lower=0),
        decode_s=(requests["finished_s"] - requests["first_token_s"]).where(following > 0, 0.0),
        e2e_s=requests["finished_s"] - requests["scheduled_s"],
    )
    return {
        "requests": tally.count(rows),
        "decode_tokens": tally.sum(rows, "following"),
        "decode_s": tally.sum(rows, "decode_s"),
        "e2e_s": tally.sum(rows, "e2e_s"),
    }


def steady_cycles(batches: pd.DataFrame, pooling: Pooling) -> pd.DataFrame:
    """Batch cycles of the steady part.

    A closed loop with N > 1 ramps up while the prompts that it begins with are read (the cycles of
    a turn up to the first without prefill work, however full the batch) and drains below N.
    """
    if not (pooling.is_closed and pooling.concurrency > 1):
        return batches
    ordered = batches.sort_values([*TURN_KEY, "cycle"])
    is_reading = ordered["has_prefill"].astype(bool)
    is_first = is_reading.groupby([ordered[key] for key in TURN_KEY]).cummin().astype(bool)
    is_full = ordered["batch_size"] == pooling.concurrency
    return ordered[is_full & ~is_first].sort_index()


def _clean(batches: pd.DataFrame, pooling: Pooling) -> pd.DataFrame:
    """Steady batch cycles without prefill work: what costs are measured on."""
    steady = steady_cycles(batches, pooling)
    return steady[~steady["has_prefill"].astype(bool)]
