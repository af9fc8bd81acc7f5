"""A register tile as LLVM text: its sums stay in registers while k runs, each added to in the order of k.

A sum may be kept in several parts, among which the terms are dealt out in turn: then no term waits for the one before
it. ``sums[part][row][column]`` are handles.
"""

from __future__ import annotations

from functools import reduce

from ..ir.types import Size
from .frame import Frame
from .instructions import LLVM_TYPES, Handle, element_of
from .loops import Buffer, Contract, Index, LetIndex
from .memory import read

Sums = list[list[list[Handle]]]


def contract(frame: Frame, tile: Contract) -> None:
    """The sums of a tile, by a loop over k that is unrolled; all of k at once where it is short."""
    rows, columns = len(tile.results), len(tile.results[0])
    if tile.comment:
        frame.lines.append(f"  ; {tile.comment}")
    begins = [[frame.operand(item) for item in row] for row in tile.starts]
    zeros = [[frame.b.constant(0.0, item) for item in row] for row in begins]
    sums = [begins, *[zeros] * (tile.parts - 1)]
    depth, unroll = tile.depth, tile.unroll
    if isinstance(depth, int) and depth <= max(unroll, 32 // max(1, rows * columns)):
        sums = _steps(frame, tile, sums, "0", range(depth))
    else:
        whole: Index
        if isinstance(depth, int):
            whole = depth // unroll * unroll
        else:
            frame.let_index(LetIndex("whole", "floor", depth, unroll))
            frame.sizes[(fresh := f"whole.{frame.b.count}")] = frame.sizes["whole"]
            whole = Size((((fresh,), 1),))
        sums = _k_loop(frame, tile, sums, 0, whole, unroll)
        if unroll == 1:
            pass  # nothing is left
        elif isinstance(depth, int):
            sums = _steps(frame, tile, sums, "0", range(int(str(whole)), depth))
        else:
            sums = _k_loop(frame, tile, sums, whole, depth, 1)
    for r, results in enumerate(tile.results):
        for j, result in enumerate(results):
            frame.values[result.name] = reduce(frame.b.add, [part[r][j] for part in sums])


def _k_loop(frame: Frame, tile: Contract, starts: Sums, start: Index, stop: Index, unroll: int) -> Sums:
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
    sums = [
        [[h._replace(text=f"%sum.{p}.{r}.{j}.{number}") for j, h in enumerate(row)] for r, row in enumerate(part)]
        for p, part in enumerate(starts)
    ]
    frame.lines.extend("" for part in sums for row in part for _ in row)
    test = frame.b.emit(f"icmp slt i64 %k.{number}, {last}", "i1", 1, "more")
    frame.lines.append(f"  br i1 {test.text}, label %{body}, label %{end}")
    frame.start(body)
    frame.known.append({})
    nexts = _steps(frame, tile, sums, f"%k.{number}", range(unroll))
    frame.known.pop()
    frame.lines.append(f"  %k.next.{number} = add i64 %k.{number}, {unroll}")
    frame.lines.append(f"  br label %{head}")
    frame.lines[position] = f"  %k.{number} = phi i64 [ {first}, %{before} ], [ %k.next.{number}, %{body} ]"
    for held, begin, after in zip(_flat(sums), _flat(starts), _flat(nexts), strict=True):
        position += 1
        frame.lines[position] = (
            f"  {held.text} = phi {begin.type} [ {begin.text}, %{before} ], [ {after.text}, %{body} ]"
        )
    frame.start(end)
    return sums


def _flat(sums: Sums) -> list[Handle]:
    return [handle for part in sums for row in part for handle in row]


def _steps(frame: Frame, tile: Contract, given: Sums, k: str, offsets: range) -> Sums:
    """The steps k + offset, in order; k is a multiple of the number of parts."""
    b = frame.b
    parts = [[list(row) for row in part] for part in given]
    lanes = parts[0][0][0].lanes
    rows, columns = range(len(tile.left)), range(len(tile.right))

    def left(r: int, offset: int) -> Handle:
        return b.splat(_element(frame, tile.left[r], k, tile.left_stride, offset, 1, None, 1), lanes)

    def right(j: int, offset: int) -> Handle:
        return _element(frame, tile.right[j], k, tile.right_stride, offset, lanes, tile.valid[j], tile.lane_stride)

    for offset in offsets:
        sums = parts[offset % tile.parts]
        # What there is less of is held in registers, and the others come one after the other.
        if len(rows) > len(columns):
            weights = [right(j, offset) for j in columns]
            for r in rows:
                spread = left(r, offset)
                for j in columns:
                    sums[r][j] = b.fma(spread, weights[j], sums[r][j])
        else:
            spreads = [left(r, offset) for r in rows]
            for j in columns:
                weight = right(j, offset)
                for r in rows:
                    sums[r][j] = b.fma(spreads[r], weight, sums[r][j])
    return parts


def _element(
    frame: Frame,
    place: tuple[Buffer, Index],
    k: str,
    stride: Index,
    offset: int,
    lanes: int,
    valid: int | None,
    between: Index,
) -> Handle:
    """A row's element or a column's lanes at step k + offset."""
    buffer, index = place
    kind = LLVM_TYPES[element_of(buffer.dtype)]
    constant = next((f for names, f in index.terms if not names), 0) if isinstance(index, Size) else index
    pointer = frame.address(buffer, index - constant)
    if k != "0":
        step = frame.combine("mul", k, frame.index(stride)) if stride != 1 else k
        pointer = frame.pointer(kind, pointer, step)
    behind = constant + stride * offset
    if behind != 0:
        pointer = frame.pointer(kind, pointer, frame.index(behind))
    return read(frame, pointer, buffer.dtype, lanes, valid, between, "a" if lanes == 1 else "w")
