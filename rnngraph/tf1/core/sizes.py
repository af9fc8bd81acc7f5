"""Sizes as Tensors, and back: ``tf.shape(x)`` is a Tensor like others, and where a size is wanted it is read again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...declare.functions.basic import cast, dimension, gather, known_by, reduce_sum, reshape, stack
from ...declare.functions.elementary import remainders
from ...declare.functions.indexing import clamped_slice, is_far
from ...declare.functions.rounding import floor
from ...declare.parameter_maps import RANDOM
from ...declare.placeholders import fed
from ...declare.tensor import Tensor, build, constant, pair
from ...ir.graph import Node, topological
from ...ir.sizes.polynomial import floor_divide
from ...ir.sizes.polynomial import size as size_named
from ...ir.sizes.table import declaration_order
from ...ir.types import FLOATS, INTEGERS, Dim, Size, TensorType
from ...support.errors import ShapeError, shown
from .graph import Count, get_default_graph

MAX_AXES, LARGEST = 32, 1 << 62
"""Axes of an array, and what a size may be."""


def shape_tensor(x: Tensor, dtype: str) -> Tensor:
    """The sizes of x as a vector."""
    if not x.rank:
        return constant(np.zeros(0, dtype))
    return stack([size_tensor(x, size, dtype) for size in x.type.shape])


def size_tensor(x: Tensor, size: Dim, dtype: str) -> Tensor:
    """A size of x as a number. It is read off x, so that a run knows it by what x is made of."""
    found = dimension(size, dtype)
    return found if isinstance(size, int) else known_by(reduce_sum(cast(x, "float32")), found)


def sizes_in(given: Any) -> list[Any]:
    """A shape as a program gives it, as sizes: ints, None, -1, or open sizes of Tensors.

    given: a list of ints, None, ``tf.Dimension`` and scalar Tensors, or a vector that is made of sizes.
    """
    if isinstance(given, Tensor):
        return [as_dim(item) for item in _read(given).reshape(-1)]
    if isinstance(given, int | np.integer) or not hasattr(given, "__iter__") or getattr(given, "ndim", 1) == 0:
        return [_size(given)]
    found = [_size(item) for item in given]
    if len(found) > MAX_AXES:
        raise ShapeError(f"a shape of {len(found)} sizes; arrays have {MAX_AXES} axes at most")
    return found


def _size(item: Any) -> Any:
    if isinstance(item, Tensor):
        found = _read(item)
        if found.size != 1:
            raise ShapeError(f"{item!r} stands for one size, and has {found.size}")
        return as_dim(found.reshape(-1)[0])
    value = getattr(item, "value", item)
    if value is None or isinstance(value, Size):
        return value
    try:
        whole = int(value)
        if whole != value or abs(whole) > LARGEST:
            raise ValueError
        return whole
    except (TypeError, ValueError, OverflowError):
        raise ShapeError(f"{shown(item)} is no size; give ints, None, or what tf.shape gives") from None


def slice_between(what: str, start: Any, stop: Any, step: Any, dim: Dim) -> slice:
    """A slice of an axis of size ``dim``, whose end may be that very size."""
    stop = None if stop == dim and not (isinstance(step, int) and step < 0) else stop
    if _is_computed(slice(start, stop, step), dim):
        return slice(start, stop, step)
    if not all(item is None or isinstance(item, int) for item in (start, stop, step)):
        raise ShapeError(
            f"{what} takes ints, or as its end the size of the very axis that it cuts; cut what is fed with NumPy, or "
            "choose entries with tf.gather or a mask"
        )
    return slice(start, stop, step)


def with_computed(x: Tensor, index: tuple[Any, ...]) -> tuple[Tensor, tuple[Any, ...]]:
    """Return a Tensor whose slices between numbers that a run computes were taken, and the index that is left.

    Such numbers are sizes that are not the axis's own. A run checks that they lie within the axis.
    """

    def taken(x: Tensor, axis: int, item: slice) -> Tensor | None:
        if not _is_computed(item, x.type.shape[axis]):
            return None
        start = 0 if item.start is None else item.start
        count = (x.type.shape[axis] if item.stop is None else item.stop) - start
        return gather(x, build("iota", size=count) + dimension(start, "int64"), axis)

    return _with_taken(x, index, taken)


def _with_taken(
    x: Tensor, index: tuple[Any, ...], take: Callable[[Tensor, int, slice], Tensor | None]
) -> tuple[Tensor, tuple[Any, ...]]:
    """Return a Tensor whose slices were taken, and the index that is left. take: gives None for slices that stay."""
    named = [item for item in index if item is not None]
    if len([item for item in named if item is not Ellipsis]) > x.rank:
        return x, index
    axes, left = iter(_axes_of(x, named)), list[Any]()
    for item in index:
        axis = None if item is None else next(axes)
        taken = take(x, axis, item) if axis is not None and isinstance(item, slice) else None
        if taken is None:
            left.append(item)
            continue
        x = taken
        left.append(slice(None))
    return x, tuple(left)


def _is_computed(item: slice, dim: Dim) -> bool:
    """True if a bound of a slice is a size that is not the axis's own."""
    start, stop = item.start, None if item.stop == dim else item.stop
    if item.step not in (None, 1) or not (isinstance(start, Size) or isinstance(stop, Size)):
        return False
    return not any(isinstance(bound, int) and bound < 0 for bound in (start, stop))


def slices_by_sizes(x: Tensor, index: tuple[Any, ...]) -> tuple[Any, ...]:
    """An index whose slices may have what ``tf.shape`` gives."""
    bounds = [part for item in index if isinstance(item, slice) for part in (item.start, item.stop)]
    taken = [item for item in index if item is not None]
    if (
        not any(isinstance(part, Tensor) for part in bounds)
        or len([item for item in taken if item is not Ellipsis]) > x.rank
    ):
        return index
    axes = iter(_axes_of(x, taken))

    def settled(item: Any) -> Any:
        if item is None:
            return None
        axis = next(axes)
        if not isinstance(item, slice) or not any(isinstance(part, Tensor) for part in (item.start, item.stop)):
            return item
        start, stop = (_size(part) if isinstance(part, Tensor) else part for part in (item.start, item.stop))
        step = 1 if item.step is None else item.step
        return slice_between("a slice of a Tensor", start, stop, step, x.type.shape[axis])

    return tuple(map(settled, index))


def _axes_of(x: Tensor, taken: Sequence[Any]) -> list[int]:
    """The axis of each entry of an index without new axes."""
    places = list(range(len(taken)))
    first = next((place for place, item in enumerate(taken) if item is Ellipsis), len(taken))
    return [place if place < first else x.rank - len(taken) + place for place in places]


def with_clamped(x: Tensor, index: tuple[Any, ...]) -> tuple[Tensor, tuple[Any, ...]]:
    """Return a Tensor whose slices with bounds far from an end of an open axis were taken, and the index that is
    left.
    """

    def taken(x: Tensor, axis: int, item: slice) -> Tensor | None:
        if not _is_far(item, x.type.shape[axis]):
            return None
        return clamped_slice(x, axis, item.start, item.stop, 1 if item.step is None else item.step)

    return _with_taken(x, index, taken)


def _is_far(item: slice, dim: Dim) -> bool:
    bounds = (item.start, item.stop)
    return all(bound is None or type(bound) is int for bound in bounds) and any(is_far(dim, bound) for bound in bounds)


def as_dim(item: Any) -> Dim:
    """A size that was computed, as an int or as an open one."""
    return item if isinstance(item, Size) else int(item)


def anchored(value: Tensor, given: Any) -> Tensor:
    """A Tensor whose sizes were read off those that are given: a run knows these by what they are made of, also where
    nothing else reads it.
    """
    counts, sources = get_default_graph().counts, list[Tensor]()
    for item in given if isinstance(given, list | tuple) else [given]:
        if isinstance(item, Tensor) and item.node.op not in ("constant", "dimension"):
            sources += [item, *(counts[node] for node in topological([item.node]) if node in counts)]
    for item in sources:
        one = cast(item, "float32") if not item.rank else reduce_sum(cast(item, "float32"))
        value = known_by(build("broadcast", one, shape=value.type.shape), value)
    return value


def reshaped(x: Tensor, sizes: Sequence[Any], given: Any) -> Tensor:
    """x in a shape of ints, None, -1 and sizes, as it is given.

    Sizes that are numbers which a run computes are what is left, or what the same axis of x is a multiple of; a run
    checks that they are.
    """
    numbers = {made.type.shape[0] for made in get_default_graph().counts.values()}
    computed = [axis for axis, size in enumerate(sizes) if size in numbers]
    if not computed:
        return reshape(x, sizes)
    own = list(sizes)
    for axis in computed:
        if -1 not in own and axis == computed[-1]:
            own[axis] = -1
        elif axis < x.rank:
            dim = x.type.shape[axis]
            named = sorted(dim.plain_symbols, key=declaration_order) if isinstance(dim, Size) else []
            own[axis] = size_named(named[0]) if named else dim
    found = reshape(x, own)
    dims = [size if axis in computed else found.type.shape[axis] for axis, size in enumerate(sizes)]
    return anchored(build("ensure_shape", found, shape=tuple(dims)), given)


def floor_quotient(x: Any, y: Any) -> Tensor:
    """Return x / y, rounded down. The quotient of a size by a number is a size.

    Of integers it is exact; of floats the quotient is rounded before, as TensorFlow does.
    """
    x, y = pair(x, y)
    if x.dtype in FLOATS:
        return floor(x / y)
    size, by = known_size(x.node), known_size(y.node)
    if size is not None and isinstance(by, int) and by > 0:
        return anchored(dimension(floor_divide(size, by), x.dtype), x)
    return remainders.floor_divide(x, y)


def known_size(node: Node, counted: bool = False) -> Dim | None:
    """The size that a scalar is; None where it is none. counted: a number that a run computes is one, too."""
    if node.shape:
        return None
    found = _elements(node, counted)
    whole = found is not None and isinstance(found.reshape(-1)[0], Size | int | np.integer)
    return as_dim(found.reshape(-1)[0]) if whole and found is not None else None


def _read(tensor: Tensor) -> np.ndarray:
    """The elements of a Tensor that is made of sizes and numbers."""
    found = _elements(tensor.node, True)
    if found is None:
        raise ShapeError(
            f"{tensor!r} is given for a size; sizes are ints, what tf.shape gives, and scalar ints that a run computes "
            "before it begins, out of what it is fed"
        )
    return found


def _elements(node: Node, counted: bool = False) -> np.ndarray | None:
    """What a node is made of: sizes and numbers; None where it is made of others. counted: numbers that a run computes
    are sizes, too.
    """
    found: dict[Node, np.ndarray | None] = {}
    pending = [node]  # a stack of its own: long chains would exhaust Python's
    while pending:
        item = pending[-1]
        missing = [part for part in _parts(item) if part not in found]
        pending += missing
        if missing:
            continue
        pending.pop()
        if item not in found:
            made = _made_of_sizes(item, [found[part] for part in _parts(item)])
            size = counted_size(item) if made is None and counted else None
            found[item] = made if size is None else np.array(size, dtype=object)
    return found[node]


def counted_size(node: Node) -> Size | None:
    """A number that a run computes, as a size: that of a placeholder with so many entries. None where it is no scalar
    int, is drawn, or belongs to a step of a loop.
    """
    graph = get_default_graph()
    if not isinstance(node.type, TensorType) or node.shape or node.type.dtype not in INTEGERS:
        return None
    if node not in graph.counts:
        needed = topological([node])
        if any(item.op in RANDOM or (item.op == "input" and item not in graph.placed) for item in needed):
            return None
        made = fed("count", [None], "bool", unnamed=True)
        graph.place(made, None)
        graph.counts[node], graph.derived[made.node] = made, Count(node)
    return graph.counts[node].type.shape[0]  # type: ignore[return-value]


def _parts(node: Node) -> tuple[Node, ...]:
    """The operands that decide of what a node is made."""
    if node.op == "select" and node.operands[0].op == "constant" and not np.any(node.operands[0]["value"]):
        return node.operands[2:]
    return node.operands


def _made_of_sizes(node: Node, parts: Sequence[np.ndarray | None]) -> np.ndarray | None:
    if node.op == "constant":
        return np.asarray(node["value"]).astype(object)
    if node.op == "dimension":
        return np.array(node["size"], dtype=object)
    if not parts or any(part is None for part in parts) or not isinstance(node.type, TensorType):
        return None
    if node.op == "select" and len(parts) == 1:
        return parts[0]
    first = parts[0]
    assert first is not None, "there are no others"
    dims = node.shape
    if node.op in ("cast", "stop_gradient"):
        return first
    known = tuple(dim for dim in dims if isinstance(dim, int))
    if node.op in ("reshape", "broadcast") and len(known) == len(dims):
        return first.reshape(known) if node.op == "reshape" else np.broadcast_to(first, known)
    if node.op == "concat":
        return np.concatenate(parts, axis=node["axis"])  # type: ignore[arg-type]
    if node.op == "slice" and all(isinstance(dim, int) for dim in (*node["start"], *node["stop"])):
        places = zip(node["start"], node["stop"], node["step"], strict=True)
        return first[tuple(slice(start, stop, step) for start, stop, step in places)]
    if node.op in ("add", "sub", "mul") and len(parts) == 2:
        second: Any = parts[1]
        arithmetic = {"add": np.add, "sub": np.subtract, "mul": np.multiply}[node.op]
        return np.asarray(arithmetic(first, second), dtype=object)
    return None
