"""The surface by hand: envelope, interpolation, what is refused and what is warned of."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspark_bench.core.cost_surface import CostSurface, evaluate


def surface(*rows: tuple[float, ...]) -> CostSurface:
    sizes = tuple(2**i for i in range(len(rows)))
    widths = (0, 1, 2, 4)[: len(rows[0])]
    slots = widths[1:]
    drafts = tuple(tuple(0.1 * size * slot for slot in slots) for size in sizes)
    return CostSurface(
        sizes, widths, rows, slots, drafts, (0.01,) * len(sizes), (0.0,) * len(sizes)
    )


def test_the_envelope_is_convex_and_never_falls() -> None:
    """A bump at 1 is cut to the line from 0 to 2; a dip at 4 pulls down what lies before it."""
    xs, ys = surface((1.0, 3.0, 2.0, 6.0)).step_curve(1)
    assert xs.tolist() == [0, 1, 2, 4]
    assert ys.tolist() == [1.0, 1.5, 2.0, 6.0]
    assert surface((2.0, 3.0, 1.0, 5.0)).step_curve(1)[1].tolist() == [1.0, 1.0, 1.0, 5.0]


@given(st.lists(st.floats(0.1, 10.0), min_size=4, max_size=4))
def test_any_envelope_is_convex_non_decreasing_and_below(values: list[float]) -> None:
    xs, ys = surface(tuple(values)).step_curve(1)
    slopes = np.diff(ys) / np.diff(xs)
    assert (ys <= np.asarray(values) + 1e-12).all()
    assert (slopes >= -1e-12).all() and (np.diff(slopes) >= -1e-9).all()


def test_between_and_beyond_the_grid() -> None:
    found = surface((1.0, 2.0), (2.0, 6.0))
    xs, ys = found.step_curve(2)
    assert ys.tolist() == [2.0, 6.0]
    assert evaluate((xs, ys), np.array([0.5, 1.0, 2.0])).tolist() == [4.0, 6.0, 10.0]
    assert found.step_curve(4)[1].tolist() == [4.0, 14.0]  # the slope from 1 to 2 goes on
    grid, times = found.draft_curve(1)
    assert grid.tolist() == [0.0, 1.0, 2.0]
    assert times.tolist() == pytest.approx([0.05, 0.1, 0.2])
    assert found.absorb_at(1) == 0.01


def test_doubtful_curves_are_named() -> None:
    assert surface((1.0, 1.5, 2.0, 3.0)).warnings() == ()
    assert "flat at 1 requests" in surface((1.0, 1.0, 1.01, 1.01)).warnings()[0]
    assert "not monotone at 2 requests" in surface((1.0, 2.0), (5.0, 4.0)).warnings()[1]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"requests": (2, 1)}, "requests is"),
        ({"widths": (1, 2)}, "its first is 0"),
        ({"step_s": ((1.0,),)}, "step_s has rows of"),
        ({"step_s": ((0.0, 1.0), (1.0, 1.0))}, "no positive number"),
        ({"draft_s": ((float("nan"),), (1.0,))}, "draft_s holds"),
        ({"absorb_s": (1.0,)}, "absorb_s has rows of"),
    ],
)
def test_what_is_no_surface_is_refused(changed: dict[str, object], message: str) -> None:
    good = {
        "requests": (1, 2),
        "widths": (0, 1),
        "step_s": ((1.0, 1.5), (2.0, 3.0)),
        "slots": (1,),
        "draft_s": ((0.1,), (0.2,)),
        "absorb_s": (0.0, 0.0),
        "uneven_s": (0.0, 0.0),
    }
    CostSurface(**good)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=message):
        CostSurface(**(good | changed))  # type: ignore[arg-type]
