"""Dynamic shapes: ``tf.shape(x)`` as a Tensor, and the symbolic sizes that Tensors computed from it stand for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...declare.functions.basic import cast, dimension, gather, known_by, reduce_sum, reshape, stack
from ...declare.functions.indexing import clamped_slice, is_far
from ...declare.parameter_maps import RANDOM
from ...declare.placeholders import fed
from ...declare.tensor import Tensor, build, constant, pair
from ...ir.graph import Node, topological
from ...ir.ops import OPS
from ...ir.sizes.polynomial import floor_divide, product, quotient
from ...ir.sizes.polynomial import size as size_named
from ...ir.sizes.table import declaration_order
from ...ir.types import INTEGERS, Dim, Size, TensorType
from ...support.errors import ShapeError, shown
from . import elementwise
from .graph import Count, get_default_graph

FOLDED = frozenset(("and", "div", "equal", "fmod", "less", "max", "min", "neg", "or", "select"))
"""Ops that are evaluated at declaration if their operands are plain numbers and a size depends on them."""
MAX_AXES, MAX_SIZE = 32, 1 << 62
"""Maximum rank of an array, and maximum size of an axis."""


def shape_tensor(x: Tensor, dtype: str) -> Tensor:
    """Return the shape of x as a vector."""
    if not x.rank:
        return constant(np.zeros(0, dtype))
    return stack([size_tensor(x, size, dtype) for size in x.type.shape])


def size_tensor(x: Tensor, size: Dim, dtype: str) -> Tensor:
    """Return one of x's sizes as a scalar that depends on x."""
    scalar = dimension(size, dtype)
    return scalar if isinstance(size, int) else known_by(reduce_sum(cast(x, "float32")), scalar)


def sizes_in(shape: Any) -> list[Any]:
    """Convert a shape that a program passes to a list of sizes: ints, None, -1, and symbolic sizes.

    Args:
        shape: List of ints, None, ``tf.Dimension``s and scalar Tensors, or a vector of sizes.
    """
    if isinstance(shape, Tensor):
        return [as_dim(item) for item in _elements_or_raise(shape).reshape(-1)]
    if isinstance(shape, int | np.integer) or not hasattr(shape, "__iter__") or getattr(shape, "ndim", 1) == 0:
        return [_size(shape)]
    entries = [_size(item) for item in shape]
    if len(entries) > MAX_AXES:
        raise ShapeError(f"a shape has {len(entries)} sizes, but arrays have at most {MAX_AXES} axes")
    return entries


def _size(item: Any) -> Any:
    """Convert one size that a program passes to an int, None or a symbolic size. Raise ``ShapeError`` for others."""
    if isinstance(item, Tensor):
        entries = _elements_or_raise(item)
        if entries.size != 1:
            raise ShapeError(f"{item!r} must be one size, but has {entries.size}")
        return as_dim(entries.reshape(-1)[0])
    value = getattr(item, "value", item)
    if value is None or isinstance(value, Size):
        return value
    try:
        whole = int(value)
        if whole != value or abs(whole) > MAX_SIZE:
            raise ValueError
        return whole
    except (TypeError, ValueError, OverflowError):
        raise ShapeError(f"{shown(item)} can't be a size; use ints, None, or entries of tf.shape") from None


def slice_between(what: str, start: Any, stop: Any, step: Any, dim: Dim) -> slice:
    """Return ``slice(start, stop, step)``. Raise ``ShapeError`` for a bound that is neither an int nor a size.

    Args:
        what: Name of the slice, for the error.
        start: First index: an int, None or a symbolic size.
        stop: Index after the last one: an int, None or a symbolic size.
        step: Step: an int or None. Symbolic bounds need a step of 1.
        dim: Size of the axis.
    """
    stop = None if stop == dim and not (isinstance(step, int) and step < 0) else stop
    if _is_computed(slice(start, stop, step), dim):
        return slice(start, stop, step)
    if not all(item is None or isinstance(item, int) for item in (start, stop, step)):
        raise ShapeError(
            f"the bounds of {what} must be ints, the size of its axis, or scalars that a run computes before the "
            "native call; slice the feed with NumPy, or select entries with tf.gather or a mask"
        )
    return slice(start, stop, step)


def apply_computed_slices(x: Tensor, index: tuple[Any, ...]) -> tuple[Tensor, tuple[Any, ...]]:
    """Apply an index's slices with symbolic bounds, as gathers. Return (sliced Tensor, remaining index).

    A run checks that the bounds lie within the axis.

    Returns:
        (sliced Tensor, remaining index).
    """

    def take(x: Tensor, axis: int, item: slice) -> Tensor | None:
        if not _is_computed(item, x.type.shape[axis]):
            return None
        start = 0 if item.start is None else item.start
        count = (x.type.shape[axis] if item.stop is None else item.stop) - start
        return gather(x, build("iota", size=count) + dimension(start, "int64"), axis)

    return _apply_slices(x, index, take)


def _apply_slices(
    x: Tensor, index: tuple[Any, ...], take: Callable[[Tensor, int, slice], Tensor | None]
) -> tuple[Tensor, tuple[Any, ...]]:
    """Apply the slices of an index that ``take`` accepts. Return (sliced Tensor, remaining index).

    Args:
        x: Tensor to slice.
        index: The index.
        take: Function of (Tensor, axis, slice) that returns the sliced Tensor; None to leave the slice in the index.
    """
    named = [item for item in index if item is not None]
    if len([item for item in named if item is not Ellipsis]) > x.rank:
        return x, index
    axes, left = iter(_axes_of(x, named)), list[Any]()
    for item in index:
        axis = None if item is None else next(axes)
        result = take(x, axis, item) if axis is not None and isinstance(item, slice) else None
        if result is None:
            left.append(item)
            continue
        x = result
        left.append(slice(None))
    return x, tuple(left)


def _is_computed(item: slice, dim: Dim) -> bool:
    """True if a slice has a symbolic bound other than the end of its axis, a step of 1, and no negative bound."""
    start, stop = item.start, None if item.stop == dim else item.stop
    if item.step not in (None, 1) or not (isinstance(start, Size) or isinstance(stop, Size)):
        return False
    return not any(isinstance(bound, int) and bound < 0 for bound in (start, stop))


def with_sizes_as_bounds(x: Tensor, index: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return an index in which ints or symbolic sizes replace Tensors as bounds of slices."""
    bounds = [part for item in index if isinstance(item, slice) for part in (item.start, item.stop)]
    entries = [item for item in index if item is not None]
    if (
        not any(isinstance(part, Tensor) for part in bounds)
        or len([item for item in entries if item is not Ellipsis]) > x.rank
    ):
        return index
    axes = iter(_axes_of(x, entries))

    def with_size_bounds(item: Any) -> Any:
        """Return an entry of the index. Sizes replace Tensors that are bounds of a slice."""
        if item is None:
            return None
        axis = next(axes)
        if not isinstance(item, slice) or not any(isinstance(part, Tensor) for part in (item.start, item.stop)):
            return item
        start, stop = (_size(part) if isinstance(part, Tensor) else part for part in (item.start, item.stop))
        step = 1 if item.step is None else item.step
        return slice_between("a slice of a Tensor", start, stop, step, x.type.shape[axis])

    return tuple(map(with_size_bounds, index))


def _axes_of(x: Tensor, entries: Sequence[Any]) -> list[int]:
    """Return the axis of x to which each entry of an index applies. The index has no entry None."""
    places = list(range(len(entries)))
    first = next((place for place, item in enumerate(entries) if item is Ellipsis), len(entries))
    return [place if place < first else x.rank - len(entries) + place for place in places]


def apply_clamped_slices(x: Tensor, index: tuple[Any, ...]) -> tuple[Tensor, tuple[Any, ...]]:
    """Apply the slices whose int bounds may exceed a symbolic axis. Return (sliced Tensor, remaining index)."""

    def take(x: Tensor, axis: int, item: slice) -> Tensor | None:
        if not _is_far(item, x.type.shape[axis]):
            return None
        return clamped_slice(x, axis, item.start, item.stop, 1 if item.step is None else item.step)

    return _apply_slices(x, index, take)


def _is_far(item: slice, dim: Dim) -> bool:
    """True if the bounds of a slice are ints, and one of them may exceed the symbolic size ``dim``."""
    bounds = (item.start, item.stop)
    return all(bound is None or type(bound) is int for bound in bounds) and any(is_far(dim, bound) for bound in bounds)


def as_dim(item: Any) -> Dim:
    """Return a computed size as an int or a symbolic size."""
    return item if isinstance(item, Size) else int(item)


def anchored(value: Tensor, sizes: Any) -> Tensor:
    """Return ``value`` with a dependency on the Tensors in ``sizes``, so that a run knows the sizes they stand for."""
    counts, sources = get_default_graph().counts, list[Tensor]()
    for item in sizes if isinstance(sizes, list | tuple) else [sizes]:
        if isinstance(item, Tensor) and item.node.op not in ("constant", "dimension"):
            sources += [item, *(counts[node] for node in topological([item.node]) if node in counts)]
    for item in sources:
        one = cast(item, "float32") if not item.rank else reduce_sum(cast(item, "float32"))
        value = known_by(build("broadcast", one, shape=value.type.shape), value)
    return value


def reshaped(x: Tensor, sizes: Sequence[Any], requested: Any) -> Tensor:
    """Reshape x to ``sizes``, of which some may be known only in a run, such as a fed batch size.

    Assumptions, which the run checks, replace the sizes that only a run knows:

    - If there are several, and x has one symbolic axis, that axis is as long as all ``sizes`` require.
    - Otherwise, the last one is inferred from the number of elements, unless ``sizes`` has a -1. Each of the others
      equals the size of the same axis of x.

    Args:
        x: Tensor to reshape.
        sizes: The new shape.
        requested: The new shape as the program passed it, with Tensors.
    """
    numbers = {placeholder.type.shape[0] for placeholder in get_default_graph().counts.values()}
    computed = [axis for axis, size in enumerate(sizes) if size in numbers]
    if not computed:
        return reshape(_with_equal_sizes(x, sizes), sizes)
    if len(computed) > 1 and (rows := _open_axis_of(x, sizes)) is not None:
        axis, size = rows
        x = build("ensure_shape", x, shape=(*x.type.shape[:axis], size, *x.type.shape[axis + 1 :]))
        return anchored(reshape(x, sizes), requested)
    own = list(sizes)
    for axis in computed:
        if -1 not in own and axis == computed[-1]:
            own[axis] = -1
        elif axis < x.rank:
            dim = x.type.shape[axis]
            named = sorted(dim.plain_symbols, key=declaration_order) if isinstance(dim, Size) else []
            own[axis] = size_named(named[0]) if named else dim
    result = reshape(x, own)
    dims = [size if axis in computed else result.type.shape[axis] for axis, size in enumerate(sizes)]
    return anchored(build("ensure_shape", result, shape=tuple(dims)), requested)


def _with_equal_sizes(x: Tensor, sizes: Sequence[Any]) -> Tensor:
    """Return x, checked at run time to have the sizes that a reshape to ``sizes`` with one -1 leaves unchanged.

    x is unchanged if the sizes divide its number of elements. Otherwise they may come from another placeholder, whose
    rows and steps have other symbols but are fed in equal numbers.
    """
    if sizes.count(-1) != 1 or None in sizes or len(sizes) > x.rank + 1:
        return x
    if quotient(product(x.type.shape), product(size for size in sizes if size != -1)) is not None:
        return x
    left, dims = sizes.index(-1), list(x.type.shape)
    right = len(sizes) - left - 1
    dims[:left], dims[len(dims) - right :] = sizes[:left], sizes[left + 1 :]
    pairs = zip(x.type.shape, dims, strict=True)
    if len(dims) != x.rank or any(a != b and isinstance(a, int) and isinstance(b, int) for a, b in pairs):
        return x
    return build("ensure_shape", x, shape=tuple(dims))


def _open_axis_of(x: Tensor, sizes: Sequence[Any]) -> tuple[int, Dim] | None:
    """Return (the only symbolic axis of x, its size that a reshape to ``sizes`` implies); None if undetermined.

    They are undetermined if x has several symbolic axes or none, or if the size does not follow from ``sizes``.
    """
    open_axes = [axis for axis, dim in enumerate(x.type.shape) if isinstance(dim, Size)]
    if len(open_axes) != 1 or -1 in sizes or None in sizes:
        return None
    rest = product(dim for dim in x.type.shape if isinstance(dim, int))
    size = quotient(product(sizes), rest) if rest else None
    return None if size is None else (open_axes[0], size)


def floor_quotient(x: Any, y: Any) -> Tensor:
    """Return x

    y elementwise. The quotient of a symbolic size and a positive int is a symbolic size.
    """
    x, y = pair(x, y)
    size, by = (known_size(item.node) if x.dtype in INTEGERS else None for item in (x, y))
    if size is not None and isinstance(by, int) and by > 0:
        return anchored(dimension(floor_divide(size, by), x.dtype), x)
    return elementwise.floor_divide(x, y)


def known_size(node: Node, counted: bool = False) -> Dim | None:
    """Return the int or symbolic size that a scalar node equals; None if it depends on values of other Tensors.

    Args:
        node: The scalar.
        counted: Also return a symbolic size for an int that a run computes before the native call.
    """
    if node.shape:
        return None
    entries = _elements(node, counted)
    whole = entries is not None and isinstance(entries.reshape(-1)[0], Size | int | np.integer)
    return as_dim(entries.reshape(-1)[0]) if whole and entries is not None else None


def known_ints(value: Any) -> Any:
    """Return a Tensor of known ints, such as ``tf.constant(1)``, as an int or list; other values unchanged.

    Entries of lists are converted one by one.
    """
    if isinstance(value, list | tuple):
        return type(value)(map(known_ints, value)) if type(value) in (list, tuple) else value
    if not isinstance(value, Tensor) or value.type.dtype not in INTEGERS:
        return value
    entries = _elements(value.node)
    whole = entries is not None and all(isinstance(item, int | np.integer) for item in entries.flat)
    return entries.astype(int).tolist() if whole and entries is not None else value


def _elements_or_raise(tensor: Tensor) -> np.ndarray:
    """Return the ints and symbolic sizes in a Tensor. Raise ``ShapeError`` if it depends on anything else."""
    entries = _elements(tensor.node, True)
    if entries is None:
        raise ShapeError(
            f"{tensor!r} can't be a size; sizes are ints, entries of tf.shape, or scalar ints that a run computes "
            "from its feeds before the native call"
        )
    return entries


def _elements(node: Node, counted: bool = False) -> np.ndarray | None:
    """Return a node's elements, as numbers and symbolic sizes; None if they depend on anything else.

    Args:
        node: The node.
        counted: Represent ints that a run computes before the native call by symbolic sizes.
    """
    elements: dict[Node, np.ndarray | None] = {}
    pending = [node]  # an explicit stack: long chains would exceed Python's recursion limit
    while pending:
        item = pending[-1]
        missing = [part for part in _needed_operands(item) if part not in elements]
        pending += missing
        if missing:
            continue
        pending.pop()
        if item not in elements:
            entries = _size_entries(item, [elements[part] for part in _needed_operands(item)])
            size = counted_size(item) if entries is None and counted else None
            elements[item] = entries if size is None else np.array(size, dtype=object)
    return elements[node]


def counted_size(node: Node) -> Size | None:
    """Return a new symbolic size that stands for a scalar int node; None if a run can't compute the int first.

    The size is the length of a placeholder to which the run feeds as many entries as the int says. A run can't
    compute the int first if the node is not a scalar int, is random, or belongs to a step of a loop.
    """
    graph = get_default_graph()
    if not isinstance(node.type, TensorType) or node.shape or node.type.dtype not in INTEGERS:
        return None
    if node not in graph.counts:
        needed = topological([node])
        if any(item.op in RANDOM or (item.op == "input" and item not in graph.placed) for item in needed):
            return None
        placeholder = fed("count", [None], "bool", unnamed=True)
        graph.place(placeholder, None)
        graph.counts[node], graph.derived[placeholder.node] = placeholder, Count(node)
    (size,) = graph.counts[node].type.shape
    assert isinstance(size, Size), "the placeholder has a symbolic size"
    return size


def _needed_operands(node: Node) -> tuple[Node, ...]:
    """Return the operands that determine a node's elements; for a select by constant False, only the last one."""
    if node.op == "select" and node.operands[0].op == "constant" and not np.any(node.operands[0]["value"]):
        return node.operands[2:]
    return node.operands


def _size_entries(node: Node, parts: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """Return a node's elements, numbers and symbolic sizes, from those of its operands; None if unknown."""
    if node.op == "constant":
        return np.asarray(node["value"]).astype(object)
    if node.op == "dimension":
        return np.array(node["size"], dtype=object)
    if node.op == "iota" and isinstance(node["size"], int):
        return np.arange(node["size"]).astype(object)
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
        return np.concatenate([part for part in parts if part is not None], axis=node["axis"])
    if node.op == "slice" and all(isinstance(dim, int) for dim in (*node["start"], *node["stop"])):
        places = zip(node["start"], node["stop"], node["step"], strict=True)
        return first[tuple(slice(start, stop, step) for start, stop, step in places)]
    if node.op in ("add", "sub", "mul") and len(parts) == 2:
        second: Any = parts[1]
        arithmetic = {"add": np.add, "sub": np.subtract, "mul": np.multiply}[node.op]
        return np.asarray(arithmetic(first, second), dtype=object)
    return _evaluated(node, parts)


def _evaluated(node: Node, parts: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """Return the elements of a node in ``FOLDED`` whose operands are plain numbers; None for other nodes."""
    arrays = [part for part in parts if part is not None and all(isinstance(x, int | np.integer) for x in part.flat)]
    if node.op not in FOLDED or len(arrays) != len(node.operands):
        return None
    typed = [array.astype(operand.dtype) for array, operand in zip(arrays, node.operands, strict=True)]
    evaluate = OPS[node.op].evaluate
    return None if evaluate is None else np.asarray(evaluate(typed, dict(node.attributes))).astype(object)
