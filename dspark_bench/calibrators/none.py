"""`none`: confidences as the drafter gives them."""

from collections.abc import Sequence

from dspark_bench.core.calibration import StoredCalibration
from dspark_bench.core.random_streams import Floats
from dspark_bench.core.records import CycleRecord


class NoCalibrator:
    """The identity."""

    def __init__(self, gamma: int, stored: StoredCalibration | None) -> None:
        """Needs neither."""

    def calibrate(self, confidence: Floats) -> Floats:
        """confidence [B, K] itself."""
        return confidence

    def observe(self, records: Sequence[CycleRecord]) -> None:
        """Learns nothing."""
