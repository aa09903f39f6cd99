"""Survival estimates: from this cycle's confidences, and before drafting from earlier cycles."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from dspark_bench.core.protocols import Calibrator
from dspark_bench.core.random_streams import Bools, Floats, Ints
from dspark_bench.core.records import CycleRecord

OWN_MEMORY = 0.85
"""Share of a request's own history that a cycle leaves."""
SHARED_MEMORY = 0.995
"""The same of the history of all requests together: of several, even where they come singly."""
SHARED_WEIGHT = 3.0
"""How many of a request's own cycles the history of all counts as."""
_FIRST_GUESS = 0.7
MOST_DECAYS = 4
"""Decays that several cycles read at once are worth at most."""
_OWN_DECAYS: Floats = np.array([OWN_MEMORY**count for count in range(MOST_DECAYS + 1)])


def survival(confidence: Floats, calibrator: Calibrator) -> Floats:
    """a [B, K]: probability that drafts 1..k all pass, product of calibrated confidences [B, K]."""
    return np.asarray(np.cumprod(calibrator.calibrate(confidence), axis=1))


@dataclass(frozen=True, slots=True)
class DraftedSlots:
    """The slots that n drafts of finished cycles filled, verified or not.

    request_ids: of the drafts; is_slot [n, K]: which slots there are; seen [n, K]: probability that
    slot k is reached, a_(k-1); passed [n, K]: that it passes too, a_k. Both are 0 off the draft.
    """

    request_ids: tuple[int, ...]
    num_cycles: int
    is_slot: Bools
    seen: Floats
    passed: Floats


def read_drafts(records: Sequence[CycleRecord], calibrator: Calibrator) -> DraftedSlots | None:
    """Calibrated survival of what was drafted; None where nothing was."""
    drafted = [record for record in records if record.confidence]
    if not drafted:
        return None
    lens = np.array([len(record.confidence) for record in drafted])
    is_slot = np.arange(lens.max()) < lens[:, None]
    table = np.zeros(is_slot.shape)
    table[is_slot] = list(chain.from_iterable(record.confidence for record in drafted))
    conditional = calibrator.calibrate(table)
    seen = np.where(is_slot, 1.0, 0.0)
    seen[:, 1:] *= np.cumprod(conditional[:, :-1], axis=1)
    return DraftedSlots(
        request_ids=tuple(record.request_id for record in drafted),
        num_cycles=len({record.cycle for record in drafted}),
        is_slot=is_slot,
        seen=seen,
        passed=seen * conditional,
    )


class SurvivalForecast:
    """What survival a request's next draft will have, before it exists.

    Learns from the calibrated confidences of every drafted slot, verified or not: which slots are
    verified depends on the confidences, so accepted lengths would be a selected sample. A request's
    own history is shrunk towards that of all requests.
    """

    def __init__(self, gamma_limit: int = 64) -> None:
        self._limit = gamma_limit
        self._shared = _Means(1, gamma_limit)
        self._shared.seen[:] = 0.1
        self._shared.passed[:] = 0.1 * _FIRST_GUESS
        self._own = _Means(64, gamma_limit)
        self._rows: dict[int, int] = {}
        self._free = list(range(64))

    def survival(self, request_ids: Sequence[int], gamma: int) -> Floats:
        """Expected a [B, gamma]; forgets requests that are not asked about."""
        self._keep_only(request_ids)
        shared = self._shared.passed[0, :gamma] / self._shared.seen[0, :gamma]
        index = np.asarray([self._rows.get(request_id, -1) for request_id in request_ids])
        is_known = (index >= 0)[:, None]
        passed = np.where(is_known, self._own.passed[index, :gamma], 0.0)
        seen = np.where(is_known, self._own.seen[index, :gamma], 0.0)
        conditional = (passed + SHARED_WEIGHT * shared) / (seen + SHARED_WEIGHT)
        return np.asarray(np.cumprod(conditional, axis=1))

    def shared(self, gamma: int) -> Floats:
        """Expected a [1, gamma] of a request that nothing is known of."""
        mean = self._shared.passed[:, :gamma] / self._shared.seen[:, :gamma]
        return np.asarray(np.cumprod(mean, axis=1))

    def forget(self, request_ids: Iterable[int]) -> None:
        """Drop what is known of these requests."""
        for request_id in request_ids:
            row = self._rows.pop(request_id, None)
            if row is not None:
                self._free.append(row)

    def observe(self, drafts: DraftedSlots) -> None:
        """Learn from the drafts of finished cycles, of one or of several.

        Slot k counts as much as it is likely to be reached: the mean of ratios would let drafts
        that died at once speak for those that live.
        """
        num_drafts = len(drafts.request_ids)
        scale = drafts.num_cycles / num_drafts
        decay = SHARED_MEMORY ** min(num_drafts, MOST_DECAYS)
        self._shared.add(drafts.passed.sum(0) * scale, drafts.seen.sum(0) * scale, decay)
        rows = np.array([self._row(request_id) for request_id in drafts.request_ids])
        num_rows, width = self._own.seen.shape[0], drafts.seen.shape[1]
        both = _sum_by(rows, np.hstack([drafts.passed, drafts.seen]), num_rows)
        decays = _OWN_DECAYS[np.minimum(np.bincount(rows, minlength=num_rows), MOST_DECAYS)]
        self._own.add(both[:, :width], both[:, width:], decays[:, None])

    def _row(self, request_id: int) -> int:
        if request_id not in self._rows:
            if not self._free:
                self._free = list(range(self._own.seen.shape[0], 2 * self._own.seen.shape[0]))
                self._own.grow()
            row = self._free.pop()
            self._own.passed[row] = self._own.seen[row] = 0.0
            self._rows[request_id] = row
        return self._rows[request_id]

    def _keep_only(self, request_ids: Sequence[int]) -> None:
        if len(self._rows) <= 2 * len(request_ids) + 8:
            return
        wanted = set(request_ids)
        self.forget([known for known in self._rows if known not in wanted])


class _Means:
    """Decaying sums [rows, gamma]: weight seen, and the part of it that passed."""

    def __init__(self, num_rows: int, gamma: int) -> None:
        self.seen = np.zeros((num_rows, gamma))
        self.passed = np.zeros((num_rows, gamma))

    def add(self, passed: Floats, seen: Floats, decay: float | Floats) -> None:
        """Add [rows, K] to the first K slots, the old sums decayed once for each cycle added."""
        width = seen.shape[-1]
        for sums, more in ((self.seen, seen), (self.passed, passed)):
            sums[:, :width] = sums[:, :width] * decay + more

    def grow(self) -> None:
        """Twice as many rows."""
        self.seen = np.concatenate([self.seen, np.zeros_like(self.seen)])
        self.passed = np.concatenate([self.passed, np.zeros_like(self.passed)])


def _sum_by(rows: Ints, values: Floats, num_rows: int) -> Floats:
    """values [n, K] added up by their row of the result [num_rows, K]."""
    width = values.shape[1]
    cells = (rows[:, None] * width + np.arange(width)).ravel()
    sums = np.asarray(np.bincount(cells, values.ravel(), num_rows * width), dtype=np.float64)
    return sums.reshape(num_rows, width)
