"""Counter-based random numbers, keyed by (seed, request, purpose, cycle, slot).

A number depends on its key alone: never on who else is in the batch, nor on how many numbers were
drawn before. The cycle is part of the key because a position that is drafted again after a
rejection must meet fresh noise; with noise keyed by position alone, a scheduler that has seen
confidences depending on that noise biases the output.

The generator is SplitMix64 (Steele, Lea and Flood, 2014) used as a keyed hash: each component is
absorbed by an odd multiplier and finalised before the next.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

_GOLDEN = 0x9E3779B97F4A7C15
_MIX_1 = 0xBF58476D1CE4E5B9
_MIX_2 = 0x94D049BB133111EB
_MASK = (1 << 64) - 1
_SLOT_BITS = 16

UInt64s = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class Purpose(IntEnum):
    """What a random number decides; numbers of different purposes are independent."""

    DRAFT = 0
    ACCEPT = 1
    EMIT = 2
    EXPLORE = 3


@dataclass(frozen=True, slots=True)
class CycleNoise:
    """Uniform numbers in [0, 1) for one cycle: draft [B, K], accept [B, K], emit [B]."""

    draft: Floats
    accept: Floats
    emit: Floats


def request_key(seed: int, request_id: int) -> int:
    """Key of one request's streams (64 bits); computed once, at admission."""
    return _finalise_int(_finalise_int(seed * _GOLDEN) ^ ((request_id + 1) * _GOLDEN))


def cycle_noise(keys: UInt64s, cycles: UInt64s, num_slots: int) -> CycleNoise:
    """All the noise that one cycle of B requests can need.

    keys [B]: `request_key` of each request; cycles [B]: how many cycles each has had; num_slots: K.
    """
    return split_noise(_uniform(keys, cycles, num_slots), num_slots)


def noise_block(key: int, first_cycle: int, num_cycles: int, num_slots: int) -> Floats:
    """Noise of consecutive cycles of one request: [num_cycles, 2K + 1], for `split_noise`.

    Drawing many cycles at once keeps the generator's cost out of the single cycle.
    """
    cycles = np.arange(first_cycle, first_cycle + num_cycles, dtype=np.uint64)
    return _uniform(np.full(num_cycles, key, dtype=np.uint64), cycles, num_slots)


def split_noise(rows: Floats, num_slots: int) -> CycleNoise:
    """Rows [B, 2K + 1] as draft, accept and emit numbers."""
    return CycleNoise(
        rows[:, :num_slots], rows[:, num_slots : 2 * num_slots], rows[:, 2 * num_slots]
    )


def keyed_place(block: int, num_places: int) -> int:
    """One of `num_places` places, from 0, drawn for this block: no seed, no request has a say."""
    stream = _finalise_int((Purpose.EXPLORE + 1) * _GOLDEN)
    return _finalise_int(stream ^ ((block + 1) * _GOLDEN)) % num_places


def _uniform(keys: UInt64s, cycles: UInt64s, num_slots: int) -> Floats:
    stream = _finalise(keys + cycles * np.uint64(_GOLDEN))[:, None]
    bits = _finalise(stream + _slot_codes(num_slots))
    uniform: Floats = (bits >> np.uint64(12)).astype(np.float64) * 2.0**-52
    return uniform


def _slot_codes(num_slots: int) -> UInt64s:
    slots = np.arange(num_slots, dtype=np.uint64)
    draft = slots + np.uint64(Purpose.DRAFT << _SLOT_BITS)
    accept = slots + np.uint64(Purpose.ACCEPT << _SLOT_BITS)
    emit = np.full(1, Purpose.EMIT << _SLOT_BITS, dtype=np.uint64)
    return (np.concatenate([draft, accept, emit]) + np.uint64(1)) * np.uint64(_GOLDEN)


def _finalise(value: UInt64s) -> UInt64s:
    value = (value ^ (value >> np.uint64(30))) * np.uint64(_MIX_1)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(_MIX_2)
    return value ^ (value >> np.uint64(31))


def _finalise_int(value: int) -> int:
    value &= _MASK
    value = ((value ^ (value >> 30)) * _MIX_1) & _MASK
    value = ((value ^ (value >> 27)) * _MIX_2) & _MASK
    return value ^ (value >> 31)
