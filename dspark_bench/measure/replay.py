"""What a calibrator made of the confidences of a run, cycle by cycle.

A calibrator that learns is replayed over the records in their order, so that each of its estimates
comes from earlier cycles only, as it does while decoding; `observe` sees what it saw then.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd

from dspark_bench.core.protocols import Calibrator
from dspark_bench.core.records import CycleRecord
from dspark_bench.measure.turns import TurnResult
from dspark_bench.metrics.frames import SPECULATIVE


def replay(calibrator: Calibrator, done: Sequence[TurnResult]) -> "pd.Series[Any]":
    """Calibrated confidences, one list per cycle record, in the order of `cycle_frame`.

    Empty where a record has no confidence. Mutates `calibrator`, which must be a fresh one.
    """
    calibrated: list[list[float]] = []
    for item in done:
        for _, records in groupby(item.result.cycles, key=lambda record: record.cycle):
            batch = list(records)
            calibrated += _estimates(calibrator, batch)
            if item.turn.arm == SPECULATIVE:
                calibrator.observe(batch)
    return pd.Series(calibrated, dtype=object)


def _estimates(calibrator: Calibrator, batch: Sequence[CycleRecord]) -> Iterator[list[float]]:
    width = max(len(record.confidence) for record in batch)
    if width == 0:
        return iter([[] for _ in batch])
    table = np.full((len(batch), width), 0.5)
    for row, record in zip(table, batch, strict=True):
        row[: len(record.confidence)] = record.confidence
    rows = calibrator.calibrate(table).tolist()
    return (values[: len(record.confidence)] for values, record in zip(rows, batch, strict=True))
