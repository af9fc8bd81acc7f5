"""A register tile as LLVM text: its sums stay in registers while k runs, each added to in the order of k.

Sums by strand lie side by side: of each row first those of strand 0, by column, then those of strand 1.
"""

from __future__ import annotations

from ..ir.types import ITEM_BYTES, Size
from .frame import Frame, ascends
from .instructions import LLVM_TYPES, Handle, element_of
from .loops import Buffer, Contract, Index, LetIndex
from .memory import read


def contract(frame: Frame, tile: Contract) -> None:
    """The sums of a tile, by a loop over k that is unrolled; all of k at once where it is short."""
    rows, columns = len(tile.results), len(tile.results[0])
    if tile.comment:
        frame.lines.append(f"  ; {tile.comment}")
    accumulators = [[frame.operand(item) for item in row] for row in tile.starts]
    for row in accumulators:
        row += [frame.b.constant(0.0, row[0])] * (columns * (tile.strands - 1))
    depth, unroll, rest = tile.depth, tile.unroll, 0
    if tile.together > 1:
        depth, rest = divmod(int(str(depth)), tile.together)
    if isinstance(depth, int) and depth <= max(unroll, 32 // max(1, rows * columns)):
        accumulators = _steps(frame, tile, accumulators, "0", range(depth))
    else:
        whole: Index
        if isinstance(depth, int):
            whole = depth // unroll * unroll
        else:
            frame.let_index(LetIndex("whole", "floor", depth, unroll))
            frame.sizes[(fresh := f"whole.{frame.b.count}")] = frame.sizes["whole"]
            whole = Size((((fresh,), 1),))
        accumulators = _k_loop(frame, tile, accumulators, 0, whole, unroll)
        if unroll == 1:
            pass  # nothing is left
        elif isinstance(depth, int):
            accumulators = _steps(frame, tile, accumulators, "0", range(int(str(whole)), depth))
        else:
            accumulators = _k_loop(frame, tile, accumulators, whole, depth, 1)
    if rest:
        accumulators = _steps(frame, tile, accumulators, "0", range(whole := int(str(depth)), whole + 1), rest)
    for results, row in zip(tile.results, accumulators, strict=True):
        for number, result in enumerate(results):
            total, *others = row[number::columns]
            for other in others:
                total = frame.b.add(total, other)
            frame.values[result.name] = total


def _k_loop(
    frame: Frame, tile: Contract, starts: list[list[Handle]], start: Index, stop: Index, unroll: int
) -> list[list[Handle]]:
    """A loop over k from start to stop, ``unroll`` steps a turn."""
    # Pointers that do not move with k are made before the loop.
    for buffer, index in (*tile.left, *tile.right):
        frame.address(buffer, index)
    first, last = frame.index(start), frame.index(stop)
    head, body, end = frame.labels("k.head", "k.body", "k.end")
    number, before = frame.b.count, frame.label
    frame.lines.append(f"  br label %{head}")
    frame.start(head)
    position = len(frame.lines)
    frame.lines.append("")
    accumulators = []
    for r, row in enumerate(starts):
        accumulators.append([h._replace(text=f"%sum.{r}.{j}.{number}") for j, h in enumerate(row)])
        frame.lines.extend("" for _ in row)
    test = frame.b.emit(f"icmp slt {frame.index_kind} %k.{number}, {last}", "i1", 1, "more")
    frame.lines.append(f"  br i1 {test.text}, label %{body}, label %{end}")
    frame.start(body)
    frame.known.append({})
    nexts = _steps(frame, tile, accumulators, f"%k.{number}", range(unroll))
    frame.known.pop()
    frame.lines.append(f"  %k.next.{number} = add {frame.index_kind} %k.{number}, {unroll}")
    frame.lines.append(f"  br label %{head}")
    frame.lines[position] = (
        f"  %k.{number} = phi {frame.index_kind} [ {first}, %{before} ], [ %k.next.{number}, %{body} ]"
    )
    for r, row in enumerate(starts):
        for j, begin in enumerate(row):
            position += 1
            frame.lines[position] = (
                f"  {accumulators[r][j].text} = phi {begin.type} [ {begin.text}, %{before} ], "
                f"[ {nexts[r][j].text}, %{body} ]"
            )
    frame.start(end)
    return accumulators


def _steps(
    frame: Frame, tile: Contract, accumulators: list[list[Handle]], k: str, offsets: range, rest: int = 0
) -> list[list[Handle]]:
    """The steps k + offset, in order, of every accumulator; k is a multiple of the strands. rest: of narrow numbers,
    how many a last step has.
    """
    b = frame.b
    sums = [list(row) for row in accumulators]
    lanes = sums[0][0].lanes
    rows, columns = range(len(tile.left)), range(len(tile.right))

    narrow = tile.together > 1
    multiplied = b.dot if narrow else b.fma

    def left(r: int, offset: int) -> Handle:
        pointer = _pointer(frame, tile.left[r], k, tile.left_stride, offset)
        dtype = tile.left[r][0].dtype
        if narrow:
            return b.splat(_word(frame, pointer, dtype, rest or tile.together, tile.together), lanes)
        return b.splat(read(frame, pointer, dtype, 1, None, 1, "a"), lanes)

    def right(j: int, offset: int) -> Handle:
        pointer = _pointer(frame, tile.right[j], k, tile.right_stride, offset)
        dtype = "int32" if narrow else tile.right[j][0].dtype
        return _widened(frame, read(frame, pointer, dtype, lanes, tile.valid[j], tile.lane_stride, "w"))

    for offset in offsets:
        strand = offset % tile.strands * len(columns)
        # What there is less of is held in registers, and the others come one after the other.
        if len(rows) > len(columns):
            weights = [right(j, offset) for j in columns]
            for r in rows:
                spread = left(r, offset)
                for j in columns:
                    sums[r][strand + j] = multiplied(spread, weights[j], sums[r][strand + j])
        else:
            spreads = [left(r, offset) for r in rows]
            for j in columns:
                weight = right(j, offset)
                for r in rows:
                    sums[r][strand + j] = multiplied(spreads[r], weight, sums[r][strand + j])
    return sums


def _widened(frame: Frame, x: Handle) -> Handle:
    """Narrow weights beside float32 activations, as float32."""
    b = frame.b
    if x.element == "i8":
        return b.convert("sitofp", x, "f32")
    if x.element == "bf16":
        return b.from_bits(b.shl(b.convert("zext", x, "i32"), 16))
    return x


def _pointer(frame: Frame, place: tuple[Buffer, Index], k: str, stride: Index, offset: int) -> str:
    """Where a row's element or a column's first lane lies at step k + offset."""
    buffer, index = place
    kind = LLVM_TYPES[element_of(buffer.dtype)]
    constant = next((f for names, f in index.terms if not names), 0) if isinstance(index, Size) else index
    pointer = frame.address(buffer, index - constant)
    if k != "0":
        step = frame.combine("mul", k, frame.index(stride)) if stride != 1 else k
        pointer = frame.fixed(frame.pointer(kind, pointer, step))
    behind = constant + stride * offset
    if behind != 0:
        onward = isinstance(behind, int) and ascends(index) and ascends(behind) and ascends(stride)
        pointer = frame.pointer(kind, pointer, frame.index(behind), onward)
    return pointer


def _word(frame: Frame, pointer: str, dtype: str, count: int, together: int) -> Handle:
    """``count`` narrow numbers of a row in one 32-bit word, zeros behind them; nothing behind them is read."""
    b = frame.b
    if count == together:
        return b.emit(f"load i32, ptr {pointer}, align {ITEM_BYTES[dtype]}", "i32", 1, "a")
    word = b.literal(0, "i32", 1)
    for number in range(count):
        place = frame.pointer(LLVM_TYPES[element_of(dtype)], pointer, str(number)) if number else pointer
        element = b.convert("zext", read(frame, place, dtype, 1, None, 1, "a"), "i32")
        word = b.or_(word, b.shl(element, number * 32 // together))
    return word
