"""Blocks of a product: what fits a processor's registers, and where each shape stands."""

import pytest

from dspark_bench.models.kernels import block_shapes
from dspark_bench.models.kernels.block_shapes import FIRST, MOST_ROWS, PANELS, SHAPES

REGISTERS = {True: 32, False: 16}
PER_PANEL = {True: 1, False: 2}
"""Of AVX-512, and of AVX2, where a panel of 16 columns takes two."""


@pytest.mark.parametrize("is_wide", [True, False])
def test_sums_and_weights_stay_in_registers(is_wide: bool) -> None:
    found = list(block_shapes.shapes(is_wide))
    tallest = block_shapes.most_rows(is_wide)
    assert {rows for rows, _ in found} == set(range(1, tallest + 1))
    for rows, panels in found:
        sums, weights, factor = rows * panels, panels, 1
        assert (sums + weights) * PER_PANEL[is_wide] + factor <= REGISTERS[is_wide]


@pytest.mark.parametrize("is_wide", [True, False])
def test_a_lone_row_takes_several_panels(is_wide: bool) -> None:
    assert block_shapes.widest(1, is_wide) == (4 if is_wide else 3)
    assert block_shapes.widest(block_shapes.most_rows(is_wide), is_wide) == (2 if is_wide else 1)


def test_places_lead_to_their_shapes() -> None:
    for rows in range(1, MOST_ROWS + 1):
        for panels in range(1, PANELS[rows] + 1):
            assert SHAPES[FIRST[rows] + panels - 1] == (rows, panels)


def test_fewer_rows_take_as_many_panels() -> None:
    """The blocks of one product differ by a row and share their number of panels."""
    assert list(PANELS[1:]) == sorted(PANELS[1:], reverse=True)


@pytest.mark.parametrize(
    ("wanted", "is_wide"),
    [("+fma,+avx2", False), ("+fma,-avx512f", False), ("+avx512f", True), ("+avx512fp16", False)],
)
def test_the_users_features_are_believed(
    monkeypatch: pytest.MonkeyPatch, wanted: str, is_wide: bool
) -> None:
    monkeypatch.setattr(block_shapes.config, "CPU_FEATURES", wanted, raising=False)
    assert block_shapes.has_wide_registers() == is_wide
