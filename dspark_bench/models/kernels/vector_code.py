"""The two inner loops, written as vector instructions that LLVM fits to the processor at hand.

A block of results stays in registers while one loop runs over what is summed. Each result has one
accumulator and takes its terms in order, so its bits do not depend on how many rows share the
block. Addresses are plain numbers: a compiled caller steps through memory that it owns.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from dspark_bench.models.kernels.panels import COLUMNS
from dspark_bench.models.kernels.room import LINE_BYTES

KEYS = 8
"""Keys of a score block: so many sums, of one query, that none waits for its own last term."""

_FLOAT = ir.FloatType()
_WORD = ir.IntType(64)
FLOAT_BYTES = 4
HALF_BYTES = 2
PANEL_BYTES = COLUMNS * FLOAT_BYTES
AHEAD_BYTES = 8192
"""How far ahead weights are asked for, of all panels of a block; where a panel ends, those of the
panel that comes next."""


def product_blocks(shapes: Sequence[tuple[int, int]]) -> Any:
    """out[r, p, 0:16] (+)= sum over k of x[r, k] * w[p, k, 0:16], for a block of rows and panels.


    Arguments of the compiled function: number of the block's shape in `shapes` (rows, panels), and
    as many more where w holds the upper 16 bits of each number and the others are 0;
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
            kinds = [(*shape, is_narrow) for is_narrow in (False, True) for shape in shapes]
            codes = [_product(*kind) for kind in kinds]
            _call_one(builder, number, dict(enumerate(codes)), rest)
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
            shape = builder.add(builder.mul(queries, _constant(KEYS + 1)), keys)
            codes = {
                count * (KEYS + 1) + width: _score(count, width, num_lanes)
                for count in range(1, most_queries + 1)
                for width in (1, KEYS)
            }
            _call_one(builder, shape, codes, rest)
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


def _call_one(builder, number, codes, arguments):
    """Call the code of that number: each is a function of its own, so that all of its results stay
    in registers, whatever stands around the call.
    """
    end = builder.append_basic_block("end")
    choice = builder.switch(number, end)
    kind = ir.FunctionType(ir.VoidType(), [_WORD] * len(arguments))
    for place, (name, write) in codes.items():
        function = builder.module.globals.get(name)
        if function is None:
            function = ir.Function(builder.module, kind, name)
            function.linkage = "internal"
            function.attributes.add("noinline")
            inner = ir.IRBuilder(function.append_basic_block("entry"))
            write(inner, *function.args)
            inner.ret_void()
        call = builder.append_basic_block(name)
        choice.add_case(_constant(place), call)
        builder.position_at_end(call)
        builder.call(function, arguments)
        builder.branch(end)
    builder.position_at_end(end)


def _product(num_rows, num_panels, is_narrow):
    name = f"product_{num_rows}_{num_panels}{'_narrow' if is_narrow else ''}"
    return name, partial(_product_code, num_rows, num_panels, is_narrow)


def _score(num_queries, num_keys, num_lanes):
    return f"score_{num_queries}_{num_keys}", partial(_score_code, num_queries, num_keys, num_lanes)


def _product_code(
    num_rows,
    num_panels,
    is_narrow,
    builder,
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
        columns = [_load_weights(builder, builder.add(place, line), is_narrow) for place in weights]
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


def _load_weights(builder, address, is_narrow):
    if not is_narrow:
        return _load(builder, address, ir.VectorType(_FLOAT, COLUMNS))
    halves = _load(builder, address, ir.VectorType(ir.IntType(16), COLUMNS), HALF_BYTES)
    words = ir.VectorType(ir.IntType(32), COLUMNS)
    upper = ir.Constant(words, [16] * COLUMNS)
    bits = builder.shl(builder.zext(halves, words), upper)
    return builder.bitcast(bits, ir.VectorType(_FLOAT, COLUMNS))


def _score_code(
    num_queries, num_keys, num_lanes, builder, q, q_step, k, k_step, size, out, out_step
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


def _load(builder, address, kind, align=FLOAT_BYTES):
    return builder.load(builder.inttoptr(address, kind.as_pointer()), align=align)


def _store(builder, value, address):
    pointer = builder.inttoptr(address, value.type.as_pointer())
    builder.store(value, pointer, align=FLOAT_BYTES)
