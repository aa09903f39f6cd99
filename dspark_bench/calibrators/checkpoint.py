"""`checkpoint`: the temperatures that lie beside the drafter's weights. The default.

Sequential temperature scaling of the paper: c_k becomes sigma(logit(c_k) / T_k). How the
temperatures are found: `metrics.temperature_scaling`.
"""

from collections.abc import Sequence

import numpy as np

from dspark_bench.core.calibration import StoredCalibration, scale
from dspark_bench.core.random_streams import Floats
from dspark_bench.core.records import CycleRecord


class CheckpointCalibrator:
    """Applies stored temperatures; the identity where nothing is stored.

    Positions beyond the stored ones keep their confidence, as with a temperature of 1.
    """

    def __init__(self, gamma: int, stored: StoredCalibration | None) -> None:
        self._temperatures: Floats | None = None
        if stored is not None:
            padded = np.ones(max(gamma, len(stored.temperatures)))
            padded[: len(stored.temperatures)] = stored.temperatures
            self._temperatures = padded

    def calibrate(self, confidence: Floats) -> Floats:
        """confidence [B, K] -> [B, K]; K at most gamma."""
        if self._temperatures is None:
            return confidence
        return scale(confidence, self._temperatures[: confidence.shape[1]])

    def observe(self, records: Sequence[CycleRecord]) -> None:
        """Learns nothing: the temperatures are fixed."""
