"""Arms that are equal by construction, drawn from the zoo's recorded prompts.

A prompt's two recorded repeats are two runs of one and the same arm: handed to a pair of arms in
random order, they make a pair without a true lead. More than two arms draw their cycles anew, with
replacement, from those that the prompt's own runs recorded. One cycle takes one second, and so does
one step of the baseline; `noise` is what clocks add to that.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from dspark_bench.core.errors import ResultsError
from dspark_bench.metrics.frames import SPECULATIVE, TURN_KEY, measured
from dspark_bench.metrics.sums import FloatArray

NUM_REDRAWS = 64


@dataclass(frozen=True, slots=True)
class RecordedPrompts:
    """P prompts: tokens [P]; cycles [P, 2] of either repeat; redrawn [P, R]: of fresh runs."""

    tokens: FloatArray
    cycles: FloatArray
    redrawn: FloatArray

    @property
    def log_speedup(self) -> float:
        """Of all prompts: tokens over cycles, since the baseline emits one token a step."""
        return float(np.log(2 * self.tokens.sum() / self.cycles.sum()))

    def pairs(self, num_pairs: int, num_units: int, random: np.random.Generator) -> FloatArray:
        """[N, U, 4] tokens and seconds of two equal arms, the two repeats in random order."""
        chosen = random.integers(len(self.tokens), size=(num_pairs, num_units))
        first = random.integers(2, size=chosen.shape)
        tokens = self.tokens[chosen]
        sides = self.cycles[chosen, first], self.cycles[chosen, 1 - first]
        return np.stack([tokens, sides[0], tokens, sides[1]], axis=-1)

    def speedups(self, num_sets: int, num_units: int, random: np.random.Generator) -> FloatArray:
        """[N, U, 4] tokens and seconds of speculation and of its baseline."""
        chosen = random.integers(len(self.tokens), size=(num_sets, num_units))
        tokens = self.tokens[chosen]
        return np.stack([tokens, self.cycles[chosen, 0], tokens, tokens], axis=-1)

    def arms(
        self,
        size: tuple[int, int, int],
        lead: float,
        noise: float,
        random: np.random.Generator,
    ) -> FloatArray:
        """[N, K, U, 4] for size N, K, U: arms with baselines of their own, the first ahead by
        `lead`. noise: of the logarithm of every time.
        """
        num_sets, _, num_units = size
        chosen = random.integers(len(self.tokens), size=(num_sets, 1, num_units))
        run = random.integers(self.redrawn.shape[1], size=size)
        tokens = np.broadcast_to(self.tokens[chosen], size)
        time_s = self.redrawn[chosen, run] * np.exp(noise * random.standard_normal(size))
        time_s[:, 0] /= 1 + lead
        baseline_s = tokens * np.exp(noise * random.standard_normal(size))
        return np.stack([tokens, time_s, tokens, baseline_s], axis=-1)


def read_recorded(point: Path, seed: int = 0) -> RecordedPrompts:
    """Of a point's folder with two repeats, such as those of results/baseline/zoo/points.

    Raises ResultsError if there are others.
    """
    cycles = measured(pd.read_parquet(point / "cycles.parquet"), SPECULATIVE)
    requests = measured(pd.read_parquet(point / "requests.parquet"), SPECULATIVE)
    key = [*TURN_KEY, "request_id"]
    rows = cycles.merge(requests[[*key, "prompt_id"]].drop_duplicates(), on=key)
    grouped = rows.groupby(["prompt_id", "repeat"])["num_emitted"].agg(["sum", "size"])
    tokens, counts = (grouped[name].unstack("repeat").to_numpy(float) for name in ("sum", "size"))
    if counts.shape[1] != 2 or np.isnan(counts).any():
        raise ResultsError(f"{point} holds {counts.shape[1]} repeats; valid: 2")
    random = np.random.default_rng(seed)
    decoded = rows[~rows["is_prefill"].astype(bool)].groupby("prompt_id")["num_emitted"]
    lengths = [part.to_numpy(np.int64) for _, part in decoded]
    redrawn = np.array(
        [_redraw(own, int(total), random) for own, total in zip(lengths, tokens[:, 0], strict=True)]
    )
    return RecordedPrompts(tokens[:, 0], counts, redrawn)


def _redraw(
    lengths: "np.ndarray[tuple[int], np.dtype[np.int64]]", total: int, random: np.random.Generator
) -> FloatArray:
    """[R] cycles until `total` tokens are there; the first cycle is the prompt's, of one token."""
    draws = random.choice(lengths, (NUM_REDRAWS, total))
    said = 1 + np.cumsum(draws, axis=1)
    return np.asarray(2.0 + (said < total).sum(axis=1))
