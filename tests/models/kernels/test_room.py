"""Where weights, keys and values lie."""

import numpy as np
import pytest

from dspark_bench.models.kernels.choice import compiled_kernels
from dspark_bench.models.kernels.room import LINE_BYTES, zeros


@pytest.mark.parametrize("shape", [(1,), (3, 5), (7, 1, 16), (1 << 21,)])
def test_room_is_empty_and_begins_with_a_cache_line(shape: tuple[int, ...]) -> None:
    room = zeros(shape)
    assert room.shape == shape and room.dtype == np.float32
    assert room.flags.c_contiguous and not room.any()
    assert room.ctypes.data % LINE_BYTES == 0
    room[...] = 1
    assert room.sum() == room.size


def test_panels_begin_with_a_cache_line() -> None:
    kernels = compiled_kernels().kernels
    assert kernels is not None
    panels = kernels.pack_panels(np.ones((2048, 640), np.float32))
    assert panels.ctypes.data % LINE_BYTES == 0
