"""The two inner loops, written as vector instructions that LLVM fits to the processor at hand.

A block of results stays in registers while one loop runs over what is summed. Each result has one
accumulator and takes its terms in order, so its bits do not depend on how many rows share the
block. Addresses are plain numbers: a compiled caller steps through memory that it owns.
"""

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from dspark_bench.models.kernels.room import LINE_BYTES

COLUMNS = 16
"""Columns of a product block: one 512-bit register, or two of 256 bits."""
KEYS = 8
"""Keys of a score block: so many sums, of one query, that none waits for its own last term."""

_FLOAT = ir.FloatType()
_WORD = ir.IntType(64)
FLOAT_BYTES = 4
PANEL_BYTES = COLUMNS * FLOAT_BYTES
AHEAD_BYTES = 4096
"""How far ahead weights are asked for; where a panel ends, those of the panel that comes next."""


def product_blocks(shapes: Sequence[tuple[int, int]]) -> Any:
    """out[r, p, 0:16] (+)= sum over k of x[r, k] * w[p, k, 0:16], for a block of rows and panels.

    Arguments of the compiled function: number of the block's shape in `shapes` (rows, panels);
    addresses x, w, out; bytes from one row to the next x_step, w_step, out_step; panel_step: bytes
    from a panel of w to the next (those of out lie side by side); depth: terms of the sum; is_more:
    1 to add to what `out` holds; ahead: how many bytes beyond what it reads memory is asked for,
    and beyond: how many more where that lies behind the last term.
    """

    @intrinsic
    def block(
        typing_context,
        shape,
        x,
        x_step,
        w,
        w_step,
        panel_step,
        depth,
        out,
        out_step,
        is_more,
        ahead,
        beyond,
    ):
        def generate(context, builder, signature, arguments):
            number, *rest = arguments
            end = builder.append_basic_block("end")
            choice = builder.switch(number, end)
            for place, (num_rows, num_panels) in enumerate(shapes):
                code = builder.append_basic_block(f"rows_{num_rows}_panels_{num_panels}")
                choice.add_case(_constant(place), code)
                builder.position_at_end(code)
                _product_code(builder, num_rows, num_panels, *rest)
                builder.branch(end)
            builder.position_at_end(end)
            return context.get_dummy_value()

        return types.void(*[types.intp] * 12), generate

    return block


def score_blocks(most_queries: int, num_lanes: int) -> Any:
    """out[i, j] = dot(q[i], k[j]) over `size` elements, for 1 to `most_queries` queries.

    Arguments of the compiled function: number of queries; keys, KEYS or 1; addresses q, k, out;
    bytes from one row to the next q_step, k_step, out_step; size, a multiple of `num_lanes`, the
    partial sums of a result. Its bits are the same in any company.
    """

    @intrinsic
    def block(typing_context, num_queries, num_keys, q, q_step, k, k_step, size, out, out_step):
        def generate(context, builder, signature, arguments):
            queries, keys, *rest = arguments
            end = builder.append_basic_block("end")
            shape = builder.add(builder.mul(queries, _constant(KEYS + 1)), keys)
            choice = builder.switch(shape, end)
            for count in range(1, most_queries + 1):
                for width in (1, KEYS):
                    code = builder.append_basic_block(f"queries_{count}_keys_{width}")
                    choice.add_case(_constant(count * (KEYS + 1) + width), code)
                    builder.position_at_end(code)
                    _score_code(builder, count, width, num_lanes, *rest)
                    builder.branch(end)
            builder.position_at_end(end)
            return context.get_dummy_value()

        return types.void(*[types.intp] * 9), generate

    return block


@intrinsic
def float_of_bits(typing_context, bits):
    """The float32 whose 32 bits are those of the int32 `bits`."""

    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], _FLOAT)

    return types.float32(types.int32), generate


@intrinsic
def bits_of_float(typing_context, value):
    """The 32 bits of the float32 `value`, as an int32."""

    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.IntType(32))

    return types.int32(types.float32), generate


@intrinsic
def ask_for(typing_context, address, step, size):
    """Have KEYS rows of `size` bytes, `step` bytes from one to the next, brought nearer, into the
    second cache.
    """

    def generate(context, builder, signature, arguments):
        first, step, size = arguments
        rows = [_step(builder, first, step, _constant(row)) for row in range(KEYS)]
        with cgutils.for_range(builder, builder.sdiv(size, _constant(LINE_BYTES))) as loop:
            offset = builder.mul(loop.index, _constant(LINE_BYTES))
            for row in rows:
                _prefetch(builder, builder.add(row, offset), 2)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 3), generate


def _product_code(
    builder,
    num_rows,
    num_panels,
    x,
    x_step,
    w,
    w_step,
    panel_step,
    depth,
    out,
    out_step,
    is_more,
    ahead,
    beyond,
):
    vector = ir.VectorType(_FLOAT, COLUMNS)
    panels = range(num_panels)
    rows = [_step(builder, x, x_step, _constant(r)) for r in range(num_rows)]
    weights = [_step(builder, w, panel_step, _constant(p)) for p in panels]
    outs = [
        builder.add(_step(builder, out, out_step, _constant(r)), _constant(p * PANEL_BYTES))
        for r in range(num_rows)
        for p in panels
    ]
    sums = [cgutils.alloca_once(builder, vector) for _ in outs]
    for total in sums:
        builder.store(ir.Constant(vector, None), total)
    with builder.if_then(builder.icmp_signed("!=", is_more, _constant(0))):
        for total, place in zip(sums, outs, strict=True):
            builder.store(_load(builder, place, vector), total)
    end = builder.mul(depth, w_step)
    with cgutils.for_range(builder, depth) as loop:
        line = builder.mul(loop.index, w_step)
        columns = [_load(builder, builder.add(place, line), vector) for place in weights]
        asked = builder.add(line, ahead)
        is_past = builder.icmp_signed(">=", asked, end)
        asked = builder.select(is_past, builder.add(asked, beyond), asked)
        for place in weights:
            _prefetch(builder, builder.add(place, asked), 2)
        offset = builder.mul(loop.index, _constant(FLOAT_BYTES))
        for r, row in enumerate(rows):
            factor = _splat(builder, _load(builder, builder.add(row, offset), _FLOAT), vector)
            for p in panels:
                total = sums[r * num_panels + p]
                terms = [factor, columns[p], builder.load(total)]
                builder.store(_fma(builder, vector, terms), total)
    for total, place in zip(sums, outs, strict=True):
        _store(builder, builder.load(total), place)


def _score_code(
    builder, num_queries, num_keys, num_lanes, q, q_step, k, k_step, size, out, out_step
):
    vector = ir.VectorType(_FLOAT, num_lanes)
    queries = [_step(builder, q, q_step, _constant(i)) for i in range(num_queries)]
    keys = [_step(builder, k, k_step, _constant(j)) for j in range(num_keys)]
    sums = [[cgutils.alloca_once(builder, vector) for _ in keys] for _ in queries]
    for row in sums:
        for total in row:
            builder.store(ir.Constant(vector, None), total)
    with cgutils.for_range(builder, builder.sdiv(size, _constant(num_lanes))) as loop:
        offset = builder.mul(loop.index, _constant(num_lanes * FLOAT_BYTES))
        factors = [_load(builder, builder.add(query, offset), vector) for query in queries]
        for j, key in enumerate(keys):
            shared = _load(builder, builder.add(key, offset), vector)
            for factor, row in zip(factors, sums, strict=True):
                terms = [factor, shared, builder.load(row[j])]
                builder.store(_fma(builder, vector, terms), row[j])
    for i, row in enumerate(sums):
        parts = [builder.load(total) for total in row]
        lanes = num_lanes
        while lanes > 1:
            parts = _halve(builder, parts, lanes)
            lanes //= 2
        place = _step(builder, out, out_step, _constant(i))
        if num_keys == 1:
            first = builder.extract_element(parts[0], ir.Constant(ir.IntType(32), 0))
            _store(builder, first, place)
        else:
            _store(builder, _shuffle(builder, parts[0], parts[0], list(range(KEYS))), place)


def _halve(builder, parts, lanes):
    """Add the upper half of each key's `lanes` partial sums to the lower; pairs of vectors merge.

    A lone vector is merged with itself. The order of additions is the same for every key.
    """
    half = lanes // 2
    starts = range(0, 2 * parts[0].type.count, lanes)
    low = [start + i for start in starts for i in range(half)]
    high = [place + half for place in low]
    pairs = zip(parts[0::2], parts[1::2] or parts, strict=True)
    return [
        builder.fadd(_shuffle(builder, one, two, low), _shuffle(builder, one, two, high))
        for one, two in pairs
    ]


def _shuffle(builder, one, two, places):
    mask = ir.Constant(ir.VectorType(ir.IntType(32), len(places)), places)
    return builder.shuffle_vector(one, two, mask)


def _splat(builder, scalar, vector):
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
    return _shuffle(builder, first, undefined, [0] * vector.count)


def _fma(builder, vector, terms):
    name = f"llvm.fma.v{vector.count}f32"
    kind = ir.FunctionType(vector, [vector] * 3)
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), terms)


def _prefetch(builder, address, nearness):
    """For reading; nearness: 3 for all caches, 2 for all but the first."""
    byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
    name = "llvm.prefetch.p0i8"
    hint = [ir.Constant(word, value) for value in (0, nearness, 1)]
    function = cgutils.get_or_insert_function(builder.module, kind, name)
    builder.call(function, [builder.inttoptr(address, byte), *hint])


def _constant(value: int) -> ir.Constant:
    return ir.Constant(_WORD, value)


def _step(builder, base, step, count):
    return builder.add(base, builder.mul(step, count))


def _load(builder, address, kind):
    return builder.load(builder.inttoptr(address, kind.as_pointer()), align=FLOAT_BYTES)


def _store(builder, value, address):
    pointer = builder.inttoptr(address, value.type.as_pointer())
    builder.store(value, pointer, align=FLOAT_BYTES)
