"""The timing noise floor of a point: its baseline turns against themselves, an A/A pair.

The turns of A B B A hold two baseline turns within seconds of each other. One of each two goes to a
first pseudo-arm, the other to a second, and their speeds are divided as S divides those of the real
arms. Nothing differs between the two, so whatever the ratio shows is noise. It costs no extra time.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dspark_bench.metrics.frames import BASELINE, batch_cycles, measured, served
from dspark_bench.metrics.intervals import Interval
from dspark_bench.metrics.log_ratio import MIN_UNITS, SHARE, log_ratio_interval
from dspark_bench.metrics.sums import FloatArray, Pooling, steady_cycles

_NEW_PROMPTS = "pairs of neighbouring prompts of one domain"


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
    """The A/A pair of a point's measured baseline turns, on the basis of its S.

    One request per turn: a pair is two neighbouring prompts of one domain within a round; where
    prompts are served again, two neighbouring prompts over two repeats, each prompt once on either
    side, so that neither prompts nor drift show. A request set per turn: two neighbouring turns. An
    odd turn, prompt or repeat is left out. share: what the interval is to cover.
    """
    turns = _baseline_turns(cycles, requests, pooling)
    rows = measured(cycles, BASELINE)
    num_places = _turns_per_repeat(rows)
    if pooling.is_by_prompt and not _has_repeats(rows):
        pairs, what = _new_prompt_pairs(turns, _domains(requests)), _NEW_PROMPTS
        more = pooling.more(4 * MIN_UNITS)
    else:
        pairs, what = _pairs(turns, num_places), _what(num_places)
        more = f"measure.repeats=2 or more, and {2 * MIN_UNITS} prompts"
        if num_places == 1:
            more = pooling.more(2 * MIN_UNITS)
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


def _turns_per_repeat(cycles: pd.DataFrame) -> int:
    """Blocks are numbered on from repeat to repeat."""
    if cycles.empty:
        return 1
    return int((cycles["block"].max() + 1) // (cycles["repeat"].max() + 1))


def _has_repeats(rows: pd.DataFrame) -> bool:
    """Whether some request was served in several rounds."""
    served_in = rows[["request_id", "repeat"]].drop_duplicates()
    return bool(served_in["request_id"].duplicated().any())


def _domains(requests: pd.DataFrame) -> "pd.Series[str]":
    """The domain of each baseline turn, by repeat and block."""
    rows = measured(requests, BASELINE)
    if "domain" not in rows:
        rows = rows.assign(domain="")
    return rows.drop_duplicates(["repeat", "block"]).set_index(["repeat", "block"])["domain"]


def _new_prompt_pairs(turns: pd.DataFrame, domains: "pd.Series[str]") -> FloatArray:
    """[U, 4] of neighbours of one domain within a round; the first is on either side in turn."""
    rows = []
    named = turns.join(domains, on=["repeat", "block"]).fillna({"domain": ""})
    for number, (_, part) in enumerate(named.groupby(["repeat", "domain"], sort=True)):
        ordered = part.sort_values("block")[["tokens", "time_s"]].to_numpy(np.float64)
        for place in range(len(ordered) // 2):
            pair = ordered[2 * place : 2 * place + 2]
            rows.append((pair if (number + place) % 2 == 0 else pair[::-1]).ravel())
    return np.array(rows, dtype=np.float64).reshape(-1, 4)


def _pairs(turns: pd.DataFrame, num_places: int) -> FloatArray:
    """[U, 4] of the complete pairs.

    Sides alternate with repeat and place, so that a steady drift makes no side faster.
    """
    if num_places > 1:
        place = turns["block"] - turns["repeat"] * num_places
        pair = [place // 2, turns["repeat"] // 2]
        side, num_turns = (place + turns["repeat"]) % 2, 4
    else:
        pair = [turns["block"] // 2, turns["block"] * 0]
        side, num_turns = (turns["block"] + turns["block"] // 2) % 2, 2
    named = turns.assign(first=pair[0], second=pair[1], side=side)
    rows = [
        [part.loc[part["side"] == i, name].sum() for i in (0, 1) for name in ("tokens", "time_s")]
        for _, part in named.groupby(["first", "second"])
        if len(part) == num_turns
    ]
    return np.array(rows, dtype=np.float64).reshape(-1, 4)


def _what(num_places: int) -> str:
    return "pairs of prompts over two repeats" if num_places > 1 else "pairs of baseline turns"
