"""Run-time preconditions of calls: nonnegative sizes, equal sizes, and fed integers within range."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np

from ...ir.attributes import MAX_ELEMENTS
from ...ir.equal_sizes import equalities_of
from ...ir.graph import Graph, Node
from ...ir.types import INTEGERS, Dim, Size, TensorType, TupleType, dim_text, evaluate, symbols_of
from ...support.errors import ShapeError, Where
from ...support.records import dataclass

Places = tuple[tuple[str, tuple[int, ...]], ...]
"""Names of feeds, each with some axes."""
Part = tuple[tuple[Dim, Dim, int], ...]
"""Slice of a feed: (start, stop, step) of each axis."""


@dataclass(frozen=True)
class Precondition:
    """Condition on run-time sizes or fed integers.

    Attributes:
        kind: ``"size"``: ``low`` is not negative. ``"equal"``: ``low`` equals ``high``. ``"range"``: the integers of a
            feed are from ``low`` to ``high``.
        label: Name of the feed, for a range.
        where: Line that requires the condition.
        text: What the condition is about, for errors.
        lengths: Feed of row lengths, if only steps within the rows are checked.
        fed: For equal sizes, the axes of feeds that determine ``high``, and those that determine ``low``.
        part: Slice of the feed that is checked; None for the whole feed.
        reached: Reason why the feed must attain ``high``; None if it need not.
    """

    kind: str
    high: Dim
    low: Dim
    label: str
    where: Where | None
    text: str
    lengths: str | None = None
    fed: tuple[Places, ...] = ()
    part: Part | None = None
    reached: str | None = None


def preconditions_of(graph: Graph) -> tuple[Precondition, ...]:
    """Return the preconditions of a graph: slices and positions within sizes, integers in range, and equal sizes."""
    preconditions: list[Precondition] = []
    outside = {
        param: actual
        for node in graph.walk()
        if node.op == "scan"
        for param, actual in zip(node["body"].inputs, node.operands, strict=True)
    }
    for node in graph.walk():
        if node.op == "slice":
            for start, stop, dim in zip(node["start"], node["stop"], node.operands[0].shape, strict=True):
                for need in (start, stop - start, dim - stop):
                    if isinstance(need, Size):
                        text = f"a slice {dim_text(start)}:{dim_text(stop)} of an axis of {dim_text(dim)}"
                        preconditions.append(Precondition("size", 0, need, "", node.where, text))
        if node.op == "windows":
            dim, span = node.operands[0].shape[node["axis"]], node["apart"] * (node["size"] - 1)
            if isinstance(dim, Size):  # zero windows are valid
                text = f"a window of {span + 1} entries of an axis of {dim_text(dim)}"
                preconditions.append(Precondition("size", 0, dim - span + (node["step"] - 1), "", node.where, text))
        if (limits := node.get("limits")) is not None and isinstance(limits[0], Size):
            size, low, high = limits
            bounds = f"{low} to {high}" if low > 1 else f"at most {high}"
            text = f"a size of {bounds if high < MAX_ELEMENTS else f'at least {low}'}"
            needs = (size - low, high - size)
            preconditions += [Precondition("size", 0, need, "", node.where, text) for need in needs]
        if node.op == "gather":
            preconditions += _range(node.operands[1], outside, 0, node.operands[0].shape[0], node, "rows of a table")
            preconditions += _gathered_rows_exist(node)
        if node.get("entries") is not None:
            count = node["entries"]
            low = count * -1 if node["within"] == "entries" else 0
            preconditions += _range(node.operands[0], outside, low, count, node, "indices into an axis")
        elif node.get("within"):
            label, lengths = next(
                filter(any, (_fed_within_lengths(item, outside) for item in node.operands)), (None, None)
            )
            high = node.shape[-1] - (node["within"] == "labels")
            reached = (node.get("reason") or "") if node["within"] == "longest" else None
            text = "lengths" if reached is not None else node["within"]
            if label:
                preconditions.append(Precondition("range", high, 0, label, node.where, text, lengths, reached=reached))
    for node in graph.nodes:
        if node.op == "scan":
            for param, actual in zip(node["body"].inputs, node.operands, strict=True):
                if param["label"] == "length":
                    preconditions += _range(actual, outside, 0, node["length"] + 1, node, "sequence_length")
    for item in equalities_of(graph):
        places = _axes_with_size(item.have, graph), _axes_with_size(item.want, graph)
        preconditions.append(Precondition("equal", item.have, item.want, "", item.where, "", fed=places))
    known = {check.low for check in preconditions if check.kind == "size"}
    preconditions += [
        Precondition("size", 0, dim, "", where, f"a size of {dim_text(dim)}")
        for dim, where in _differences(graph).items()
        if dim not in known
    ]
    return tuple(preconditions)


def _range(index: Node, outside: Mapping[Node, Node], low: Dim, stop: Dim, node: Node, text: str) -> list[Precondition]:
    """Return the precondition that a fed ``index`` is from ``low`` to ``stop - 1``; empty if it is not fed.

    ``outside`` maps inputs of scans' bodies to the values that they stand for; ``text`` describes the index in errors.
    """
    label, part = _source_feed(index, outside), _part_of_feed(index, outside)
    return [Precondition("range", stop - 1, low, label, node.where, text, part=part)] if label else []


def _gathered_rows_exist(node: Node) -> list[Precondition]:
    """Return the preconditions of a gather at indices that only sizes determine, such as ``positions(x)``."""
    rows, places = node.operands[0].shape[0], range_of(node.operands[1])
    if places is None:
        return []
    low, high = places
    text = f"a gather of rows {dim_text(low)} to {dim_text(high)} of a table of {dim_text(rows)}"
    return [
        Precondition("size", 0, need, "", node.where, text) for need in (low, rows - 1 - high) if isinstance(need, Size)
    ]


# Ranges of indices --------------------------------------------------------------------------------

Range: TypeAlias = tuple[Dim, Dim] | None
"""Minimum and maximum of an index; None if they are unknown."""
_MOVED = ("reshape", "transpose", "broadcast", "cast", "ensure_shape", "reverse")
"""Ops that only rearrange, repeat or convert the integers of their operand."""


def range_of(index: Node, known: dict[Node, Range] | None = None) -> Range:
    """Return the minimum and the maximum of an index, if the index attains both; None if they are unknown.

    The bounds are unknown if the range may be narrower than the operands suggest, as for ``positions - positions``. A
    valid call is therefore never refused.

    Args:
        index: The index.
        known: Cache of ranges by node, to which the call adds.
    """
    known = {} if known is None else known
    if index not in known:
        known[index] = _range_of(index, known)
    return known[index]


def _range_of(index: Node, known: dict[Node, Range]) -> Range:
    """Return (lowest, highest) value of an integer node, from those of its operands; None if unknown."""
    if not isinstance(index.type, TensorType) or index.type.dtype not in INTEGERS:
        return None
    if index.op == "iota":
        return 0, index["size"] - 1
    if index.op == "dimension":
        return index["size"], index["size"]
    if index.op == "constant":
        array = index["value"]
        return (int(array.min()), int(array.max())) if array.size else None
    if index.op in _MOVED:
        return range_of(index.operands[0], known)
    if index.op in ("reduce_max", "reduce_min"):
        bounds = range_of(index.operands[0], known)
        if bounds is None or index.shape:
            return None
        return (bounds[1],) * 2 if index.op == "reduce_max" else (bounds[0],) * 2
    if index.op in ("add", "sub", "mul"):
        return _range_of_arithmetic(index.op, *(range_of(operand, known) for operand in index.operands))
    return None


def _range_of_arithmetic(op: str, a: Range, b: Range) -> Range:
    """Return the range of an op on two ranges, of which one is a single number; None if it is unknown."""
    if a is None or b is None or (a[0] != a[1] and b[0] != b[1]):
        return None
    if op == "add":
        return a[0] + b[0], a[1] + b[1]
    if op == "sub":
        return a[0] - b[1], a[1] - b[0]
    for (number, last), (low, high) in ((a, b), (b, a)):
        if number == last and isinstance(number, int):
            return (number * low, number * high) if number >= 0 else (number * high, number * low)
    return None


# Checking --------------------------------------------------------------------------------------------


def _axes_with_size(dim: Dim, graph: Graph) -> Places:
    """Return the axes of feeds that determine a size: for each of its symbols, the first axis that has the symbol."""
    inputs = [node for node in graph.inputs if node.op == "input"]
    first = {
        symbol: (str(node["label"]), axis)
        for node in reversed(inputs)
        for axis, dim in enumerate(node.shape)
        for symbol in symbols_of(dim)
    }
    places: dict[str, list[int]] = {}
    for label, axis in sorted(first[symbol] for symbol in symbols_of(dim) if symbol in first):
        places.setdefault(label, []).append(axis)
    return tuple((label, tuple(axes)) for label, axes in places.items())


def _side_text(dim: Dim, places: Places, arrays: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> str:
    """Describe one of two sizes that must be equal: its text, value and feeds."""
    fed = [
        f"{'axis' if len(axes) == 1 else 'axes'} {' and '.join(map(str, axes))} of feed {label} {arrays[label].shape}"
        for label, axes in places
        if label in arrays
    ]
    value = f"{dim_text(dim)} = {evaluate(dim, sizes)}" if isinstance(dim, Size) else dim_text(dim)
    return f"{value} ({' and '.join(fed)})" if fed else value


def _differences(graph: Graph) -> dict[Size, Where | None]:
    """Return {size with a negative term, which may be negative: line where it occurs first}."""
    differences: dict[Size, Where | None] = {}
    for node in graph.walk():
        items = node.type.items if isinstance(node.type, TupleType) else (node.type,)
        dims = [dim for item in items for dim in item.shape]
        for dim in [*dims, node.get("length")]:
            if isinstance(dim, Size) and any(factor < 0 for _, factor in dim.terms):
                differences.setdefault(dim, node.where)
    return differences


def _source_feed(node: Node, outside: Mapping[Node, Node]) -> str | None:
    """Return the name of the integer feed from which all values of ``node`` come; None if there is none.

    ``outside`` maps inputs of loop bodies to the loops' operands.
    """
    while True:
        if node in outside:
            node = outside[node]
        elif node.op == "slice" or node.op in _MOVED:
            node = node.operands[0]
        else:
            return str(node["label"]) if node.op == "input" and node.tensor.dtype in INTEGERS else None


def _part_of_feed(node: Node, outside: Mapping[Node, Node]) -> Part | None:
    """Return the slice of a feed that ``node`` reads; None for the whole feed, or if the slice is unknown.

    The slice is unknown if the feed was reshaped, or is sliced in the body of a loop. ``outside`` maps inputs of loop
    bodies to the loops' operands.
    """
    part: Part | None = None
    while node.op != "input" or node in outside:
        if node in outside:
            node, part = outside[node], None
            continue
        if node.op == "slice":
            part = tuple(zip(node["start"], node["stop"], node["step"], strict=True))
        elif node.op not in ("cast", "ensure_shape"):
            part = None
        if not node.operands:
            return None
        node = node.operands[0]
    return part


def _fed_within_lengths(node: Node, outside: Mapping[Node, Node]) -> tuple[str | None, str | None]:
    """Return the feed that ``node`` reads, and the feed of row lengths that limits which steps are read."""
    while node.op in ("reshape", "cast", "ensure_shape"):
        node = node.operands[0]
    if node.op == "select" and node.operands[0].get("within") == "lengths":
        return _source_feed(node.operands[1], outside), _source_feed(node.operands[0].operands[1], outside)
    return _source_feed(node, outside), None


def check_preconditions(
    checks: Sequence[Precondition], arrays: Mapping[str, np.ndarray], sizes: Mapping[str, int], where: Where | None
) -> None:
    """Raise ``ShapeError`` if the sizes, or the feeds among ``arrays``, violate a precondition."""
    for check in checks:
        if check.kind == "equal":
            if evaluate(check.high, sizes) != evaluate(check.low, sizes):
                sides = zip((check.high, check.low), check.fed, strict=True)
                have, want = (_side_text(dim, places, arrays, sizes) for dim, places in sides)
                raise ShapeError(f"{have} does not match {want} (declared at {check.where}); both must be equal", where)
        elif check.kind == "size":
            if evaluate(check.low, sizes) < 0:
                shown = ", ".join(f"{name} = {sizes[name]}" for name in sorted(symbols_of(check.low)))
                raise ShapeError(f"{check.text} (declared at {check.where}) does not fit {shown}", where)
        elif check.label in arrays and arrays[check.label].size:
            array, high, low = arrays[check.label], evaluate(check.high, sizes), evaluate(check.low, sizes)
            if check.part is not None and len(check.part) == array.ndim:
                array = array[tuple(slice(evaluate(a, sizes), evaluate(b, sizes), step) for a, b, step in check.part)]
            lengths = arrays.get(check.lengths or "")
            if lengths is not None and lengths.shape == array.shape[:1] and array.ndim == 2:
                array = array[np.arange(array.shape[-1]) < lengths[:, None]]
            if array.size and (int(array.min()) < low or int(array.max()) > high):
                wrong = int(array.min()) if int(array.min()) < low else int(array.max())
                raise ShapeError(
                    f"feed {check.label} holds {wrong}; {check.text} (declared at {check.where}) must be in "
                    f"{low}..{high}",
                    where,
                )
            if check.reached is not None and array.size and int(array.max()) != high:
                longest, reason = int(array.max()), f"; {check.reached}" if check.reached else ""
                raise ShapeError(
                    f"the longest row has {longest} steps by feed {check.label}, but {high} steps are fed; they must "
                    f"be equal (declared at {check.where}){reason}; feed {longest} steps",
                    where,
                )
