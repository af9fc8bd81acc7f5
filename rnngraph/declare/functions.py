"""Functions of Tensors. Each builds nodes of the op table; none knows what it is used for."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError, DtypeError, ShapeError, user_line
from ..ir.types import FLOATS, Dim, dim_text, product, quotient
from .tensor import Tensor, binary, build, check_dtype, constant, like

Axis = int | Sequence[int] | None


def _tensor(x: Any) -> Tensor:
    return x if isinstance(x, Tensor) else constant(x)


def _unary(op: str, text: str) -> Callable[[Any], Tensor]:
    def function(x: Any) -> Tensor:
        return build(op, _tensor(x))

    function.__name__ = function.__qualname__ = op
    function.__doc__ = text
    return function


tanh = _unary("tanh", "Hyperbolic tangent, elementwise.")
sigmoid = _unary("sigmoid", "1 / (1 + exp(-x)), elementwise.")
exp = _unary("exp", "e to the x, elementwise.")
expm1 = _unary("expm1", "exp(x) - 1, accurate near 0, elementwise.")
log = _unary("log", "Natural logarithm, elementwise; of 0 it is -inf, of a negative number NaN.")
log1p = _unary("log1p", "log(1 + x), accurate near 0, elementwise.")
sqrt = _unary("sqrt", "Square root, elementwise.")
sin = _unary("sin", "Sine of radians, elementwise.")
cos = _unary("cos", "Cosine of radians, elementwise.")
erf = _unary("erf", "The error function, elementwise.")
sign = _unary("sign", "-1, 0 or 1, elementwise.")
logical_not = _unary("not", "not x, elementwise, of bool tensors.")


def abs(x: Any) -> Tensor:  # the field's name, as in numpy.abs
    """Absolute value, elementwise."""
    return build("abs", _tensor(x))


def square(x: Any) -> Tensor:
    """x * x."""
    x = _tensor(x)
    return x * x


def identity(x: Any) -> Tensor:
    """x itself."""
    return _tensor(x)


def _pair(op: str, a: Any, b: Any) -> Tensor:
    if not isinstance(a, Tensor) and not isinstance(b, Tensor):
        a = constant(a)
    return binary(op, a, b)


def maximum(a: Any, b: Any) -> Tensor:
    """The larger, elementwise; NaN where either is NaN."""
    return _pair("maximum", a, b)


def minimum(a: Any, b: Any) -> Tensor:
    """The smaller, elementwise; NaN where either is NaN."""
    return _pair("minimum", a, b)


def equal(a: Any, b: Any) -> Tensor:
    """a == b, elementwise, as bool."""
    return _pair("equal", a, b)


def not_equal(a: Any, b: Any) -> Tensor:
    """a != b, elementwise, as bool."""
    return _pair("not_equal", a, b)


def logical_and(a: Any, b: Any) -> Tensor:
    """a and b, elementwise, of bool tensors."""
    return _pair("and", a, b)


def logical_or(a: Any, b: Any) -> Tensor:
    """a or b, elementwise, of bool tensors."""
    return _pair("or", a, b)


def clip(x: Any, low: Any, high: Any) -> Tensor:
    """x limited to [low, high]; NaN stays NaN."""
    return minimum(maximum(_tensor(x), low), high)


def where(condition: Tensor, a: Any, b: Any) -> Tensor:
    """a where the condition holds, b elsewhere: a selection, so what is not chosen has no effect."""
    if not isinstance(a, Tensor):
        a = like(a, b) if isinstance(b, Tensor) else constant(a)
    return build("select", condition, a, like(b, a))


def cast(x: Any, dtype: Any) -> Tensor:
    """x in another dtype; floats to integers are cut off towards 0."""
    x, dtype = _tensor(x), check_dtype(dtype)
    return x if x.dtype == dtype else build("cast", x, dtype=dtype)


def relu(x: Any) -> Tensor:
    """max(x, 0)."""
    return maximum(_tensor(x), 0)


def relu6(x: Any) -> Tensor:
    """min(max(x, 0), 6)."""
    return clip(x, 0, 6)


def leaky_relu(x: Any, alpha: float = 0.2) -> Tensor:
    """x where it is positive, alpha * x elsewhere."""
    x = _tensor(x)
    return where(x > 0, x, x * alpha)


def hard_sigmoid(x: Any) -> Tensor:
    """clip(0.2 x + 0.5, 0, 1), as in Keras 2 and ONNX (Keras 3 uses x / 6)."""
    return clip(_tensor(x) * 0.2 + 0.5, 0, 1)


def softsign(x: Any) -> Tensor:
    """x / (1 + |x|)."""
    x = _tensor(x)
    return x / (abs(x) + 1)


def softplus(x: Any) -> Tensor:
    """log(1 + exp(x)), without overflow."""
    x = _tensor(x)
    return maximum(x, 0) + log1p(exp(-abs(x)))


def elu(x: Any, alpha: float = 1.0) -> Tensor:
    """x where it is positive, alpha (exp(x) - 1) elsewhere (Clevert et al. 2016)."""
    x = _tensor(x)
    negative = expm1(minimum(x, 0))
    return where(x > 0, x, negative if alpha == 1.0 else negative * alpha)


def selu(x: Any) -> Tensor:
    """The self-normalising ELU (Klambauer et al. 2017)."""
    return elu(x, 1.6732632423543772) * 1.0507009873554805


def gelu(x: Any) -> Tensor:
    """x Phi(x), with the exact normal distribution (Hendrycks & Gimpel 2016)."""
    x = _tensor(x)
    return x * 0.5 * (erf(x * math.sqrt(0.5)) + 1)


def swish(x: Any) -> Tensor:
    """x sigmoid(x)."""
    x = _tensor(x)
    return x * sigmoid(x)


ACTIVATIONS: dict[str, Callable[[Any], Tensor]] = {
    "tanh": tanh,
    "relu": relu,
    "relu6": relu6,
    "leaky_relu": leaky_relu,
    "sigmoid": sigmoid,
    "identity": identity,
    "linear": identity,
    "hard_sigmoid": hard_sigmoid,
    "softsign": softsign,
    "softplus": softplus,
    "elu": elu,
    "selu": selu,
    "gelu": gelu,
    "swish": swish,
    "silu": swish,
    "exp": exp,
    "sin": sin,
    "cos": cos,
}


def activation_function(activation: str | Callable[[Any], Tensor] | None) -> Callable[[Any], Tensor]:
    """The function of a name, a function itself, or identity for None."""
    if activation is None:
        return identity
    if isinstance(activation, str):
        if activation not in ACTIVATIONS:
            raise ArgumentError(
                f"activation {activation!r} is not known; use one of {', '.join(ACTIVATIONS)} or a function"
            )
        return ACTIVATIONS[activation]
    if callable(activation):
        return activation
    raise DtypeError(f"an activation is a name or a function, not {activation!r}")


# Reductions -----------------------------------------------------------------------------------------


def _axes(x: Tensor, axis: Axis) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(x.rank))
    given = [axis] if isinstance(axis, int | np.integer) else list(axis)
    return tuple(sorted({_axis(x.rank, entry) for entry in given}))


def _axis(rank: int, axis: int) -> int:
    if not isinstance(axis, int | np.integer) or not -rank <= axis < rank:
        raise ShapeError(f"axis {axis!r} of a tensor of rank {rank}")
    return int(axis) % rank


def _reduction(op: str, x: Any, axis: Axis, keepdims: bool) -> Tensor:
    x = _tensor(x)
    axes = _axes(x, axis)
    return build(op, x, axes=axes, keepdims=bool(keepdims)) if axes else x


def reduce_sum(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Sum over ``axis`` (an int, several, or None for all)."""
    return _reduction("reduce_sum", x, axis, keepdims)


def reduce_max(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Largest over ``axis``; NaN where one is NaN."""
    return _reduction("reduce_max", x, axis, keepdims)


def reduce_min(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Smallest over ``axis``; NaN where one is NaN."""
    return _reduction("reduce_min", x, axis, keepdims)


def dimension(size: Dim, dtype: str) -> Tensor:
    """A size as a scalar; where it is open, its value at run time."""
    if isinstance(size, int):
        return constant(size, dtype=dtype)
    return cast(build("dimension", size=size), dtype)


def reduce_mean(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Mean over ``axis``."""
    x = _tensor(x)
    if x.dtype not in FLOATS:
        raise DtypeError(f"a mean of {x.dtype}; convert with rg.cast first")
    count: Dim = 1
    for position in _axes(x, axis):
        count = count * x.type.shape[position]
    return reduce_sum(x, axis, keepdims) / dimension(count, x.dtype)


def argmax(x: Any, axis: int = -1) -> Tensor:
    """Index (int64) of the first largest entry along ``axis``; of the first NaN where there is one."""
    x = _tensor(x)
    position = _axis(x.rank, axis)
    size = x.type.shape[position]
    index = build("iota", size=size)
    if position != x.rank - 1:
        index = build("reshape", index, shape=(size, *(1,) * (x.rank - 1 - position)))
    hit = equal(x, reduce_max(x, position, keepdims=True))
    if x.dtype in FLOATS:
        hit = logical_or(hit, not_equal(x, x))
    return reduce_min(where(hit, index, np.int64(2**31 - 1)), position)


def softmax(x: Any, axis: int = -1) -> Tensor:
    """exp(x) / sum(exp(x)), shifted by the maximum so that nothing overflows."""
    x = _tensor(x)
    raised = exp(x - reduce_max(x, axis, keepdims=True))
    return raised / reduce_sum(raised, axis, keepdims=True)


def log_softmax(x: Any, axis: int = -1) -> Tensor:
    """log(softmax(x)), without the detour through exp."""
    x = _tensor(x)
    shifted = x - reduce_max(x, axis, keepdims=True)
    return shifted - log(reduce_sum(exp(shifted), axis, keepdims=True))


# Movement -------------------------------------------------------------------------------------------


def concat(tensors: Sequence[Any], axis: int = -1) -> Tensor:
    """Tensors joined along ``axis``."""
    items = [_tensor(item) for item in tensors]
    if not items:
        raise ShapeError("concat of nothing; give at least one tensor")
    return items[0] if len(items) == 1 else build("concat", *items, axis=_axis(items[0].rank, axis))


def split(x: Any, parts: int | Sequence[int], axis: int = -1) -> list[Tensor]:
    """x cut along ``axis``: into ``parts`` equal pieces, or into pieces of the given sizes."""
    x = _tensor(x)
    position = _axis(x.rank, axis)
    total = x.type.shape[position]
    if not isinstance(total, int):
        raise ShapeError("can't split an axis of open size; use slices")
    sizes = [total // parts] * parts if isinstance(parts, int) else [int(part) for part in parts]
    if sum(sizes) != total:
        raise ShapeError(f"an axis of {total} does not split into {parts}")
    index: list[Any] = [slice(None)] * x.rank
    pieces, start = [], 0
    for width in sizes:
        index[position] = slice(start, start + width)
        pieces.append(x[tuple(index)])
        start += width
    return pieces


def expand_dims(x: Any, axis: int) -> Tensor:
    """x with an axis of 1 inserted before ``axis``."""
    x = _tensor(x)
    position = _axis(x.rank + 1, axis)
    shape = x.type.shape
    return build("reshape", x, shape=(*shape[:position], 1, *shape[position:]))


def squeeze(x: Any, axis: Axis = None) -> Tensor:
    """x without axes of 1 (all of them, or those named)."""
    x = _tensor(x)
    axes = [a for a, dim in enumerate(x.type.shape) if dim == 1] if axis is None else _axes(x, axis)
    for position in axes:
        if x.type.shape[position] != 1:
            raise ShapeError(f"can't squeeze axis {position} of {x!r}: it is not 1")
    return build("reshape", x, shape=tuple(dim for a, dim in enumerate(x.type.shape) if a not in axes))


def stack(tensors: Sequence[Any], axis: int = 0) -> Tensor:
    """Tensors of one shape joined along a new axis."""
    return concat([expand_dims(item, axis) for item in tensors], axis)


def reshape(x: Any, shape: Sequence[int | None]) -> Tensor:
    """x in another shape. One entry may be -1; None keeps the size of that axis of x."""
    x = _tensor(x)
    dims: list[Dim] = []
    for axis, entry in enumerate(shape):
        if entry is None:
            if axis >= x.rank:
                raise ShapeError(f"None at axis {axis} of a reshape of rank {x.rank}")
            dims.append(x.type.shape[axis])
        else:
            dims.append(int(entry))
    if dims.count(-1) > 1:
        raise ShapeError("a reshape can hold one -1 only")
    if -1 in dims:
        dims[dims.index(-1)] = _remaining(x, [dim for dim in dims if dim != -1])
    return build("reshape", x, shape=tuple(dims))


def _remaining(x: Tensor, others: list[Dim]) -> Dim:
    """The size that -1 stands for: equal sizes cancel one by one, what is left divides."""
    left, divisors = list(x.type.shape), []
    for dim in others:
        if dim in left:
            left.remove(dim)
        else:
            divisors.append(dim)
    elements, divisor = product(left), product(divisors)
    result = quotient(elements, divisor)
    if result is None:
        raise ShapeError(
            f"can't find the size for -1 in a reshape of {x!r}: {dim_text(elements)} does not divide by "
            f"{dim_text(divisor)}; declare fixed sizes as ints"
        )
    return result


def transpose(x: Any, perm: Sequence[int] | None = None) -> Tensor:
    """x with its axes in the order ``perm`` (default: reversed)."""
    x = _tensor(x)
    order = tuple(reversed(range(x.rank))) if perm is None else tuple(_axis(x.rank, axis) for axis in perm)
    return build("transpose", x, order=order)


def tile(x: Any, multiples: Sequence[int]) -> Tensor:
    """x repeated ``multiples[a]`` times along each axis a."""
    x = _tensor(x)
    if len(multiples) != x.rank:
        raise ShapeError(f"{len(multiples)} multiples for a tensor of rank {x.rank}")
    for axis, count in enumerate(multiples):
        x = concat([x] * int(count), axis)
    return x


def gather(table: Any, indices: Any) -> Tensor:
    """Rows of ``table`` at ``indices``: shape indices.shape + table.shape[1:]."""
    return build("gather", _tensor(table), _tensor(indices))


def one_hot(indices: Any, depth: int, dtype: Any = "float32") -> Tensor:
    """1 at each index and 0 elsewhere, on a new last axis of ``depth``."""
    index = cast(_tensor(indices), "int64")
    hit = equal(expand_dims(index, -1), build("iota", size=int(depth)))
    return cast(hit, dtype)


def gather_last(outputs: Tensor, lengths: Any) -> Tensor:
    """The output at each row's last real step.

    outputs: [batch, time, width]; lengths: int [batch], at least 1. Gives [batch, width].
    """
    if outputs.rank != 3:
        raise ShapeError(f"gather_last needs outputs [batch, time, width], not {outputs!r}")
    last = cast(_tensor(lengths), "int64") - 1
    steps = build("iota", size=outputs.type.shape[1])
    hit = equal(expand_dims(last, -1), steps)
    return reduce_sum(where(expand_dims(hit, -1), outputs, 0), axis=1)


def layer_norm(x: Any, gamma: Any = None, beta: Any = None, epsilon: float = 1e-12) -> Tensor:
    """(x - mean) / sqrt(variance + epsilon) over the last axis, times gamma, plus beta (Ba et al. 2016)."""
    x = _tensor(x)
    centred = x - reduce_mean(x, -1, keepdims=True)
    scaled = centred / sqrt(reduce_mean(square(centred), -1, keepdims=True) + epsilon)
    scaled = scaled if gamma is None else scaled * gamma
    return scaled if beta is None else scaled + beta


def greater(a: Any, b: Any) -> Tensor:
    """a > b, elementwise, as bool."""
    return _pair("less", b, a)


def less(a: Any, b: Any) -> Tensor:
    """a < b, elementwise, as bool."""
    return _pair("less", a, b)


def matmul(a: Any, b: Any) -> Tensor:
    """Matrix product: [..., K] times [K, N]."""
    return build("matmul", _tensor(a), _tensor(b))


def check_scalar_fraction(value: float | int | Tensor, what: str) -> None:
    """A probability: a float in (0, 1] or a scalar float placeholder."""
    line = user_line()
    if isinstance(value, Tensor):
        if value.rank != 0 or value.dtype not in FLOATS:
            raise DtypeError(f"{what} must be a scalar float, not {value!r}", line)
        return
    if isinstance(value, bool) or not isinstance(value, int | float | np.floating | np.integer):
        raise DtypeError(f"{what} must be a float in (0, 1] or a scalar placeholder, not {value!r}", line)
    if not 0 < value <= 1:
        raise ArgumentError(
            f"{what}={value} is outside (0, 1]; it is the probability to keep a unit, 1.0 keeps all", line
        )
