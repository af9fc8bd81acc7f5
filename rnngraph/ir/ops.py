"""The closed table of ops: one row an op, with arity, type rule and meaning in NumPy.

``infer`` takes operand types, attributes and a ``meet`` for sizes that must be equal, and raises
``ValueError`` or ``TypeError`` with a sentence that a user can read. ``evaluate`` is the definition of the
op's value: the interpreter runs it, and native code is tested against it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import erf
from typing import Any

import numpy as np

from . import random
from .types import (
    FLOATS,
    INTEGERS,
    Dim,
    Meet,
    Shape,
    Size,
    TensorType,
    TupleType,
    Type,
    dim_text,
    meet_strict,
    product,
)

Infer = Callable[[Sequence[Any], Mapping[str, Any], Meet], Type]
Evaluate = Callable[[Sequence[np.ndarray], Mapping[str, Any]], np.ndarray]


@dataclass(frozen=True)
class Op:
    """A row of the table.

    kind: ``leaf``, ``elementwise``, ``contraction``, ``reduction``, ``movement`` or ``structured``.
    random: whether the value depends on a seed (such ops are forbidden in the inference graph).
    """

    name: str
    kind: str
    arity: tuple[int, int]
    infer: Infer
    evaluate: Evaluate | None
    random: bool = False


OPS: dict[str, Op] = {}


def _row(
    name: str,
    kind: str,
    arity: int | tuple[int, int],
    infer: Infer,
    evaluate: Evaluate | None = None,
    random: bool = False,
) -> None:
    bounds = (arity, arity) if isinstance(arity, int) else arity
    OPS[name] = Op(name, kind, bounds, infer, evaluate, random)


# Type rules -----------------------------------------------------------------------------------------


def broadcast_shapes(shapes: Sequence[Shape], meet: Meet) -> Shape:
    """NumPy's alignment from the right; only a declared 1 broadcasts, other sizes meet and become one."""
    rank = max(map(len, shapes))
    result: list[Dim] = []
    for axis in range(-rank, 0):
        dim: Dim = 1
        for shape in shapes:
            if -axis <= len(shape) and shape[axis] != 1:
                dim = shape[axis] if dim == 1 else meet(dim, shape[axis])
        result.append(dim)
    return tuple(result)


def _one_dtype(types: Sequence[TensorType]) -> str:
    dtypes = list(dict.fromkeys(item.dtype for item in types))
    if len(dtypes) > 1:
        raise TypeError(f"operands have dtypes {' and '.join(dtypes)}; convert one with rg.cast")
    return dtypes[0]


def _needs(types: Sequence[TensorType], allowed: tuple[str, ...]) -> None:
    for item in types:
        if item.dtype not in allowed:
            raise TypeError(f"an operand is {item.dtype}; it must be {' or '.join(allowed)}")


def _elementwise(allowed: tuple[str, ...], result: str | None = None) -> Infer:
    def infer(types: Sequence[TensorType], attributes: Mapping[str, Any], meet: Meet) -> Type:
        dtype = _one_dtype(types)
        _needs(types, allowed)
        return TensorType(result or dtype, broadcast_shapes([item.shape for item in types], meet))

    return infer


def _select(types: Sequence[TensorType], attributes: Mapping[str, Any], meet: Meet) -> Type:
    _needs(types[:1], ("bool",))
    return TensorType(_one_dtype(types[1:]), broadcast_shapes([item.shape for item in types], meet))


def _cast(types: Sequence[TensorType], attributes: Mapping[str, Any], meet: Meet) -> Type:
    return TensorType(attributes["dtype"], types[0].shape)


def _matmul(types: Sequence[TensorType], attributes: Mapping[str, Any], meet: Meet) -> Type:
    left, right = types[0], types[1]
    dtype = _one_dtype(types)
    _needs(types, FLOATS)
    if left.rank < 1 or right.rank != 2:
        raise ValueError(
            f"a product needs a left operand of rank 1 or more and a right operand of rank 2, not {left} and {right}"
        )
    try:
        meet(left.shape[-1], right.shape[0])
    except ValueError:
        raise ValueError(
            f"a product of {left} and {right}: the left has {dim_text(left.shape[-1])} columns, "
            f"the right {dim_text(right.shape[0])} rows"
        ) from None
    shape = (*left.shape[:-1], right.shape[1])
    if len(types) == 3 and broadcast_shapes([shape, types[2].shape], meet) != shape:
        raise ValueError(f"a product of shape {shape} can't start from {types[2]}")
    return TensorType(dtype, shape)


def _outer_sum(types: Sequence[TensorType], attributes: Mapping[str, Any], meet: Meet) -> Type:
    left, right = types
    dtype = _one_dtype(types)
    _needs(types, FLOATS)
    if left.rank != right.rank or left.rank < 2:
        raise ValueError(f"a sum of outer products needs operands of one rank, 2 or more, not {left} and {right}")
    for a, b in zip(left.shape[:-1], right.shape[:-1], strict=True):
        meet(a, b)
    return TensorType(dtype, (left.shape[-1], right.shape[-1]))


def _reduce(types: Sequence[TensorType], attributes: Mapping[str, Any], meet: Meet) -> Type:
    _needs(types, FLOATS + INTEGERS)
    axes, keep = attributes["axes"], attributes["keepdims"]
    dims = [(1 if axis in axes else dim) for axis, dim in enumerate(types[0].shape) if keep or axis not in axes]
    return TensorType(types[0].dtype, tuple(dims))


def _slice(types: Sequence[TensorType], attributes: Mapping[str, Any], meet: Meet) -> Type:
    dims: list[Dim] = []
    for start, stop, step in zip(attributes["start"], attributes["stop"], attributes["step"], strict=True):
        length = stop - start
        if step != 1:
            if isinstance(length, Size):
                raise ValueError(f"a slice with step {step} of an open size; declare the size as an int")
            length = -(-length // step)
        if isinstance(length, int) and length < 0:
            raise ValueError(f"a slice from {start} to {stop} is empty")
        dims.append(length)
    return types[0].with_shape(tuple(dims))


def _concat(types: Sequence[TensorType], attributes: Mapping[str, Any], meet: Meet) -> Type:
    dtype, axis = _one_dtype(types), attributes["axis"]
    if len({item.rank for item in types}) > 1:
        raise ValueError(f"can't join tensors of ranks {', '.join(str(item.rank) for item in types)}")
    dims = list(types[0].shape)
    for item in types[1:]:
        for position, dim in enumerate(item.shape):
            dims[position] = dims[position] + dim if position == axis else meet(dims[position], dim)
    return TensorType(dtype, tuple(dims))


def _reshape(types: Sequence[TensorType], attributes: Mapping[str, Any], meet: Meet) -> Type:
    shape = attributes["shape"]
    have, want = product(types[0].shape), product(shape)
    if have != want:
        try:
            meet(have, want)
        except ValueError:
            raise ValueError(
                f"can't reshape {types[0]} with {dim_text(have)} elements to [{','.join(map(dim_text, shape))}]"
            ) from None
    return types[0].with_shape(shape)


def _transpose(types: Sequence[TensorType], attributes: Mapping[str, Any], meet: Meet) -> Type:
    order = attributes["order"]
    if sorted(order) != list(range(types[0].rank)):
        raise ValueError(f"an order of axes {order} for a tensor of rank {types[0].rank}")
    return types[0].with_shape(tuple(types[0].shape[axis] for axis in order))


def _broadcast(types: Sequence[TensorType], attributes: Mapping[str, Any], meet: Meet) -> Type:
    shape = attributes["shape"]
    broadcast_shapes([types[0].shape, shape], meet)
    return types[0].with_shape(shape)


def _gather(types: Sequence[TensorType], attributes: Mapping[str, Any], meet: Meet) -> Type:
    table, indices = types
    _needs([indices], INTEGERS)
    if table.rank < 1:
        raise ValueError("a table must have rank 1 or more")
    return table.with_shape((*indices.shape, *table.shape[1:]))


def _random_key(types: Sequence[TensorType], attributes: Mapping[str, Any], meet: Meet) -> Type:
    _needs(types, ("int64",))
    return TensorType("int64", broadcast_shapes([item.shape for item in types], meet))


def _random_uniform(types: Sequence[TensorType], attributes: Mapping[str, Any], meet: Meet) -> Type:
    _needs(types, ("int64",))
    return TensorType("float32", broadcast_shapes([item.shape for item in types], meet))


def _typed(types: Sequence[TensorType], attributes: Mapping[str, Any], meet: Meet) -> Type:
    kind: TensorType = attributes["type"]
    return kind


def _constant(types: Sequence[TensorType], attributes: Mapping[str, Any], meet: Meet) -> Type:
    value: np.ndarray = attributes["value"]
    return TensorType(str(value.dtype), value.shape)


def _iota(types: Sequence[TensorType], attributes: Mapping[str, Any], meet: Meet) -> Type:
    return TensorType("int64", (attributes["size"],))


def _dimension(types: Sequence[TensorType], attributes: Mapping[str, Any], meet: Meet) -> Type:
    return TensorType("int64", ())


def _dropout(types: Sequence[TensorType], attributes: Mapping[str, Any], meet: Meet) -> Type:
    _needs(types[:1], FLOATS)
    return types[0]


def scan_parts(node_operands: Sequence[Any], attributes: Mapping[str, Any]) -> tuple[Sequence[Any], ...]:
    """Operands of a scan as (initial carries, sequences, constants)."""
    carries, sequences = attributes["carries"], attributes["sequences"]
    return (
        node_operands[:carries],
        node_operands[carries : carries + sequences],
        node_operands[carries + sequences :],
    )


def _scan(types: Sequence[TensorType], attributes: Mapping[str, Any], meet: Meet) -> Type:
    body, length, carries = attributes["body"], attributes["length"], attributes["carries"]
    initial, sequences, constants = scan_parts(types, attributes)
    formal = [node.tensor for node in body.inputs]
    actual = [*initial, *(item.with_shape(item.shape[1:]) for item in sequences), *constants]
    if len(formal) != len(actual):
        raise ValueError(f"a scan gives {len(actual)} values to a body that takes {len(formal)}")
    for item in sequences:
        meet(item.shape[0], length)
    for given, taken in zip(actual, formal, strict=True):
        if given.dtype != taken.dtype or given.rank != taken.rank:
            raise ValueError(f"a scan's body takes {taken} and is given {given}")
        for a, b in zip(given.shape, taken.shape, strict=True):
            meet(a, b)
    results = [node.tensor for _, node in body.outputs]
    for before, after in zip(formal[:carries], results[:carries], strict=True):
        if before != after and meet is meet_strict:
            raise ValueError(f"a carried value is {before} and becomes {after}")
    emitted = [TensorType(item.dtype, (length, *item.shape)) for item in results[carries:]]
    return TupleType((*results[:carries], *emitted))


def _get(types: Sequence[Any], attributes: Mapping[str, Any], meet: Meet) -> Type:
    items: tuple[TensorType, ...] = types[0].items
    return items[attributes["index"]]


# Meanings in NumPy ----------------------------------------------------------------------------------


def _plain(function: Callable[..., Any]) -> Evaluate:
    def evaluate(arrays: Sequence[np.ndarray], attributes: Mapping[str, Any]) -> np.ndarray:
        with np.errstate(all="ignore"):
            return np.asarray(function(*arrays))

    return evaluate


def _sigmoid(x: np.ndarray) -> np.ndarray:
    small = np.exp(-np.abs(x))
    return np.where(x < 0, small, np.ones_like(small)) / (1 + small)


def _erf(x: np.ndarray) -> np.ndarray:
    return np.vectorize(erf, otypes=[x.dtype])(x) if x.size else x


def _eval_matmul(arrays: Sequence[np.ndarray], attributes: Mapping[str, Any]) -> np.ndarray:
    with np.errstate(all="ignore"):
        value = arrays[0] @ arrays[1]
        return value + arrays[2] if len(arrays) == 3 else value


def _eval_outer_sum(arrays: Sequence[np.ndarray], attributes: Mapping[str, Any]) -> np.ndarray:
    left, right = (array.reshape(-1, array.shape[-1]) for array in arrays)
    with np.errstate(all="ignore"):
        return left.T @ right


def _eval_reduce(function: Callable[..., Any]) -> Evaluate:
    def evaluate(arrays: Sequence[np.ndarray], attributes: Mapping[str, Any]) -> np.ndarray:
        with np.errstate(all="ignore"):
            value = function(arrays[0], axis=tuple(attributes["axes"]), keepdims=attributes["keepdims"])
        return np.asarray(value, dtype=arrays[0].dtype)

    return evaluate


def _eval_slice(arrays: Sequence[np.ndarray], attributes: Mapping[str, Any]) -> np.ndarray:
    bounds = zip(attributes["start"], attributes["stop"], attributes["step"], strict=True)
    return arrays[0][tuple(slice(start, stop, step) for start, stop, step in bounds)]


def _eval_random_key(arrays: Sequence[np.ndarray], attributes: Mapping[str, Any]) -> np.ndarray:
    seed, step, row = arrays
    return random.random_key(seed, step, row, attributes["site"], attributes["salt"])


def _eval_gather(arrays: Sequence[np.ndarray], attributes: Mapping[str, Any]) -> np.ndarray:
    return arrays[0][np.clip(arrays[1], 0, arrays[0].shape[0] - 1)]


_ANY = FLOATS + INTEGERS
_ALL = (*_ANY, "bool")

_row("input", "leaf", 0, _typed)
_row("parameter", "leaf", 0, _typed)
_row("constant", "leaf", 0, _constant, lambda arrays, attributes: attributes["value"])
_row("iota", "leaf", 0, _iota, lambda arrays, attributes: np.arange(attributes["size"], dtype=np.int64))
_row("dimension", "leaf", 0, _dimension, lambda arrays, attributes: np.asarray(attributes["size"], np.int64))

_row("neg", "elementwise", 1, _elementwise(_ANY), _plain(np.negative))
_row("abs", "elementwise", 1, _elementwise(_ANY), _plain(np.abs))
_row("sign", "elementwise", 1, _elementwise(_ANY), _plain(np.sign))
_row("exp", "elementwise", 1, _elementwise(FLOATS), _plain(np.exp))
_row("expm1", "elementwise", 1, _elementwise(FLOATS), _plain(np.expm1))
_row("log", "elementwise", 1, _elementwise(FLOATS), _plain(np.log))
_row("log1p", "elementwise", 1, _elementwise(FLOATS), _plain(np.log1p))
_row("sqrt", "elementwise", 1, _elementwise(FLOATS), _plain(np.sqrt))
_row("tanh", "elementwise", 1, _elementwise(FLOATS), _plain(np.tanh))
_row("sigmoid", "elementwise", 1, _elementwise(FLOATS), _plain(_sigmoid))
_row("sin", "elementwise", 1, _elementwise(FLOATS), _plain(np.sin))
_row("cos", "elementwise", 1, _elementwise(FLOATS), _plain(np.cos))
_row("erf", "elementwise", 1, _elementwise(FLOATS), _plain(_erf))
# The value itself; its derivative is nothing.
_row("stop_gradient", "elementwise", 1, _elementwise(FLOATS), lambda arrays, attributes: arrays[0])
_row("not", "elementwise", 1, _elementwise(("bool",)), _plain(np.logical_not))
_row("cast", "elementwise", 1, _cast, lambda arrays, attributes: arrays[0].astype(attributes["dtype"]))

_row("add", "elementwise", 2, _elementwise(_ANY), _plain(np.add))
_row("sub", "elementwise", 2, _elementwise(_ANY), _plain(np.subtract))
_row("mul", "elementwise", 2, _elementwise(_ANY), _plain(np.multiply))
_row("div", "elementwise", 2, _elementwise(FLOATS), _plain(np.divide))
_row("maximum", "elementwise", 2, _elementwise(_ANY), _plain(np.maximum))
_row("minimum", "elementwise", 2, _elementwise(_ANY), _plain(np.minimum))
_row("less", "elementwise", 2, _elementwise(_ANY, "bool"), _plain(np.less))
_row("less_equal", "elementwise", 2, _elementwise(_ANY, "bool"), _plain(np.less_equal))
_row("equal", "elementwise", 2, _elementwise(_ANY, "bool"), _plain(np.equal))
_row("not_equal", "elementwise", 2, _elementwise(_ANY, "bool"), _plain(np.not_equal))
_row("and", "elementwise", 2, _elementwise(("bool",)), _plain(np.logical_and))
_row("or", "elementwise", 2, _elementwise(("bool",)), _plain(np.logical_or))
_row("fma", "elementwise", 3, _elementwise(FLOATS), _plain(lambda a, b, c: a * b + c))
_row("select", "elementwise", 3, _select, _plain(np.where))
_row(
    "random_key",
    "elementwise",
    3,
    _random_key,
    _eval_random_key,
    random=True,
)
_row("random_uniform", "elementwise", 2, _random_uniform, _plain(random.random_uniform), random=True)

_row("matmul", "contraction", (2, 3), _matmul, _eval_matmul)

# The sum over all leading axes of outer products of rows: what a product's right operand receives.
_row("outer_sum", "contraction", 2, _outer_sum, _eval_outer_sum)

_row("reduce_sum", "reduction", 1, _reduce, _eval_reduce(np.sum))
_row("reduce_max", "reduction", 1, _reduce, _eval_reduce(np.max))
_row("reduce_min", "reduction", 1, _reduce, _eval_reduce(np.min))

_row("slice", "movement", 1, _slice, _eval_slice)
_row("reverse", "movement", 1, lambda t, a, m: t[0], lambda arrays, a: np.flip(arrays[0], a["axis"]))
_row("transpose", "movement", 1, _transpose, lambda arrays, a: np.transpose(arrays[0], a["order"]))
_row("reshape", "movement", 1, _reshape, lambda arrays, a: np.reshape(arrays[0], a["shape"]))
_row("broadcast", "movement", 1, _broadcast, lambda arrays, a: np.broadcast_to(arrays[0], a["shape"]))
_row("concat", "movement", (1, 1 << 30), _concat, lambda arrays, a: np.concatenate(arrays, a["axis"]))
_row("gather", "movement", 2, _gather, _eval_gather)

# While declaring, dropout has the value and keep_prob; lower adds seed, step and row.
_row("dropout", "structured", (2, 5), _dropout, random=True)
# A driver as declared: lower replaces it by a scan. Its type is settled when the cell is traced.
_row("driver", "structured", (0, 1 << 30), lambda types, attributes, meet: attributes["result"])
_row("scan", "structured", (0, 1 << 30), _scan)
_row("get", "structured", 1, _get)

__all__ = ["OPS", "Op", "broadcast_shapes", "meet_strict", "scan_parts"]
