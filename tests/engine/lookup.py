"""A prompt look-up drafter: proposes what followed the last two tokens, with certainty."""

import torch

from dspark_bench.core.types import ContextUpdate, DraftBatch, DrafterSpec, Proposal
from dspark_bench.models.target import Target


class LookupDrafter:
    """claims_forced: answer forced tokens as if they had been looked up, which is wrong."""

    def __init__(self, target: Target, claims_forced: bool = False) -> None:
        self._vocab = target.config.vocab_size
        self._claims_forced = claims_forced
        self._seen: dict[int, list[int]] = {}
        self.spec = DrafterSpec("lookup", 16, (), False)

    def allocate(self, num_rows: int, max_len: int) -> None:
        self._seen = {}

    def extend(self, update: ContextUpdate) -> None:
        tokens, at = update.token_ids.tolist(), 0
        for row, start, count in zip(update.rows, update.starts, update.counts, strict=True):
            kept = self._seen.get(row, [])[:start]
            self._seen[row] = kept + tokens[at : at + count]
            at += count

    def propose(self, batch: DraftBatch) -> Proposal:
        found = [
            self._found([*self._seen[row], int(anchor)], batch.num_slots)
            for row, anchor in zip(batch.rows, batch.anchors, strict=True)
        ]
        own = torch.tensor(found)
        tokens = own if batch.forced is None else batch.forced
        if batch.sampling.is_greedy:
            return Proposal(tokens, None, None)
        claimed = tokens if self._claims_forced else own
        probs = torch.nn.functional.one_hot(claimed, self._vocab).float()
        return Proposal(tokens, probs, None)

    def _found(self, history: list[int], num_slots: int) -> list[int]:
        key = history[-2:]
        for place in range(len(history) - 3, -1, -1):
            if history[place : place + 2] == key:
                after = history[place + 2 : place + 2 + num_slots]
                return after + [0] * (num_slots - len(after))
        return [0] * num_slots
