"""float32 unless bfloat16 is clearly faster; both are timed on the products that models use."""

import pytest

from dspark_bench.measure.dtype_speed import DtypeSpeed, dtype_speed


@pytest.mark.parametrize(
    ("float32_s", "bfloat16_s", "choice"),
    [(0.004, 0.002, "bfloat16"), (0.004, 0.0038, "float32"), (0.002, 0.004, "float32")],
)
def test_rounding_has_to_pay(float32_s: float, bfloat16_s: float, choice: str) -> None:
    found = DtypeSpeed(float32_s, bfloat16_s)
    assert found.choice == choice
    assert f"engine.dtype={choice} suits this CPU" in str(found)
    assert f"float32 {1e3 * float32_s:.1f} ms, bfloat16 {1e3 * bfloat16_s:.1f} ms" in str(found)


def test_both_are_timed() -> None:
    found = dtype_speed()
    assert found.float32_s > 0 and found.bfloat16_s > 0
