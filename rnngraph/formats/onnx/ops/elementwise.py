"""Reads elementwise ops."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ....declare.functions import activations, basic, rounding
from ....declare.functions.elementary import angles, hyperbolic, numbers, powers, remainders
from ....ir.sizes.polynomial import ceil_divide, floor_divide
from ....ir.types import FLOATS, INTEGERS
from ...steps import Value
from ..core.functions import affine, shrink, thresholded_relu
from ..core.known import (
    Expanded,
    Known,
    Operand,
    constant_fold,
    dtype_of,
    fold_float_sizes,
    fold_size_comparison,
    is_constant_foldable,
    known,
    number_like,
    select,
    shape_of,
)
from ..core.known import cast as cast_known
from ..core.model import dtype_name
from ..core.sizes import UnreadableError, axis_of, checked
from ..core.table import Call, Outputs, reads
from ..core.values import STORAGE_DTYPES, shortest, storage_dtype

_UNARY: Mapping[str, Callable[..., Any]] = {
    "Abs": basic.abs,
    "Sqrt": basic.sqrt,
    "Exp": basic.exp,
    "Log": basic.log,
    "Sin": basic.sin,
    "Cos": basic.cos,
    "Atan": basic.atan,
    "Erf": basic.erf,
    "Tanh": basic.tanh,
    "Sigmoid": basic.sigmoid,
    "Relu": activations.relu,
    "Softplus": activations.softplus,
    "Softsign": activations.softsign,
    "Not": basic.logical_not,
    "Reciprocal": powers.reciprocal,
    "Mish": activations.mish,
    "Sinh": hyperbolic.sinh,
    "Cosh": hyperbolic.cosh,
    "Tan": angles.tan,
    "Floor": rounding.floor,
    "Ceil": rounding.ceil,
    "Round": rounding.round,
    "HardSwish": activations.hard_swish,
    "Asin": angles.asin,
    "Acos": angles.acos,
    "Asinh": hyperbolic.asinh,
    "Acosh": hyperbolic.acosh,
    "Atanh": hyperbolic.atanh,
    "IsNaN": numbers.isnan,
}
_SIGNS = {"Add": "+", "Sub": "-", "Mul": "*", "Div": "/"}
_BINARY: Mapping[str, Callable[..., Any]] = {
    "Max": basic.maximum,
    "Min": basic.minimum,
    "Equal": basic.equal,
    "Less": basic.less,
    "Greater": basic.greater,
    "And": basic.logical_and,
    "Or": basic.logical_or,
    "Xor": basic.logical_xor,
}


_DIVISIONS: Mapping[str, Callable[..., Any]] = {
    "Div": remainders.trunc_divide,
    "Mod": remainders.remainder,
    "FMod": remainders.fmod,
}
"""Functions for integer division and for remainders, by op. ``FMod`` is ``Mod`` with the attribute fmod=1."""
_WHOLE_PARTS: Mapping[str, Callable[[Any, int], Any]] = {"Ceil": ceil_divide, "Floor": floor_divide}


@reads(*_UNARY)
def _unary(call: Call) -> Outputs:
    return mapped(call, _UNARY[call.op])


@reads("Sign")
def _sign(call: Call) -> Outputs:
    """Read Sign. Adding 0 makes the sign of -0 +0, as in ONNX."""
    sign = mapped(call, basic.sign)
    is_plain = isinstance(sign, Known) or dtype_of(sign) not in FLOATS
    return sign if is_plain else combined(call, "Add", sign, number_like(0, sign))


def mapped(call: Call, function: Callable[..., Any], *arguments: Any, **options: Any) -> Operand:
    """Apply an elementwise function to the node's input.

    If the input is a transpose, or a reshape that merged axes, the function is applied before it. The transpose or
    reshape may then cancel with a later one.
    """
    x, tensors = call.input(0), call.tensors
    if isinstance(x, Known) and is_constant_foldable(call.op) and not (options or arguments or _has_float_sizes(x)):
        return constant_fold(call.op, [x])
    if isinstance(x, Known) and _has_float_sizes(x) and (rounded := fold_float_sizes(call.op, x)) is not None:
        return rounded
    if isinstance(x, Expanded):
        inner = tensors.script.call(function, tensors.value(x.source), *arguments, **options)
        return Expanded(inner, x.shape)
    value = tensors.value(x)
    if call.op in _WHOLE_PARTS and (counted := _whole_quotient(call, value)) is not None:
        return counted
    transposed, merged = tensors.transpose_source(value), tensors.unmerged_rows(value)
    if merged is not None:
        return tensors.reshape(call.script.call(function, merged, *arguments, **options), shape_of(value))
    if transposed is None:
        return call.script.call(function, value, *arguments, **options)
    source, order = transposed
    return tensors.transposed(call.script.call(function, source, *arguments, **options), order)


def _whole_quotient(call: Call, x: Value) -> Known | None:
    """Return the rounded quotient if x is sizes, cast to float and divided by a number; None for other values.

    torch writes the length of ``x[::2]`` in this form.
    """
    left, number = x.step.operands if not x.path and x.step.key == "/" else (None, None)
    sizes = call.tensors.declared_of(left) if isinstance(left, Value) else None
    if not isinstance(sizes, Known) or not sizes.is_symbolic:
        return None
    if not isinstance(number, float) or number < 1 or number % 1:
        return None
    divide = _WHOLE_PARTS[call.op]
    entries = [checked(divide(entry, int(number))) for entry in sizes.array.reshape(-1)]
    quotients = np.empty(len(entries), object)
    quotients[:] = entries
    return known(quotients.reshape(sizes.array.shape), sizes.dtype)


@reads("IsInf")
def _is_infinite(call: Call) -> Outputs:
    x = call.value(0)
    signs = [bool(call.whole(f"detect_{name}", 1)) for name in ("negative", "positive")]
    if signs == [False, False]:
        return call.script.operation("<", x, -float("inf"))  # False everywhere
    negative, positive = signs
    function = numbers.isinf if negative and positive else numbers.isposinf if positive else numbers.isneginf
    return call.script.call(function, x)


@reads("StopGradient")
def _stop_gradient(call: Call) -> Outputs:
    x = call.input(0)
    is_constant = isinstance(x, Known | Expanded) or call.value(0).tensor.dtype not in FLOATS
    return x if is_constant else call.script.call(basic.stop_gradient, call.value(0))


@reads("Identity", "Dropout", "SequenceIdentity")
def _identity(call: Call) -> Outputs:
    flag = call.maybe(2) if call.op == "Dropout" else None
    if flag is not None and not (isinstance(flag, Known) and not np.any(flag.array)):
        raise UnreadableError("training_mode=1 is not supported; export the model for inference")
    return call.input(0)


@reads("Neg")
def _negative(call: Call) -> Outputs:
    x = call.input(0)
    return constant_fold("Neg", [x]) if isinstance(x, Known) else combined(call, "Mul", x, number_like(-1, x))


@reads(*_SIGNS, "Mod", *_BINARY, "LessOrEqual", "GreaterOrEqual", "Sum", "Mean")
def _binary(call: Call) -> Outputs:
    op = {"Sum": "Add", "Mean": "Add"}.get(call.op, call.op)
    op = "FMod" if op == "Mod" and call.whole("fmod", 0) else op
    items = [call.input(number) for number in range(len(call.inputs))]
    if not items or (len(items) > 2 and call.op not in ("Max", "Min", "Sum", "Mean")):
        raise UnreadableError(f"it has {len(items)} inputs; {call.op} needs {'two' if items else 'at least one'}")
    if len(items) == 2:
        items[1] = _aligned(call, *items)
    total = items[0]
    for item in items[1:]:
        total = combined(call, op, total, item)
    if call.op != "Mean" or len(items) == 1:
        return total
    return combined(call, "Div", total, number_like(len(items), total))


def _aligned(call: Call, left: Operand, right: Operand) -> Operand:
    """Return the right operand so that it broadcasts with the left one as in the node's opset.

    Before opset 7, the attribute ``axis`` is the axis of the left operand at which the right one begins, if
    ``broadcast`` is set. Axes of size 1 are appended to the right operand for the axes that follow.
    """
    axis = call.attribute("axis", None) if call.opset < 7 and call.whole("broadcast", 0) else None
    rank = len(shape_of(left))
    after = 0 if axis is None else rank - axis_of(axis, rank) - len(shape_of(right))
    return call.tensors.reshape(right, (*shape_of(right), *(1,) * after)) if after > 0 else right


def combined(call: Call, op: str, left: Operand, right: Operand) -> Operand:
    """Return the result of a binary elementwise op. A transpose of both operands is applied to the result instead."""
    if isinstance(left, Expanded) and isinstance(right, Expanded) and left.shape == right.shape:
        inner = combined(call, op, left.source, right.source)
        return inner if isinstance(inner, Expanded) else Expanded(inner, left.shape)
    left = _without_broadcast(call, left, right)
    right = _without_broadcast(call, right, left)
    if (
        isinstance(left, Known)
        and isinstance(right, Known)
        and is_constant_foldable(op)
        and not _has_float_sizes(left, right)
    ):
        return constant_fold(op, [left, right])
    if isinstance(left, Known) and isinstance(right, Known):
        result = fold_size_comparison(op, left, right)
        if result is None and _has_float_sizes(left, right):
            result = fold_float_sizes(op, left, right)
        if result is not None:
            return result
    sources = _without_transposes(call, left, right)
    if sources is not None:
        left, right, order = sources
        return call.tensors.transposed(_combined(call, op, left, right), order)
    return _combined(call, op, left, right)


def _has_float_sizes(*items: Known) -> bool:
    """True if any operand has symbolic sizes that the file has cast to float."""
    return any(item.is_symbolic and item.dtype in FLOATS for item in items)


def _without_broadcast(call: Call, x: Operand, other: Operand) -> Operand:
    """Return x without its broadcast if a binary op with ``other`` broadcasts x anyway.

    The initial state of unrolled steps stays broadcast, so that all steps have one form.
    """
    if not isinstance(x, Expanded) or (call.tensors.shared and isinstance(other, Value)):
        return x
    shape = (*(1,) * (len(x.shape) - len(shape_of(other))), *shape_of(other))[-len(x.shape) :] if x.shape else ()
    return x.source if all(own in (1, dim) for own, dim in zip(x.shape, shape, strict=True)) else x


def _without_transposes(call: Call, left: Operand, right: Operand) -> tuple[Operand, Operand, tuple[int, ...]] | None:
    """Return (left, right, order), the operands before a transpose by ``order``; None if both have no common transpose.

    A scalar fits every transpose.
    """
    first, second = (call.tensors.transpose_source(item) for item in (left, right))
    if first is not None and second is not None and first[1] == second[1]:
        return first[0], second[0], first[1]
    if first is not None and isinstance(right, Known) and right.array.size == 1 and right.array.ndim <= len(first[1]):
        return first[0], Known(right.array.reshape(()), right.dtype), first[1]
    if second is not None and isinstance(left, Known) and left.array.size == 1 and left.array.ndim <= len(second[1]):
        return Known(left.array.reshape(()), left.dtype), second[0], second[1]
    return None


def _combined(call: Call, op: str, left: Operand, right: Operand) -> Value:
    """Declare a binary op of two operands as they are. Raises ``UnreadableError`` if their dtypes differ."""
    tensors, dtype = call.tensors, storage_dtype(dtype_of(left))
    if storage_dtype(dtype_of(right)) != dtype:
        raise UnreadableError(f"its operands have dtypes {dtype_of(left)} and {dtype_of(right)}, which must be equal")
    if isinstance(left, Known) and isinstance(right, Known):
        left = tensors.value(left)
    ranks = len(shape_of(left)), len(shape_of(right))
    if isinstance(right, Value):
        a, b = tensors.as_operand(left, ranks[1], dtype), right
    else:
        a, b = tensors.value(left), tensors.as_operand(right, ranks[0], dtype)
    if not isinstance(a, Value) and not isinstance(b, Value):
        a = tensors.value(left)
    if op in ("Mod", "FMod") or (op == "Div" and dtype not in FLOATS):
        return call.script.call(_DIVISIONS[op], tensors.value(left), tensors.value(right))
    if op in _SIGNS:
        return call.script.operation(_SIGNS[op], a, b)
    if op == "LessOrEqual":
        return call.script.operation("<=", a, b)
    if op == "GreaterOrEqual":
        return call.script.operation(">=", a, b)
    if op in _BINARY:
        return call.script.call(_BINARY[op], a, b)
    raise UnreadableError(f"{op} of two computed values is not supported")


@reads("Pow")
def _power(call: Call) -> Outputs:
    x, exponent = call.input(0), _aligned(call, call.input(0), call.input(1))
    if isinstance(x, Known) and isinstance(exponent, Known):
        return constant_fold("Pow", [x, exponent])
    if isinstance(exponent, Known) and exponent.array.size == 1 and exponent.array.ndim <= call.rank():
        number = float(exponent.numbers("the exponent").reshape(()))
        source = call.tensors.transpose_source(x)
        base = source[0] if source is not None else call.tensors.value(x)
        if base.tensor.dtype in INTEGERS and not (number.is_integer() and 0 <= number < 64):
            raise UnreadableError(f"raising integers to the power {shortest(number)} is not supported")
        result = call.script.operation(
            "**", base, int(number) if number.is_integer() and abs(number) < 64 else shortest(number)
        )
        return call.tensors.transposed(result, source[1]) if source is not None else result
    value = call.tensors.cast(call.tensors.value(exponent), dtype_of(x))
    return call.script.call(powers.power, call.tensors.as_operand(x, len(shape_of(value)), value.tensor.dtype), value)


@reads("Where")
def _where(call: Call) -> Outputs:
    condition, a, b = call.input(0), call.input(1), call.input(2)
    if isinstance(condition, Known) and isinstance(a, Known) and isinstance(b, Known):
        return select(condition, a, b)
    if isinstance(condition, Known) and not condition.is_symbolic:
        whole = condition.array.all(), not condition.array.any()
        for is_all, item in zip(whole, (a, b), strict=True):
            if is_all and condition.array.size == 1 and len(shape_of(item)) >= max(call.rank(1), call.rank(2)):
                others = shape_of(b if item is a else a)
                if all(dim == 1 for dim in others) or others == shape_of(item):
                    return item
    tensors, dtype = call.tensors, storage_dtype(dtype_of(a))
    rank = max(call.rank(0), call.rank(1), call.rank(2))
    choices = [_without_broadcast(call, item, condition) for item in (a, b)]
    values = [tensors.as_operand(item, rank if len(shape_of(item)) <= call.rank(0) else -1, dtype) for item in choices]
    if not any(isinstance(item, Value) for item in values):
        values[0] = tensors.value(choices[0])
    return call.script.call(basic.where, call.value(0), *values)


@reads("Cast", "CastLike")
def _cast(call: Call) -> Outputs:
    x = call.input(0)
    dtype = dtype_of(call.input(1)) if call.op == "CastLike" else dtype_name(call.whole("to", 0))
    if dtype is None:
        raise UnreadableError(
            "it casts to strings, complex numbers, or numbers that NumPy lacks, which is not supported"
        )
    if dtype in ("float16", "bfloat16"):  # The net computes in float32 instead.
        dtype = STORAGE_DTYPES[dtype]
    if isinstance(x, Known):
        return cast_known(x, dtype)
    if isinstance(x, Expanded):
        source = cast_known(x.source, dtype) if isinstance(x.source, Known) else call.tensors.cast(x.source, dtype)
        return Expanded(source, x.shape)
    storage = storage_dtype(dtype)
    if dtype in STORAGE_DTYPES and storage in INTEGERS and x.tensor.dtype != "bool":
        raise UnreadableError(
            f"it casts computed values to {dtype}, whose overflow is not supported; cast to int32 or int64"
        )
    transposed = call.tensors.transpose_source(x)
    if transposed is not None:
        return call.tensors.transposed(call.tensors.cast(transposed[0], storage), transposed[1])
    return call.tensors.cast(x, storage)


@reads("Clip")
def _clip(call: Call) -> Outputs:
    limits: list[Any] = [call.attribute("min", None), call.attribute("max", None)]
    x = call.value(0)
    for place in (0, 1):
        bound = call.maybe(place + 1)
        if isinstance(bound, Known):
            limits[place] = bound.numbers("a limit").reshape(-1)[0].item()
        elif bound is not None:
            limits[place] = call.tensors.value(bound)
    low, high = (
        None
        if isinstance(limit, float) and abs(limit) >= 3.4e38
        else shortest(limit)
        if type(limit) is float
        else limit
        for limit in limits
    )
    if low is None and high is None:
        return x
    if low is None or high is None:
        return mapped(call, basic.maximum if high is None else basic.minimum, low if high is None else high)
    return mapped(call, basic.clip, low, high)


# Activations with parameters -------------------------------------------------------------------------


def _numbers(call: Call, defaults: Mapping[str, float]) -> list[float]:
    return [shortest(call.number(name, default)) for name, default in defaults.items()]


_WITH_NUMBERS: Mapping[str, tuple[Callable[..., Any], Mapping[str, float]]] = {
    "LeakyRelu": (activations.leaky_relu, {"alpha": 0.01}),
    "Elu": (activations.elu, {"alpha": 1.0}),
    "Selu": (activations.selu, {"alpha": 1.6732632423543772, "gamma": 1.0507009873554805}),
    "ThresholdedRelu": (thresholded_relu, {"alpha": 1.0}),
    "HardSigmoid": (activations.hard_sigmoid, {"alpha": 0.2, "beta": 0.5}),
    "Celu": (activations.celu, {"alpha": 1.0}),
    "Shrink": (shrink, {"bias": 0.0, "lambd": 0.5}),
    "Swish": (activations.swish, {"alpha": 1.0}),
    "Affine": (affine, {"alpha": 1.0, "beta": 0.0}),
}
_PLAIN: Mapping[str, tuple[Sequence[float], Callable[..., Any]]] = {
    "Elu": ([1.0], activations.elu),
    "HardSigmoid": ([0.2, 0.5], activations.hard_sigmoid),
    "Selu": ([1.6732632, 1.050701], activations.selu),
    "Swish": ([1.0], activations.swish),
}
"""(Parameters that are the defaults of a function of rnngraph, this function), by op."""


@reads(*_WITH_NUMBERS)
def _with_numbers(call: Call) -> Outputs:
    function, defaults = _WITH_NUMBERS[call.op]
    numbers = _numbers(call, defaults)
    usual, plain = _PLAIN.get(call.op, ([], function))
    return mapped(call, plain) if numbers == usual else mapped(call, function, *numbers)


@reads("Gelu")
@reads("Gelu", domain="com.microsoft")
def _gelu(call: Call) -> Outputs:
    return mapped(
        call, activations.gelu, **({"approximate": True} if call.text("approximate", "none") == "tanh" else {})
    )


@reads("PRelu")
def _prelu(call: Call) -> Outputs:
    slopes = call.input(1)
    if call.opset < 7 and len(shape_of(slopes)) == 1 and call.rank() > 2:  # one slope for each channel
        slopes = call.tensors.reshape(slopes, (*shape_of(slopes), *(1,) * (call.rank() - 2)))
    slope = call.tensors.as_operand(slopes, call.rank(), dtype_of(call.input(0)), "slope")
    return call.script.call(activations.leaky_relu, call.value(0), slope)
