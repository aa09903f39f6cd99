"""Several threads inside one compiled call: each does its part of a phase, then waits for the rest.

Parts are cut so that no number has two authors, and no sum is split: results do not depend on how
many threads there are.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from dspark_bench.models.kernels.compiler import compiled
from dspark_bench.models.kernels.gate import ARRIVED, GIVEN_UP, PHASE

_PATIENCE = 2_000
"""Looks at the gate before a thread offers its core to others, as it must where cores are busy."""
_WORD_BYTES = 8


@intrinsic
def _add(typing_context, address, value):
    def generate(context, builder, signature, arguments):
        pointer = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
        return builder.atomic_rmw("add", pointer, arguments[1], "seq_cst")

    return types.intp(types.intp, types.intp), generate


@intrinsic
def _look(typing_context, address):
    def generate(context, builder, signature, arguments):
        pointer = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
        return builder.load_atomic(pointer, "seq_cst", _WORD_BYTES)

    return types.intp(types.intp), generate


@intrinsic
def _yield_core(typing_context):
    def generate(context, builder, signature, arguments):
        kind = ir.FunctionType(ir.IntType(32), [])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, "sched_yield"), [])
        return context.get_dummy_value()

    return types.void(), generate


@compiled
def wait(gate, num_parts):
    """Return when all threads have come here, or the call was given up."""
    if num_parts == 1:
        return
    start = gate.ctypes.data
    arrived, phase_at = start + ARRIVED * _WORD_BYTES, start + PHASE * _WORD_BYTES
    phase = _look(phase_at)
    if _add(arrived, 1) == num_parts - 1:
        _add(arrived, -num_parts)
        _add(phase_at, 1)
        return
    looks = 0
    while _look(phase_at) == phase and not _look(start + GIVEN_UP * _WORD_BYTES):
        looks += 1
        if looks > _PATIENCE:
            _yield_core()
