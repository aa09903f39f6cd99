"""The timing noise floor of a point: its baseline against itself, an A/A pair.

Half of what the baseline did goes to a first pseudo-arm, the other half to a second, and their
speeds are divided as S divides those of the real arms. Nothing differs between the two, so whatever
the ratio shows is noise. It costs no extra time. With one user the halves are stretches of one
answer, between which the other arms were at work; otherwise they are whole turns.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dspark_bench.metrics.frames import BASELINE, batch_cycles, measured, served
from dspark_bench.metrics.intervals import Interval
from dspark_bench.metrics.log_ratio import MIN_UNITS, SHARE, log_ratio_interval
from dspark_bench.metrics.sums import FloatArray, Pooling, steady_cycles
from dspark_bench.metrics.units import STRETCH_TOKENS

_TURN = ["repeat", "block"]
_STRETCHES = f"answers of {2 * STRETCH_TOKENS} tokens or more, each in halves"
_TURNS = "pairs of baseline turns"


@dataclass(frozen=True, slots=True)
class NoiseFloor:
    """ratio: speed of the first pseudo-arm over that of the second, with its 95 % interval.

    ratio.n is the number of pairs; basis: what a pair is, or why nothing was measured (then the
    ratio's numbers are None).
    """

    ratio: Interval
    basis: str

    @property
    def floor(self) -> float | None:
        """The largest deviation from 1 that the interval holds, as a share: 0.02 is 2 %.

        Half the interval's width if its centre is 1; more if two equal things differed by more
        than their own scatter. None if not measured.
        """
        if self.ratio.low is None or self.ratio.high is None:
            return None
        return max(self.ratio.high, 1 / self.ratio.low) - 1

    def as_row(self) -> dict[str, float | str | None]:
        """Columns of summary.csv."""
        return {
            "noise_floor": self.floor,
            "aa_ratio": self.ratio.value,
            "aa_ratio_ci_low": self.ratio.low,
            "aa_ratio_ci_high": self.ratio.high,
            "noise_floor_basis": self.basis,
        }

    def as_json(self) -> dict[str, float | int | str | None]:
        """Ratio, interval, pairs, floor, centre and half-width of the log ratio, and the basis."""
        value, low, high = self.ratio.value, self.ratio.low, self.ratio.high
        return {
            **self.ratio.as_json(),
            "noise_floor": self.floor,
            "log_centre": math.log(value) if value else None,
            "log_half_width": math.log(high / low) / 2 if low and high else None,
            "basis": self.basis,
        }


def noise_floor(
    cycles: pd.DataFrame, requests: pd.DataFrame, pooling: Pooling, share: float = SHARE
) -> NoiseFloor:
    """The A/A pair of a point's measured baseline, on the basis of its S.

    One user: a pair is one prompt, whose answer was decoded in stretches of `STRETCH_TOKENS`, the
    one half of them against the other. A request set per turn: two neighbouring turns. share: what
    the interval is to cover.
    """
    if pooling.is_by_prompt:
        pairs = _stretch_pairs(measured(cycles, BASELINE))
        what = _STRETCHES
        more = f"{pooling.more(MIN_UNITS)}, and max_new_tokens={2 * STRETCH_TOKENS} or more"
    else:
        pairs = _turn_pairs(_baseline_turns(cycles, requests, pooling))
        what, more = _TURNS, pooling.more(2 * MIN_UNITS)
    if len(pairs) < MIN_UNITS:
        return _unmeasured(len(pairs), f"{len(pairs)} {what}, {MIN_UNITS} needed ({more})")
    found = log_ratio_interval(pairs, share)
    if found.low is None:
        return _unmeasured(len(pairs), f"{len(pairs)} {what} do not differ; a clock too coarse?")
    return NoiseFloor(found, f"{len(pairs)} {what}")


def _unmeasured(num_pairs: int, why: str) -> NoiseFloor:
    return NoiseFloor(Interval(None, None, None, num_pairs), f"not measured: {why}")


def within_floor(interval: Interval, floor: float | None) -> bool:
    """Whether a ratio's whole interval is no further from 1 than the A/A pair was."""
    if floor is None or interval.low is None or interval.high is None:
        return False
    return interval.low >= 1 / (1 + floor) and interval.high <= 1 + floor


def _baseline_turns(cycles: pd.DataFrame, requests: pd.DataFrame, pooling: Pooling) -> pd.DataFrame:
    """tokens and time_s of every baseline turn, by repeat and block, on the basis of S."""
    if pooling.is_closed:
        rows = steady_cycles(batch_cycles(measured(cycles, BASELINE)), pooling)
        rows = rows.assign(tokens=rows["num_emitted"], time_s=rows["duration_s"])
    else:
        rows = served(measured(requests, BASELINE))
        tokens = (rows["output_tokens"].map(len) - 1).clip(lower=0)
        time_s = (rows["finished_s"] - rows["first_token_s"]).where(tokens > 0, 0.0)
        rows = rows.assign(tokens=tokens, time_s=time_s)
    turns = rows.groupby(["repeat", "block"], as_index=False)[["tokens", "time_s"]].sum()
    return turns[(turns["tokens"] > 0) & (turns["time_s"] > 0)]


def _stretch_pairs(baseline: pd.DataFrame) -> FloatArray:
    """[U, 4] of the prompts that were decoded in two stretches or more: tokens and seconds of the
    one half of the stretches, then of the other.

    Neighbours lie on different sides, and which of them comes first changes with every pair and
    every prompt, so that a steady drift makes no side faster. Reading the prompt is left out, and
    so is a last stretch that is not whole.
    """
    rows = batch_cycles(baseline).sort_values([*_TURN, "cycle"])
    turn = [rows[key] for key in _TURN]
    before = rows["num_emitted"].groupby(turn).cumsum() - rows["num_emitted"]
    rows = rows.assign(stretch=before // STRETCH_TOKENS, number=rows.groupby(_TURN).ngroup())
    whole = rows.groupby(["number", "stretch"])["num_emitted"].transform("sum") >= STRETCH_TOKENS
    rows = rows[whole & ~rows["has_prefill"].astype(bool)]
    last = rows.groupby("number")["stretch"].transform("max")
    rows = rows[rows["stretch"] < (last + 1) // 2 * 2]
    side = (rows["stretch"] + rows["stretch"] // 2 + rows["number"]) % 2
    sums = rows.groupby([rows["number"], side])[["num_emitted", "duration_s"]].sum()
    return sums.to_numpy(np.float64).reshape(-1, 4)  # both sides of every answer, in order


def _turn_pairs(turns: pd.DataFrame) -> FloatArray:
    """[U, 4] of neighbouring turns: tokens and seconds of the one, then of the other. An odd turn
    is left out. Sides alternate, so that a steady drift makes no side faster.
    """
    ordered = turns.sort_values("block")
    block = ordered["block"]
    named = ordered.assign(pair=block // 2, side=(block + block // 2) % 2)
    rows = [
        [part.loc[part["side"] == i, name].sum() for i in (0, 1) for name in ("tokens", "time_s")]
        for _, part in named.groupby("pair")
        if len(part) == 2
    ]
    return np.array(rows, dtype=np.float64).reshape(-1, 4)
