"""Reads operands and options of ``keras.ops`` functions from calls and configurations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...declare.functions.basic import cast, not_equal
from ...declare.tensor import constant
from ..steps import Function, Value
from .core.configuration import Layer
from .core.declaration import Declaration, Inputs, Signal, Unreadable

_WIDENING = ("bool", "int32", "int64", "float32", "float64")
Operation = Callable[[Declaration, Layer, Inputs], Value | list[Value]]


def plain(b: Declaration, item: Any) -> Any:
    """Convert an argument in the file to a tensor of the script or a Python number. A list becomes a constant."""
    if isinstance(item, Signal):
        return item.value
    if isinstance(item, list):
        return b.script.call(constant, item)
    if isinstance(item, bool | int | float):
        return item
    raise Unreadable(f"an operand has type {type(item).__name__}; it must be a tensor, a number or an array of numbers")


def operands(b: Declaration, inputs: Inputs, count: int) -> list[Any]:
    """Return the first ``count`` arguments of a call as tensors and numbers.

    Raises ``Unreadable`` if the call has fewer arguments, or if none of them is a tensor.
    """
    if len(inputs.arguments) < count or not any(isinstance(item, Signal) for item in inputs.arguments[:count]):
        raise Unreadable(f"it has {len(inputs.arguments)} operands; it must have {count}, one of them a tensor")
    return [plain(b, item) for item in inputs.arguments[:count]]


def promoted(b: Declaration, items: list[Any], least: str = "bool") -> list[Any]:
    """Cast tensors to the widest dtype among the operands, as Keras 3 does.

    Python numbers stay numbers, but count as int32 or float32.

    Args:
        items: Tensors and numbers.
        least: Narrowest dtype to cast to.
    """
    widest = max([least, *(item.tensor.dtype for item in items if isinstance(item, Value))], key=_WIDENING.index)
    for item in items:
        kind = "float32" if type(item) is float else "int32" if type(item) is int else "bool"
        widest = max(widest, kind, key=_WIDENING.index)
    return [
        b.script.call(cast, item, widest) if isinstance(item, Value) and item.tensor.dtype != widest else item
        for item in items
    ]


def as_floats(b: Declaration, x: Value) -> Value:
    """Convert a tensor to float32, unless its dtype is a float dtype."""
    return x if x.tensor.dtype.startswith("float") else b.script.call(cast, x, "float32")


def as_truths(b: Declaration, x: Value) -> Value:
    """Convert a tensor to bool. Only 0 is False."""
    return x if x.tensor.dtype == "bool" else b.script.call(not_equal, x, 0)


def along_axis(function: Function, default: int | None) -> Operation:
    """Return the operation that calls a function of (tensor, axis).

    Args:
        default: Keras' default of ``axis``. With None, the function is called without an axis.
    """

    def along(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
        axis = axis_of(option(layer, inputs, "axis", 1, default))
        return b.script.call(function, *operands(b, inputs, 1), *([] if axis is None else [axis]))

    return along


def option(layer: Layer, inputs: Inputs, key: str, place: int, default: Any = None) -> Any:
    """Return an option of an operation: from the configuration if it has the option, otherwise from the call.

    Functions of TensorFlow, which Keras 2 stores as ``…OpLambda``, have options in the call only.

    Args:
        layer: The operation.
        inputs: Arguments of the call.
        key: Name of the option.
        place: Position of the option among the call's arguments.
        default: Value if neither has the option.
    """
    if key in layer.config and not layer.kind.endswith("OpLambda"):
        return layer.config.get(key)
    return inputs.keyword(key, place, default)


def axis_of(value: Any) -> Any:
    """Return a valid option ``axis``: an int, a tuple of ints, or None. Raises ``Unreadable`` for other values."""
    if isinstance(value, list | tuple):
        value = tuple(value)
        if all(isinstance(item, int) for item in value):
            return value
    elif value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise Unreadable(f"its axis must be a whole number or a list of these, not {value!r}")


def one_axis(value: Any, rank: int | None = None) -> int:
    """Return an option ``axis`` that is one axis as an int. Raises ``Unreadable`` for other values.

    Args:
        value: The option, an int or a list of one int.
        rank: Rank of the operand, by which a negative axis becomes nonnegative; None to keep it.
    """
    axis = axis_of(value)
    if isinstance(axis, tuple) and len(axis) == 1:
        axis = axis[0]
    if not isinstance(axis, int) or (rank is not None and not -rank <= axis < rank):
        raise Unreadable(f"its axis must be one axis of its input, not {value!r}")
    return axis if rank is None else axis % rank
