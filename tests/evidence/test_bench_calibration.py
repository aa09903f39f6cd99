"""The verdict of the calibration bench."""

from dspark_bench.evidence.bench_calibration import verdict
from dspark_bench.metrics.calibration import Calibration

NAN = float("nan")


def test_both_bars_are_held_against_the_worst_position() -> None:
    old = [Calibration(0.05, 0.80, 0.1, 9), Calibration(0.01, 0.70, 0.1, 9)]
    empty = Calibration(NAN, NAN, NAN, 0)
    good = [Calibration(0.02, 0.80, 0.1, 9), Calibration(0.01, 0.696, 0.1, 9)]
    assert verdict([*old, empty], [*good, empty]).endswith(": met")
    wide = [Calibration(0.021, 0.80, 0.1, 9), good[1]]
    assert verdict(old, wide).endswith(": MISSED")
    blind = [good[0], Calibration(0.01, 0.69, 0.1, 9)]
    assert "loss of AUC 0.0100" in verdict(old, blind)
    assert verdict(old, blind).endswith(": MISSED")
