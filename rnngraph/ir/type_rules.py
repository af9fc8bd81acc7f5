"""Type rules: which operands are valid for an op, and the dtype and shape of its value.

A rule is a function of the operands' types, the attributes, and a function ``unify`` for sizes that must be equal. It
returns the type of the value, or raises ``ValueError`` or ``TypeError`` with a message for users.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .sizes.polynomial import ceil_divide
from .types import (
    FLOATS,
    HALF,
    INTEGERS,
    Dim,
    Shape,
    TensorType,
    TupleType,
    Type,
    Unify,
    dim_text,
    product,
    quotient,
    unify_strict,
)

Infer = Callable[[Sequence[Any], Mapping[str, Any], Unify], Type]


def broadcast_shapes(shapes: Sequence[Shape], unify: Unify) -> Shape:
    """Return the shape to which shapes broadcast, aligned at the last axes. Only a fixed 1 broadcasts."""
    if unify is unify_strict and all(shape == shapes[0] for shape in shapes):
        return shapes[0]
    rank = max(map(len, shapes))
    result: list[Dim] = []
    for axis in range(-rank, 0):
        dim: Dim = 1
        for shape in shapes:
            if -axis <= len(shape) and shape[axis] != 1:
                dim = shape[axis] if dim == 1 else unify(dim, shape[axis])
        result.append(dim)
    return tuple(result)


def repeats_to(shapes: Sequence[Shape], shape: Shape, unify: Unify) -> bool:
    """True if arrays of ``shapes`` broadcast to ``shape`` without more axes, and without growing an axis of size 1.

    Raises:
        ValueError: Two sizes other than 1 differ.
    """
    joined = broadcast_shapes([*shapes, shape], unify)
    return len(joined) == len(shape) and all(have != 1 or want == 1 for have, want in zip(shape, joined, strict=True))


def _one_dtype(types: Sequence[TensorType]) -> str:
    """Return the dtype that all operands have. Raise ``TypeError`` if they differ."""
    if any(item.dtype != types[0].dtype for item in types):
        dtypes = dict.fromkeys(item.dtype for item in types)
        raise TypeError(f"operands have different dtypes, {' and '.join(dtypes)}; convert one with rg.cast")
    return types[0].dtype


def _needs(types: Sequence[TensorType], allowed: tuple[str, ...]) -> None:
    """Raise ``TypeError`` unless the dtypes of all operands are allowed."""
    for item in types:
        if item.dtype not in allowed:
            raise TypeError(f"an operand is {item.dtype}; it must be {' or '.join(allowed)}")


def elementwise(allowed: tuple[str, ...], result: str | None = None) -> Infer:
    """Return the type rule of an elementwise op. ``result`` is the dtype of its value if not that of the operands."""

    def infer(types: Sequence[TensorType], attributes: Mapping[str, Any], unify: Unify) -> Type:
        dtype = _one_dtype(types)
        _needs(types, allowed)
        return TensorType(result or dtype, broadcast_shapes([item.shape for item in types], unify))

    return infer


def select(types: Sequence[TensorType], attributes: Mapping[str, Any], unify: Unify) -> Type:
    _needs(types[:1], ("bool",))
    return TensorType(_one_dtype(types[1:]), broadcast_shapes([item.shape for item in types], unify))


def cast(types: Sequence[TensorType], attributes: Mapping[str, Any], unify: Unify) -> Type:
    return TensorType(attributes["dtype"], types[0].shape)


_NARROW_PRODUCTS = {
    ("bfloat16", "bfloat16"): "float32",
    ("uint8", "int8"): "int32",
    ("int8", "int8"): "int32",
    ("float32", "bfloat16"): "float32",
    ("float32", "int8"): "float32",
}


def matmul(types: Sequence[TensorType], attributes: Mapping[str, Any], unify: Unify) -> Type:
    left, right = types[0], types[1]
    dtype = _NARROW_PRODUCTS.get((left.dtype, right.dtype)) if right.rank == 2 else None
    if dtype is None:
        dtype = _one_dtype(types)
        _needs(types, FLOATS)
    elif any(item.dtype != dtype for item in types[2:]):
        raise TypeError(
            f"the third operand of matmul, to which the product is added, must be {dtype}, as {left.dtype} times "
            f"{right.dtype} is; not {types[2].dtype}"
        )
    if left.rank < 1 or right.rank < 2 or right.rank not in (2, left.rank):
        raise ValueError(
            "a product needs a left operand of rank 1 or more and a right operand of rank 2, or of the left one's "
            f"rank, not {left} and {right}"
        )
    try:
        unify(left.shape[-1], right.shape[-2])
    except ValueError:
        raise ValueError(
            f"a product of {left} and {right}: the left has {dim_text(left.shape[-1])} columns, "
            f"the right {dim_text(right.shape[-2])} rows; they must be equal"
        ) from None
    try:
        leading = tuple(unify(a, b) for a, b in zip(left.shape[:-2], right.shape[:-2], strict=False))
    except ValueError as error:
        raise ValueError(f"the leading axes of {left} and {right} differ: {error}") from None
    shape = (*leading, *left.shape[len(leading) : -1], right.shape[-1])
    if len(types) == 3 and not repeats_to([types[2].shape], shape, unify):
        raise ValueError(f"a product of shape {shape} can't be added to {types[2]}")
    return TensorType(dtype, shape)


_BLOCK_PRODUCTS = tuple(("int8", byte, "float32", HALF, "int32") for byte in ("int8", "uint8"))


def block_matmul(types: Sequence[TensorType], attributes: Mapping[str, Any], unify: Unify) -> Type:
    left, right, *_ = types
    dtypes = tuple(item.dtype for item in types)
    if dtypes not in _BLOCK_PRODUCTS:
        needed = "bytes, scales of float32 and float16, and int32 sums"
        raise TypeError(f"a product in blocks needs {needed}, not {', '.join(dtypes)}")
    if left.rank < 1 or right.rank != 2:
        raise ValueError(f"a product in blocks needs rows and a matrix, not {left} and {right}")
    depth, blocks = right.shape[0], types[3].shape[:1]
    unify(left.shape[-1], depth)
    if not isinstance(depth, int) or depth % attributes["block"]:
        raise ValueError(f"{dim_text(depth)} rows of a weight are not a multiple of {attributes['block']}")
    expected = [
        (*left.shape[:-1], *blocks),
        (depth // attributes["block"], right.shape[1]),
        (*left.shape[:-1], *blocks),
    ]
    for item, shape in zip(types[2:], expected, strict=True):
        if item.rank != len(shape):
            raise ValueError(f"scales of a product in blocks have shape {shape}, not {item}")
        for a, b in zip(item.shape, shape, strict=True):
            unify(a, b)
    return TensorType("float32", (*left.shape[:-1], right.shape[1]))


def outer_sum(types: Sequence[TensorType], attributes: Mapping[str, Any], unify: Unify) -> Type:
    left, right = types
    dtype = _one_dtype(types)
    _needs(types, FLOATS)
    if left.rank != right.rank or left.rank < 2:
        raise ValueError(f"a sum of outer products needs operands of one rank, 2 or more, not {left} and {right}")
    for a, b in zip(left.shape[:-1], right.shape[:-1], strict=True):
        unify(a, b)
    return TensorType(dtype, (left.shape[-1], right.shape[-1]))


def parted(shape: Shape, axes: Sequence[int]) -> tuple[Shape, Shape]:
    """Return the sizes of a shape's ``axes``, and the sizes of its other axes."""
    return tuple(shape[axis] for axis in axes), tuple(dim for axis, dim in enumerate(shape) if axis not in axes)


def check_nonempty(shape: Shape, axes: Sequence[int]) -> None:
    """Raise ``ValueError`` if a maximum or minimum over ``axes`` must return elements, but one of these axes is empty.

    A result without elements is valid. A symbolic size of the result may be 0.
    """
    reduced, remaining = parted(shape, axes)
    if 0 in reduced and all(isinstance(dim, int) and dim for dim in remaining):
        text = ",".join(map(dim_text, shape))
        raise ValueError(f"[{text}] has no entries along axes {tuple(axes)}, so its maximum or minimum is undefined")


def reduce(types: Sequence[TensorType], attributes: Mapping[str, Any], unify: Unify) -> Type:
    _needs(types, FLOATS + INTEGERS)
    axes, keep = attributes["axes"], attributes["keepdims"]
    if attributes.get("nonempty"):
        check_nonempty(types[0].shape, axes)
    dims = [(1 if axis in axes else dim) for axis, dim in enumerate(types[0].shape) if keep or axis not in axes]
    return TensorType(types[0].dtype, tuple(dims))


def slice(types: Sequence[TensorType], attributes: Mapping[str, Any], unify: Unify) -> Type:
    dims: list[Dim] = []
    for start, stop, step in zip(attributes["start"], attributes["stop"], attributes["step"], strict=True):
        length = stop - start
        if isinstance(length, int) and length < 0:
            raise ValueError(f"a slice from {start} to {stop} is empty")
        dims.append(ceil_divide(length, step))
    return types[0].with_shape(tuple(dims))


def windows(types: Sequence[TensorType], attributes: Mapping[str, Any], unify: Unify) -> TensorType:
    shape, axis, size = types[0].shape, attributes["axis"], attributes["size"]
    count = ceil_divide(shape[axis] - attributes["apart"] * (size - 1), attributes["step"])
    if isinstance(count, int) and count < 0:
        span = attributes["apart"] * (size - 1) + 1
        raise ValueError(f"a window spans {span} entries, and axis {axis} of {types[0]} has only {shape[axis]}")
    return types[0].with_shape((*shape[:axis], count, size, *shape[axis + 1 :]))


def overlap_add(types: Sequence[TensorType], attributes: Mapping[str, Any], unify: Unify) -> Type:
    """Return the type of the array into which windows are summed at overlapping positions."""
    _needs(types, FLOATS)
    shape, axis = types[0].shape, attributes["axis"]
    if axis + 1 >= len(shape) or not isinstance(shape[axis + 1], int):
        raise ValueError(f"{types[0]} has no windows of a known size along axis {axis}")
    whole = types[0].with_shape((*shape[:axis], attributes["size"], *shape[axis + 2 :]))
    expected = windows([whole], {**attributes, "size": shape[axis + 1]}, unify)
    unify(expected.shape[axis], shape[axis])
    return whole


def concat(types: Sequence[TensorType], attributes: Mapping[str, Any], unify: Unify) -> Type:
    dtype, axis = _one_dtype(types), attributes["axis"]
    if len({item.rank for item in types}) > 1:
        raise ValueError(f"can't join tensors of different ranks {', '.join(str(item.rank) for item in types)}")
    dims = list(types[0].shape)
    for item in types[1:]:
        for position, dim in enumerate(item.shape):
            dims[position] = dims[position] + dim if position == axis else unify(dims[position], dim)
    return TensorType(dtype, tuple(dims))


def reshape(types: Sequence[TensorType], attributes: Mapping[str, Any], unify: Unify) -> Type:
    """Return the type of an array after a reshape to ``attributes["shape"]``; the numbers of elements must be equal.

    Numbers of elements that differ by a fixed factor are never unified.
    """
    shape = attributes["shape"]
    have, want = product(types[0].shape), product(shape)
    if have != want:
        try:
            if any(isinstance(times, int) and times > 1 for times in (quotient(have, want), quotient(want, have))):
                raise ValueError("one is a multiple of the other for all values of symbolic sizes")
            unify(have, want)
        except ValueError:
            raise ValueError(
                f"can't reshape {types[0]} with {dim_text(have)} elements to [{','.join(map(dim_text, shape))}]"
            ) from None
    return types[0].with_shape(shape)


def transpose(types: Sequence[TensorType], attributes: Mapping[str, Any], unify: Unify) -> Type:
    order = attributes["order"]
    if sorted(order) != list(range(types[0].rank)):
        raise ValueError(f"{order} is no permutation of the axes of a tensor of rank {types[0].rank}")
    return types[0].with_shape(tuple(types[0].shape[axis] for axis in order))


def broadcast(types: Sequence[TensorType], attributes: Mapping[str, Any], unify: Unify) -> Type:
    shape = attributes["shape"]
    if not repeats_to([types[0].shape], shape, unify):
        raise ValueError(f"{types[0]} can't be repeated to [{','.join(map(dim_text, shape))}]")
    return types[0].with_shape(shape)


def ensure_shape(types: Sequence[TensorType], attributes: Mapping[str, Any], unify: Unify) -> Type:
    shape = attributes["shape"]
    if len(shape) != types[0].rank:
        raise ValueError(f"{types[0]} has rank {types[0].rank}; it must have rank {len(shape)}")
    for have, want in zip(types[0].shape, shape, strict=True):
        if isinstance(have, int) and isinstance(want, int):
            unify_strict(have, want)
    return types[0].with_shape(shape)


def gather(types: Sequence[TensorType], attributes: Mapping[str, Any], unify: Unify) -> Type:
    table, indices = types
    _needs([indices], INTEGERS)
    if table.rank < 1:
        raise ValueError("a table must have rank 1 or more")
    return table.with_shape((*indices.shape, *table.shape[1:]))


def scatter_add(types: Sequence[TensorType], attributes: Mapping[str, Any], unify: Unify) -> Type:
    indices, updates = types
    _needs([indices], INTEGERS)
    _needs([updates], FLOATS)
    if updates.rank < indices.rank:
        raise ValueError(f"a scatter needs one row for each index; rows of {updates} do not fit indices of {indices}")
    for a, b in zip(indices.shape, updates.shape, strict=False):
        unify(a, b)
    return updates.with_shape((attributes["rows"], *updates.shape[indices.rank :]))


def random_key(types: Sequence[TensorType], attributes: Mapping[str, Any], unify: Unify) -> Type:
    _needs(types, ("int64",))
    return TensorType("int64", broadcast_shapes([item.shape for item in types], unify))


def random_uniform(types: Sequence[TensorType], attributes: Mapping[str, Any], unify: Unify) -> Type:
    _needs(types, ("int64",))
    return TensorType("float32", broadcast_shapes([item.shape for item in types], unify))


def sample_noise(types: Sequence[TensorType], attributes: Mapping[str, Any], unify: Unify) -> Type:
    _needs(types, FLOATS)
    return TensorType("float32", types[0].shape)


def typed(types: Sequence[TensorType], attributes: Mapping[str, Any], unify: Unify) -> Type:
    kind: TensorType = attributes["type"]
    return kind


def constant(types: Sequence[TensorType], attributes: Mapping[str, Any], unify: Unify) -> Type:
    value: np.ndarray = attributes["value"]
    return TensorType(str(value.dtype), value.shape)


def iota(types: Sequence[TensorType], attributes: Mapping[str, Any], unify: Unify) -> Type:
    return TensorType("int64", (attributes["size"],))


def dimension(types: Sequence[TensorType], attributes: Mapping[str, Any], unify: Unify) -> Type:
    return TensorType("int64", ())


def dropout(types: Sequence[TensorType], attributes: Mapping[str, Any], unify: Unify) -> Type:
    _needs(types[:2], FLOATS)
    _needs(types[2:], ("int64",))
    if types[1].rank:
        raise ValueError(f"keep_prob must be a scalar, not {types[1]}")
    if len(types) > 2:  # random counters, one for each row
        shape, counters = types[0].shape, broadcast_shapes([item.shape for item in types[2:]], unify)
        if not shape or not repeats_to([counters, shape[-1:]], shape, unify):
            shown = f"[{','.join(map(dim_text, counters))}]"
            raise ValueError(f"the counters of a mask, shape {shown}, don't broadcast to {types[0]}")
    return types[0]


def noise(types: Sequence[TensorType], attributes: Mapping[str, Any], unify: Unify) -> Type:
    _needs(types, FLOATS)
    return types[0]


def by_graph(types: Sequence[TensorType], attributes: Mapping[str, Any], unify: Unify) -> Type:
    training, inference = types
    dtype = _one_dtype(types)
    if training.rank != inference.rank:
        raise ValueError(f"the values for both graphs must have the same rank; got {training} and {inference}")
    return TensorType(dtype, tuple(unify(a, b) for a, b in zip(training.shape, inference.shape, strict=True)))


def with_update(types: Sequence[TensorType], attributes: Mapping[str, Any], unify: Unify) -> Type:
    value, before, after = types
    if before != after:
        raise ValueError(f"a parameter of {before} can't become {after}; its next value must have the same type")
    return value


def scan(types: Sequence[TensorType], attributes: Mapping[str, Any], unify: Unify) -> Type:
    body, length, carries = attributes["body"], attributes["length"], attributes["carries"]
    first_invariant = carries + attributes["sequences"]
    sequences = types[carries:first_invariant]
    params = [node.tensor for node in body.inputs]
    initial, blocks = types[:carries], attributes.get("blocks")
    if blocks is not None:
        for item in initial:
            unify(item.shape[0], ceil_divide(length, blocks))
        initial = [item.with_shape(item.shape[1:]) for item in initial]
    actual = [*initial, *(item.with_shape(item.shape[1:]) for item in sequences), *types[first_invariant:]]
    if len(params) != len(actual):
        raise ValueError(f"a scan has {len(actual)} operands, and its body has {len(params)} inputs")
    for item in sequences:
        unify(item.shape[0], length)
    for argument, param in zip(actual, params, strict=True):
        if argument.dtype != param.dtype or argument.rank != param.rank:
            raise ValueError(f"an input of a scan's body is {param}, and its operand is {argument}")
        for a, b in zip(argument.shape, param.shape, strict=True):
            unify(a, b)
    when = attributes.get("when")
    if when is not None and params[when] != TensorType("bool", ()):
        raise ValueError(f"the condition of a step is {params[when]}; it must be a bool scalar")
    results = [node.tensor for _, node in body.outputs]
    for before, after in zip(params[:carries], results[:carries], strict=True):
        if before != after and unify is unify_strict:
            raise ValueError(f"a carry is {before}, and its next value is {after}; both must have the same type")
    emitted = [TensorType(item.dtype, (length, *item.shape)) for item in results[carries:]]
    keeps = attributes.get("keeps")
    if keeps is not None:
        number = ceil_divide(length, keeps)
        emitted += [TensorType(item.dtype, (number, *item.shape)) for item in results[:carries]]
    return TupleType((*results[:carries], *emitted))


def get(types: Sequence[Any], attributes: Mapping[str, Any], unify: Unify) -> Type:
    items: tuple[TensorType, ...] = types[0].items
    return items[attributes["index"]]
