"""Every cycle that a replay could meet, scored once, so that replays with any draws can be walked.

Along a record the models' distributions at a place do not depend on the draws: those only decide at
which places a cycle begins. So one pass of the target and one block of the drafter per place hold
all there is, and `walk` gives the counts that the engine would give with the same draws.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from dspark_bench.core.protocols import Drafter
from dspark_bench.core.random_streams import cycle_noise, request_key
from dspark_bench.core.types import Request, SamplingParams
from dspark_bench.engine.teacher_forcing import BATCH, score_blocks
from dspark_bench.gate.counts import Counts
from dspark_bench.metrics.sums import FloatArray
from dspark_bench.models.target import LoadedTarget


@dataclass(frozen=True, slots=True)
class ReplayTables:
    """Places are indices of anchors in an output; U requests, L places, K = gamma.

    target_at, draft_at [U, L, K]: probability of the recorded token k+1 places after the anchor;
    overlaps [U, L, K]: sum of min of both distributions there; ends [U]: index of the
    end-of-sequence token in the output, past every place where there is none; num_places [U]:
    anchors that a request can have.
    """

    request_ids: tuple[int, ...]
    target_at: FloatArray
    draft_at: FloatArray
    overlaps: FloatArray
    ends: "np.ndarray[tuple[int], np.dtype[np.int64]]"
    num_places: "np.ndarray[tuple[int], np.dtype[np.int64]]"

    def resampled(self, chosen: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> "ReplayTables":
        """Requests drawn with replacement; a copy has an id, and so draws, of its own."""
        return ReplayTables(
            tuple(range(len(chosen))),
            self.target_at[chosen],
            self.draft_at[chosen],
            self.overlaps[chosen],
            self.ends[chosen],
            self.num_places[chosen],
        )


def score_replay(
    target: LoadedTarget,
    drafter: Drafter,
    requests: Sequence[Request],
    gamma: int,
    sampling: SamplingParams,
) -> ReplayTables:
    """Score every place of requests that carry a record. Reallocates the drafter's cache."""
    num_places = max(request.max_new_tokens for request in requests) - 1
    stops = set(target.config.eos_token_ids)
    ends, sequences = [], []
    for request in requests:
        known = request.continuation
        end = next((i for i, token in enumerate(known) if token in stops), None)
        kept = (known if end is None else known[: end + 1])[: num_places + gamma]
        padded = kept + kept[-1:] * (num_places + gamma - len(kept))
        ends.append(num_places + gamma + 1 if end is None else end)
        sequences.append((request, padded))
    parts: list[list[torch.Tensor]] = []
    for number, blocks in enumerate(
        score_blocks(target, drafter, sequences, gamma, sampling, stride=1)
    ):
        if number % num_places == 0:
            parts.append([])
        chosen = blocks.tokens.unsqueeze(-1)
        parts[-1].append(
            torch.stack(
                [
                    blocks.target_probs.gather(-1, chosen).squeeze(-1),
                    blocks.draft_probs.gather(-1, chosen).squeeze(-1),
                    blocks.overlaps(),
                ]
            )
        )
    assert len(parts) == -(-len(requests) // BATCH)
    table = torch.cat([torch.stack(part, dim=2) for part in parts], dim=1).double().cpu().numpy()
    limits = [request.max_new_tokens - 1 for request in requests]
    return ReplayTables(
        tuple(request.request_id for request in requests),
        target_at=table[0],
        draft_at=table[1],
        overlaps=table[2],
        ends=np.array(ends),
        num_places=np.minimum(np.array(limits), np.array(ends)),
    )


def walk(tables: ReplayTables, turn_seed: int, seed: int) -> Counts:
    """Counts by request of a replay with `acceptance.seed` = seed in a turn with `turn_seed`."""
    passed = _draws(tables, turn_seed, seed) * tables.target_at < tables.draft_at
    _, num_places, gamma = passed.shape
    drafted = np.cumprod(passed, axis=2).sum(axis=2)
    places = np.arange(num_places)
    to_end = tables.ends[:, None] - places
    is_ended = (to_end > 0) & (to_end <= drafted)
    accepted = np.where(is_ended, to_end, drafted)
    length = np.where(is_ended, to_end, gamma)
    is_rejected = ~is_ended & (drafted < gamma)
    is_begun = _visited(drafted, tables.num_places)
    rows, begun = np.nonzero(is_begun)
    length, accepted = length[rows, begun][:, None], accepted[rows, begun][:, None]
    is_rejected = is_rejected[rows, begun][:, None]
    overlaps = tables.overlaps[rows, begun]
    slots = np.arange(1, gamma + 1)
    is_verified = length >= slots
    is_reached = is_verified & (slots <= accepted + 1)
    counted = (
        is_verified,
        accepted >= slots,
        is_rejected & (accepted == slots - 1),
        is_reached * overlaps,
        is_reached,
        is_verified * overlaps,
    )
    cycles = is_begun.sum(axis=1)
    has_any = cycles > 0
    starts = np.concatenate([[0], np.cumsum(cycles[has_any])[:-1]])
    sums = np.zeros((len(cycles), len(counted) * gamma))
    table = np.concatenate(counted, axis=1).astype(np.float64)
    sums[has_any] = np.add.reduceat(table, starts, axis=0)
    return Counts(cycles.astype(np.float64), *np.split(sums, len(counted), axis=1))


def _visited(
    drafted: "np.ndarray[tuple[int, int], np.dtype[np.int64]]",
    limits: "np.ndarray[tuple[int], np.dtype[np.int64]]",
) -> "np.ndarray[tuple[int, int], np.dtype[np.bool_]]":
    """[U, L]: whether a cycle begins at a place: at the first, then behind what was said."""
    num_requests, num_places = drafted.shape
    rows = np.arange(num_requests)
    is_begun = np.zeros((num_requests, num_places + drafted.max(initial=0) + 2), dtype=bool)
    is_begun[:, 0] = True
    for place in range(num_places):
        is_begun[:, place] &= place < limits
        begun = is_begun[:, place]
        is_begun[rows[begun], place + drafted[begun, place] + 1] = True
    return is_begun[:, :num_places]


def _draws(tables: ReplayTables, turn_seed: int, seed: int) -> FloatArray:
    """[U, L, K]: the number that judges each token, by request and place in the output."""
    num_requests, num_places, gamma = tables.target_at.shape
    keys = [request_key(seed, request_key(turn_seed, i)) for i in tables.request_ids]
    count = num_places + gamma + 1
    drawn = cycle_noise(
        np.repeat(np.array(keys, dtype=np.uint64), count),
        np.tile(np.arange(count, dtype=np.uint64), num_requests),
        num_slots=1,
    ).accept.reshape(num_requests, count)
    judged = np.add.outer(np.arange(num_places), np.arange(1, gamma + 1))
    uniform: FloatArray = drawn[:, judged]
    return uniform
