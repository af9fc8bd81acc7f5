"""LLVM text of a register tile. Sums stay in registers in the loop over k, and are added in the order of k.

A row's partial sums are adjacent: first those of accumulator 0 for all columns, then those of accumulator 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import chain, islice

from ...ir.sizes.polynomial import quotient
from ...ir.types import ITEM_BYTES, Size, size
from ..loop_ir.nodes import BlockScales, Buffer, Contract, Destination, Index, LetIndex, Place
from ..machine.alignment import ALIGNMENT
from ..machine.target import Target
from .conversions import float_of_half
from .dot_products import (
    MULTIPLY_ADD,
    DotInstructions,
    Parts,
    block_product,
    dot_product,
    float_of_each_pair,
    four_bits_of_each_byte,
    widened,
)
from .function_builder import FunctionBuilder
from .instructions import LLVM_TYPES, Handle, element_of
from .load_store import read, step_pointer
from .transposed_columns import are_transposed, read_together, transposed_columns

Sums = list[list[Handle]]
"""Sums of a tile: for each row, a sum for each accumulator and column."""


def contract(builder: FunctionBuilder, tile: Contract) -> None:
    """Write the LLVM code of a register tile: initial sums, the loop over k, and names of the final sums."""
    if are_transposed(tile):
        together = read_together(tile)
        tile = replace(tile, unroll=-(-tile.unroll // together) * together)
    if tile.comment:
        builder.lines.append(f"  ; {tile.comment}")
    starts = [[builder.operand(item) for item in row] for row in tile.starts]
    if tile.chained:
        sums = _one_by_one(builder, tile, starts)
    else:
        inside = [builder.holds(condition) for condition in tile.conditions if condition is not None]
        sums = _where(builder, inside, starts, lambda: _product(builder, tile, starts))
    for results, row in zip(tile.results, sums, strict=True):
        builder.values.update(zip((result.name for result in results), row, strict=True))


def _one_by_one(builder: FunctionBuilder, tile: Contract, starts: Sums) -> Sums:
    """Write a loop over the products of a tile, each added to the sums of the previous one. Return the final sums.

    The loop carries the pointers of all products. Each iteration uses the first product's, and moves them to the end.
    """
    bases, places = _shared_bases([(*left, *right) for left, right in tile.factors])
    pointers = [[Handle(builder.address(*place), "ptr", 1) for place in base] for base in zip(*bases, strict=True)]
    for own, condition in zip(pointers, tile.conditions, strict=False):
        own.append(builder.b.literal(True, "i1", 1) if condition is None else builder.holds(condition))

    def next_product(_: Index, carried: Sums) -> Sums:
        (first, *others), sums = carried[: len(pointers)], carried[len(pointers) :]
        inside = first[len(bases) :]
        buffers = [Buffer(pointer.text, base[0][0].dtype) for pointer, base in zip(first, bases, strict=False)]
        builder.pointers.update((buffer, buffer.name) for buffer in buffers)
        operands = [(buffers[number], distance) for number, distance in places]
        left, right = tuple(operands[: len(tile.left)]), tuple(operands[len(tile.left) :])
        one = replace(tile, left=left, right=right, chained=())
        return [*others, first, *_where(builder, inside, sums, lambda: _product(builder, one, sums))]

    return _loop(builder, "product", 0, len(tile.factors), 1, [*pointers, *starts], next_product)[len(pointers) :]


def _where(builder: FunctionBuilder, inside: Sequence[Handle], starts: Sums, product: Callable[[], Sums]) -> Sums:
    """Write a product that runs only under a condition. Return its sums, or ``starts`` if the condition is false.

    ``inside`` contains the condition; it is empty for a product that always runs.
    """
    if not inside:
        return product()
    (condition,) = inside
    then, end = builder.labels("then", "done")
    before = builder.label
    builder.lines.append(f"  br i1 {condition.text}, label %{then}, label %{end}")
    builder.start(then)
    builder.known.append({})
    sums = product()
    builder.known.pop()
    after = builder.label
    builder.lines.append(f"  br label %{end}")
    builder.start(end)
    return [
        [
            builder.b.emit(
                f"phi {x.type} [ {x.text}, %{after} ], [ {start.text}, %{before} ]", x.element, x.lanes, "sum"
            )
            for x, start in zip(row, begin, strict=True)
        ]
        for row, begin in zip(sums, starts, strict=True)
    ]


def _shared_bases(products: Sequence[Sequence[Place]]) -> tuple[list[Sequence[Place]], list[tuple[int, int]]]:
    """Return common base addresses of the operands of chained products, and each operand's distance from its base.

    Returns:
        The base of each group, as a place for each product; and for each operand, the index of its group and the
        distance from the base.
    """
    bases: list[Sequence[Place]] = []
    places: list[tuple[int, int]] = []
    for place in zip(*products, strict=True):
        for number, base in enumerate(bases):
            distances = {
                index - start if buffer == of else None
                for (buffer, index), (of, start) in zip(place, base, strict=True)
            }
            distance = distances.pop()
            if not distances and isinstance(distance, int):
                places.append((number, distance))
                break
        else:
            places.append((len(bases), 0))
            bases.append(place)
    return bases, places


def _product(builder: FunctionBuilder, tile: Contract, starts: Sums) -> Sums:
    """Write one product over all of k, added to the sums ``starts``. Return the new sums."""
    columns = len(tile.results[0])
    begin = [[*row, *[builder.b.constant(0.0, row[0])] * (columns * (tile.accumulators - 1))] for row in starts]
    depth, rest = tile.depth, 0
    if tile.scales is not None:
        return _scaled_blocks(builder, tile, tile.scales, begin)
    if tile.dot_width > 1:
        depth, rest = divmod(int(str(depth)), tile.dot_width)
    sums = (
        _blocks(builder, tile, begin, depth, rest) if tile.block else _sum_over_k(builder, tile, begin, 0, depth, rest)
    )
    return [[_total(builder, row[number::columns]) for number in range(columns)] for row in sums]


def _total(builder: FunctionBuilder, accumulators: Sequence[Handle]) -> Handle:
    """Write the additions of a result's partial sums, in order. Return the total."""
    total, *others = accumulators
    for other in others:
        total = builder.b.add(total, other)
    return total


def _blocks(builder: FunctionBuilder, tile: Contract, starts: Sums, depth: Index, rest: int) -> Sums:
    """Write a loop that sums each block of k and adds it to totals, in order. Return the totals."""
    _hoist_addresses(builder, (*tile.left, *tile.right))
    zeros = [[builder.b.constant(0.0, item) for item in row] for row in starts]
    # -0.0 is the exact neutral element of addition
    nothing = [[builder.b.constant(-0.0, item) for item in row] for row in starts]

    def block(first: Index, last: Index, totals: Sums, begin: Sums, rest: int = 0) -> Sums:
        part = _sum_over_k(builder, tile, begin, first, last, rest)
        return [[builder.b.add(x, y) for x, y in zip(*rows, strict=True)] for rows in zip(totals, part, strict=True)]

    def iterate(first: Index, carried: Sums) -> Sums:
        last = first + length
        if not isinstance(depth, int):
            last = _let_unique(builder, LetIndex("end", "min", last, depth))
        half = len(carried) // 2
        return [*block(first, last, carried[:half], carried[half:]), *zeros]

    length = tile.block // tile.dot_width
    whole = depth // length * length if isinstance(depth, int) else depth
    carried = _loop(builder, "block", 0, whole, length, [*nothing, *starts], iterate)
    totals, begin = carried[: len(starts)], carried[len(starts) :]
    return block(whole, depth, totals, begin, rest) if whole != depth or rest else totals


def _scaled_blocks(builder: FunctionBuilder, tile: Contract, scales: BlockScales, starts: Sums) -> Sums:
    """Write a loop that sums byte products over each block of k, scales the sum, and adds it to totals. Return them."""
    _hoist_addresses(builder, (*tile.left, *tile.right, *scales.places))
    b, lanes = builder.b, starts[0][0].lanes

    def of_row(place: Place, number: Index) -> Handle:
        return read(builder, step_pointer(builder, place, builder.index(number), 1, 0), place[0].dtype, 1, None, 1, "a")

    def of_columns(place: Place, number: Index) -> Handle:
        pointer = step_pointer(builder, place, builder.index(number), scales.right_stride, 0)
        bits = read(builder, pointer, place[0].dtype, lanes, None, 1, "scale")
        if not builder.target.has_halves:
            return float_of_half(b, bits)
        return b.convert("fpext", b.convert("bitcast", bits, "half"), "f32")

    def iterate(number: Index, carried: Sums) -> Sums:
        begin: Sums = []
        for row, place in zip(carried, scales.sums, strict=True):
            start = b.literal(0, "i32", lanes)
            if scales.zero:
                start = b.splat(b.imul(of_row(place, number), b.literal(-scales.zero, "i32", 1)), lanes)
            begin.append([start] * len(row))
        sums = _steps(builder, tile, begin, number * scales.steps, range(scales.steps))
        weight_scales = [of_columns(place, number) for place in scales.right]
        totals: Sums = []
        for row, whole, place in zip(carried, sums, scales.left, strict=True):
            scale = b.splat(of_row(place, number), lanes)
            totals.append(
                [
                    b.fma(b.convert("sitofp", part, "f32"), b.mul(scale, other), total)
                    for total, part, other in zip(row, whole, weight_scales, strict=True)
                ]
            )
        return totals

    return _loop(builder, "block", 0, scales.blocks, 1, starts, iterate)


def _sum_over_k(builder: FunctionBuilder, tile: Contract, sums: Sums, first: Index, last: Index, rest: int = 0) -> Sums:
    """Write the products of k from ``first`` to ``last``, added to ``sums``, as a loop if long. Return the new sums.

    ``rest`` is the number of narrow values that remain after the last step of ``dot_width`` values.
    """
    unroll, steps = tile.unroll, last - first
    if not isinstance(steps, int):
        if quotient(steps, unroll) is not None:  # no rest, as for the rows of an even batch at all steps
            return _k_loop(builder, tile, sums, first, last, unroll)
        middle = first + _let_unique(builder, LetIndex("whole", "floor", steps, unroll))
        sums = _k_loop(builder, tile, sums, first, middle, unroll)
        return _k_loop(builder, tile, sums, middle, last, 1)
    short = steps <= max(unroll, 32 // max(1, len(tile.results) * len(tile.results[0])))
    whole = 0 if short else steps // unroll * unroll
    if whole:
        sums = _k_loop(builder, tile, sums, first, first + whole, unroll)
    if whole < steps:
        sums = _steps(builder, tile, sums, first, range(whole, steps))
    return _steps(builder, tile, sums, last, range(1), rest) if rest else sums


def _let_unique(builder: FunctionBuilder, let: LetIndex) -> Size:
    """Write code that computes a size of the loop IR under a unique name. Return the size."""
    builder.b.count += 1
    builder.let_index(let := replace(let, name=f"{let.name}.{builder.b.count}"))
    return size(let.name)


def _hoist_addresses(builder: FunctionBuilder, places: Iterable[Place]) -> None:
    """Write code for addresses before a loop over k, as far as they are variable but do not depend on k."""
    for place in places:
        builder.variable_part(*place)


def _k_loop(builder: FunctionBuilder, tile: Contract, sums: Sums, start: Index, stop: Index, unroll: int) -> Sums:
    """Write a loop that adds the products of k from ``start`` to ``stop`` to ``sums``. Return the new sums."""
    _hoist_addresses(builder, (*tile.left, *tile.right))

    def iterate(k: Index, carried: Sums) -> Sums:
        if tile.ahead is not None and unroll == tile.unroll:
            _prefetch(builder, tile, tile.ahead, k)
        if tile.destination is not None and unroll == tile.unroll:
            _prefetch_row(builder, tile.destination, unroll, k)
        return _steps(builder, tile, carried, k, range(unroll))

    return _loop(builder, "k", start, stop, unroll, sums, iterate)


def _prefetch(builder: FunctionBuilder, tile: Contract, ahead: Index, k: Index) -> None:
    """Write a prefetch of one cache line of the weights that a later tile reads."""
    buffer, index = tile.prefetched or tile.right[0]
    of_step = ALIGNMENT // ITEM_BYTES[buffer.dtype] // tile.unroll
    builder.b.prefetch(step_pointer(builder, (buffer, index + ahead), builder.index(k), of_step, 0))


def _prefetch_row(builder: FunctionBuilder, destination: Destination, unroll: int, k: Index) -> None:
    """Write prefetches (with intent to write) of one row of the results.

    Iteration ``k`` over the operands prefetches row ``k / unroll``.
    """
    for place in destination.lines:
        pointer = step_pointer(builder, place, builder.index(k), destination.pitch // unroll, 0)
        builder.b.prefetch(pointer, for_writing=True)


def _loop(
    builder: FunctionBuilder,
    name: str,
    start: Index,
    stop: Index,
    step: int,
    starts: Sums,
    iterate: Callable[[Index, Sums], Sums],
) -> Sums:
    """Write a loop that updates a tile's sums by ``iterate``. Return the sums after the loop.

    ``iterate`` writes an iteration, and returns the next sums.
    """
    lengths = [len(row) for row in starts]

    def rows_of(handles: Sequence[Handle]) -> Sums:
        items = iter(handles)
        return [[*islice(items, length)] for length in lengths]

    def iteration(variable: str, carried: Sequence[Handle]) -> list[Handle]:
        index = variable.removeprefix("%")
        builder.sizes[index] = variable
        return [*chain.from_iterable(iterate(size(index), rows_of(carried)))]

    return rows_of(builder.loop(name, (start, stop, step), [*chain.from_iterable(starts)], iteration))


def _steps(
    builder: FunctionBuilder, tile: Contract, accumulators: Sums, first: Index, offsets: range, rest: int = 0
) -> Sums:
    """Write products of the steps ``first + offset`` of k, added to sums in order of ``offsets``. Return the new sums.

    A step adds to the accumulator ``offset % accumulators``. If the last step has fewer than ``dot_width`` values,
    ``rest`` is their number; otherwise it is 0.
    """
    b = builder.b
    sums = [list(row) for row in accumulators]
    k, known = ("0", first) if isinstance(first, int) else (builder.index(first), 0)
    lanes, rows, columns = sums[0][0].lanes, range(len(tile.left)), range(len(tile.right))
    narrow, dot = tile.dot_width > 1, _dot_instructions(builder.target, tile)
    known_columns = () if builder.statement_origins is None else builder.statement_origins.columns(tile)
    origins = known_columns or ((),) * len(columns)

    def left(r: int, offset: int) -> Parts:
        if tile.spread:
            if offset == offsets.start:
                vectors[r] = _side_by_side(builder, step_pointer(builder, tile.left[r], k, 1, known + offset), tile, r)
            return dot.left(b, b.shuffle(vectors[r], vectors[r], [offset - offsets.start] * lanes))
        pointer = step_pointer(builder, tile.left[r], k, tile.left_stride, known + offset)
        dtype = tile.left[r][0].dtype
        if narrow:
            return dot.left(b, b.splat(_word(builder, pointer, dtype, rest or tile.dot_width, tile.dot_width), lanes))
        return dot.left(b, b.splat(read(builder, pointer, dtype, 1, None, 1, "a"), lanes))

    vectors: dict[int, Handle] = {}
    ready: dict[tuple[int, int], Handle] = {}

    def right(j: int, offset: int) -> Handle:
        if are_transposed(tile):
            if (j, offset) not in ready:
                together = range(offset, min(offset + read_together(tile), offsets.stop))
                vectors = transposed_columns(builder, tile, j, k, known + offset, len(together))
                ready.update(zip([(j, number) for number in together], vectors, strict=True))
            return ready[j, offset]
        return _weights(builder, tile, j, k, known + offset)

    def weight(j: int) -> list[Parts]:
        with builder.at(origins[j]):
            return [dot.right(b, right(j, offset)) for offset in together]

    def add(r: int, j: int, spread: Sequence[Parts], factors: Sequence[Parts]) -> None:
        with builder.at(origins[j]):
            for offset, one, other in zip(together, spread, factors, strict=True):
                number = offset % tile.accumulators * len(columns) + j
                sums[r][number] = dot.add(b, one, other, sums[r][number])

    for start in range(offsets.start, offsets.stop, tile.together):
        together = range(start, min(start + tile.together, offsets.stop))
        # To save registers, hold all vectors of the operand with fewer vectors, and only one of the other at a time.
        if len(rows) > len(columns):
            weights = [weight(j) for j in columns]
            for r in rows:
                spread = [left(r, offset) for offset in together]
                for j in columns:
                    add(r, j, spread, weights[j])
        else:
            spreads = [[left(r, offset) for offset in together] for r in rows]
            for j in columns:
                held = weight(j)
                for r in rows:
                    add(r, j, spreads[r], held)
    return sums


def _dot_instructions(target: Target, tile: Contract) -> DotInstructions:
    """Return the kind of instructions by which a tile's operands are multiplied, such as a byte dot product."""
    if tile.scales is not None:
        return block_product(target, tile.scales)
    return dot_product(target, tile.left[0][0].dtype) if tile.dot_width > 1 else MULTIPLY_ADD


def _weights(builder: FunctionBuilder, tile: Contract, column: int, k: str, offset: int) -> Handle:
    """Write a load of one column's (vector's) weights at step ``k + offset`` of k. Return them, converted if narrow."""
    second = offset % tile.steps_per_lane
    place, lanes = tile.right[column], tile.results[0][0].lanes
    pointer = step_pointer(builder, place, k, tile.right_stride, offset - second)
    in_words = tile.dot_width > 1 or tile.steps_per_lane > 1
    dtype = "int32" if in_words else place[0].dtype
    weights = read(builder, pointer, dtype, lanes, tile.valid[column], tile.lane_stride, "w")
    if tile.steps_per_lane == 1:
        return widened(builder.b, weights)
    if tile.dot_width == 1:
        return float_of_each_pair(builder.b, weights, second)
    return four_bits_of_each_byte(builder.b, weights, second)


def _side_by_side(builder: FunctionBuilder, pointer: str, tile: Contract, row: int) -> Handle:
    """Write a load of a row's values at all steps of k, for a tile with few steps. Return the vector.

    The vector is frozen, because LLVM would otherwise turn each broadcast of a lane into a load.
    """
    vector = read(builder, pointer, tile.left[row][0].dtype, int(str(tile.depth)), None, 1, "a")
    return builder.b.emit(f"freeze {vector.type} {vector.text}", vector.element, vector.lanes, "a")


def _word(builder: FunctionBuilder, pointer: str, dtype: str, count: int, dot_width: int) -> Handle:
    """Write a load of ``count`` narrow values as a 32-bit word, padded with zeros. Return the word."""
    b = builder.b
    if count == dot_width:
        return b.emit(f"load i32, ptr {pointer}, align {ITEM_BYTES[dtype]}", "i32", 1, "a")
    word = b.literal(0, "i32", 1)
    for number in range(count):
        place = builder.pointer(LLVM_TYPES[element_of(dtype)], pointer, str(number)) if number else pointer
        element = b.convert("zext", read(builder, place, dtype, 1, None, 1, "a"), "i32")
        word = b.or_(word, b.shl(element, number * 32 // dot_width))
    return word
