"""Declares lazy values in the script, and rounds values to dtypes of fewer bits.

A symbolic size that is used as a number is computed at run time, from the positions along an axis of this size.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import gcd
from typing import Any

import numpy as np
import torch

from ....declare.functions import basic
from ....declare.functions.arrays.moves import tile
from ....declare.functions.basic import concat, expand_dims, logical_or, reduce_max, reshape, stack
from ....declare.functions.padding import pad
from ....declare.functions.rounding import floor as rounded_down
from ....declare.functions.rounding import reduce_precision
from ....declare.functions.sequences import positions
from ....declare.tensor import Tensor, build, constant
from ....ir.sizes.polynomial import Floor, floor_divide, floors_of, terms_of
from ....ir.types import Dim, Size, quotient
from ...steps import Value
from .kinds import Arguments, Declaring, Number
from .numbers import SIGNS, OpenFloat, dim_of
from .tensors import ROUNDED_DTYPES
from .values import Computable, Filled, Positions, Repeated, Stacked, Written, shape_of


def materialized(tracer: Declaring, lazy: Computable) -> Value:
    """Declare a value that is so far only described, such as a constant tensor. Return the declared value."""
    if isinstance(lazy, Filled):
        return _filled(tracer, lazy)
    if isinstance(lazy, Positions):
        return _positions(tracer, lazy)
    if isinstance(lazy, Repeated):
        return _repeated(tracer, lazy)
    if isinstance(lazy, Stacked):
        items = [tracer.value(item, lazy.dtype) for item in lazy.items]
        return _with_symbolic_shape(tracer, _stacked(tracer, items, lazy.axis), lazy)
    return _with_symbolic_shape(tracer, _concatenate_written(tracer, lazy), lazy)


def along(tracer: Declaring, dim: Size) -> Value:
    """Declare the positions 0, 1, 2 and so on along an axis of a symbolic size."""
    key = "along", dim
    if key not in tracer.cached:
        value, axis = _of_size(tracer, dim)
        tracer.cached[key] = tracer.call(positions, value, axis, hint="positions")
    return tracer.cached[key]


def _of_size(tracer: Declaring, dim: Size) -> tuple[Value, int]:
    """Return (a value that has an axis of size ``dim``, that axis). The value may be a slice or padding of another."""
    places = [*_known_axes(tracer)]
    for value, axis, have in places:
        if have == dim:
            return value, axis
    for value, axis, have in places:  # Look for an axis that becomes one of size ``dim`` by slicing or padding.
        before = (slice(None),) * axis
        if isinstance(have, int):
            continue
        difference = dim - have
        if isinstance(difference, int) and difference < 0:
            return tracer.script.item(value, *before, slice(-difference, None)), axis
        if isinstance(difference, int):
            return tracer.call(pad, value, {axis: (0, difference)}), axis
        for floor in floors_of(dim):
            offset = floor.dim - have
            start = floor.by - 1 - offset if isinstance(offset, int) else -1
            if start >= 0 and dim == floor_divide(have + offset, floor.by):
                return tracer.script.item(value, *before, slice(start, None, floor.by)), axis
    factor = gcd(*(number for _, number in dim.terms))
    part = quotient(dim, factor)
    if factor > 1 and isinstance(part, Size):  # 2 * (T//2): an axis of size T//2, twice
        value, axis = _of_size(tracer, part)
        return tracer.call(tile, value, [factor if place == axis else 1 for place in range(value.tensor.rank)]), axis
    for floor in floors_of(dim):
        rest = dim - floor_divide(floor.dim, floor.by)
        if isinstance(rest, int):  # T//3: every third entry of an axis of size T (strided slice)
            value, axis = _of_size(tracer, floor.dim)
            before = (slice(None),) * axis
            value = tracer.script.item(value, *before, slice(floor.by - 1, None, floor.by))
            if rest > 0:
                value = tracer.call(pad, value, {axis: (0, rest)})
            return (tracer.script.item(value, *before, slice(-rest, None)) if rest < 0 else value), axis
        larger_half = floor_divide(floor.dim + 1, 2)
        if floor.by == 2 and dim == floor.dim - floor_divide(floor.dim, 2) and isinstance(larger_half, Size):
            return _of_size(tracer, larger_half)
    tracer.sizes.fix(dim)  # No tensor has an axis of this size, so the size must be a number.
    raise RuntimeError(f"no tensor has the size {dim}")


def _known_axes(tracer: Declaring) -> Iterator[tuple[Value, int, Dim]]:
    """Yield (value, axis, size) for each axis of the values in the script, inputs first."""
    computed = (Value(step.result, step) for step in tracer.script.steps)
    for value in (*tracer.script.inputs.values(), *computed):
        if isinstance(value.result, Tensor):
            for axis, dim in enumerate(value.result.type.shape):
                yield value, axis, dim


def number_of(tracer: Declaring, number: Number | Size, dtype: str) -> Value | float:
    """Declare a number that is computed from symbolic sizes as a scalar. A constant stays a Python number."""
    if isinstance(number, OpenFloat):
        return _fraction(tracer, number, dtype)
    if isinstance(number, float):
        return number
    dim = dim_of(number)
    if isinstance(dim, int):
        return float(dim) if dtype.startswith("float") else dim
    total: Value | int | None = None
    for names, coefficient in terms_of(dim):
        term: Value | int = coefficient
        for name in names:
            factor = _declare_quotient(tracer, name) if isinstance(name, Floor) else _count(tracer, name)
            term = factor if term == 1 else tracer.script.operation("*", factor, term)
        total = term if total is None else tracer.script.operation("+", term, total)
    return tracer.cast(total, dtype)


def _count(tracer: Declaring, name: str) -> Value:
    """Declare a named symbolic size, which is at least 1, as a scalar: the last position along an axis, plus 1."""
    last = tracer.call(reduce_max, along(tracer, Size((((name,), 1),))))
    return tracer.script.operation("+", last, 1)


def _declare_quotient(tracer: Declaring, floor: Floor) -> Value:
    """Declare the floor quotient of a size, which may be 0. Computed in float64, it is exact below 2**53."""
    part = tracer.script.operation("/", number_of(tracer, floor.dim, "float64"), float(floor.by))
    quotient: Value = tracer.cast(tracer.call(rounded_down, part), "int64")
    return quotient


def _fraction(tracer: Declaring, number: OpenFloat, dtype: str) -> Value | float:
    """Declare a float from its exact fraction or its expression. For an int dtype, fix the number's sizes."""
    if not dtype.startswith("float"):
        number.close()
    if number.ratio is not None:
        dim, by = number.ratio
        numerator = number_of(tracer, dim, dtype)
        return numerator if by == 1 else tracer.script.operation("/", numerator, float(by))
    name, *operands = number.expression
    values = [number_of(tracer, operand, dtype) for operand in operands]
    return tracer.script.operation(name, *values) if name in SIGNS else tracer.call(getattr(basic, name), *values)


def _filled(tracer: Declaring, lazy: Filled) -> Value:
    """Declare a tensor that is filled with one number, and may have symbolic sizes."""
    if len(lazy.shape) > 2 and lazy.shape[0] == 1:  # such as states [1, batch, width]; a later squeeze cancels the axis
        return tracer.call(expand_dims, tracer.value(Filled(lazy.number, lazy.shape[1:], lazy.dtype)), 0)
    kind = bool if lazy.dtype == "bool" else float if lazy.dtype.startswith("float") else int
    number = kind(lazy.number)
    symbolic = [(axis, dim) for axis, dim in enumerate(lazy.shape) if isinstance(dim, Size)]
    rank = len(lazy.shape)
    total: Value | None = None
    for axis, dim in symbolic:
        zeros = _full_of(0, tracer.script.operation("*", along(tracer, dim), 0))
        shape = (*(1,) * axis, -1, *(1,) * (rank - axis - 1))
        shaped = _full_of(0, tracer.call(reshape, zeros, shape)) if rank > 1 else zeros
        total = shaped if total is None else _full_of(0, tracer.script.operation("+", total, shaped))
    if total is None:
        total = tracer.call(constant, number, lazy.dtype)
        total = tracer.call(reshape, total, (1,) * rank) if rank else total
    else:
        whole = int(number) if kind is not float else 0
        total = _full_of(whole, tracer.script.operation("+", total, whole)) if whole else total
        total = _full_of(whole, tracer.cast(total, lazy.dtype))
        total = _full_of(number, tracer.script.operation("+", total, number)) if kind is float and number else total
    repeats = [dim if isinstance(dim, int) else 1 for dim in lazy.shape]
    if 0 in repeats:
        raise RuntimeError("an empty tensor is not supported in this operation; leave it out")
    return tracer.call(tile, total, repeats) if any(count > 1 for count in repeats) else total


def _full_of(number: float, value: Value) -> Value:
    """Record that all elements of a value equal a number. Rolling up then treats it as a constant outside of loops."""
    value.step.fill = float(number)
    return value


def _repeated(tracer: Declaring, lazy: Repeated) -> Value:
    """Declare a value that is repeated along axes of size 1."""
    own, value = shape_of(lazy.of), lazy.of
    if all(have == want or isinstance(want, int) for have, want in zip(own, lazy.shape, strict=True)):
        counts = [1 if have == want else want for have, want in zip(own, lazy.shape, strict=True)]
        return tracer.call(tile, value, counts)
    repeated = tuple(want if have == 1 else 1 for have, want in zip(own, lazy.shape, strict=True))
    if lazy.dtype == "bool":
        return tracer.call(logical_or, value, tracer.value(Filled(False, repeated, "bool")))
    return tracer.script.operation("+", value, tracer.value(Filled(0, repeated, lazy.dtype)))


def _positions(tracer: Declaring, lazy: Positions) -> Value:
    """Declare the 1-D tensor start, start + step, … of a fixed or symbolic length."""
    if isinstance(lazy.count, int):
        array = np.arange(lazy.count) * lazy.step + lazy.start
        return tracer.declared("positions", array.astype(lazy.dtype), False)
    tracer.on_time(lazy.count)
    places = along(tracer, lazy.count)
    if lazy.step != 1:
        places = tracer.script.operation("*", places, lazy.step)
    if lazy.start:
        places = tracer.script.operation("+", places, lazy.start)
    value: Value = tracer.cast(places, lazy.dtype)
    return value


def _with_symbolic_shape(tracer: Declaring, value: Value, lazy: Stacked | Written) -> Value:
    """Return a placeholder for stacked loop steps, with the loop's symbolic size along the stacked axis.

    The stack itself has the example's number of steps. After rolling up, the script is rebuilt without the stand-in.
    """
    if value.result.type.shape == lazy.shape or value.path:
        return value
    value.step.is_stand_in = True
    value.step.result = build("broadcast", constant(0, lazy.dtype), shape=lazy.shape)
    return Value(value.step.result, value.step)


def _stacked(tracer: Declaring, items: list[Value], axis: int) -> Value:
    if len(items) == 1:
        return tracer.call(expand_dims, items[0], axis)
    return tracer.call(stack, items, axis)


def _concatenate_written(tracer: Declaring, lazy: Written) -> Value:
    """Declare the concatenation of the written entries, and of constants for the entries between them."""
    ground, axis = lazy.ground, lazy.axis
    count = tracer.sizes.value(ground.shape[axis])
    rest = (*ground.shape[:axis], *ground.shape[axis + 1 :])
    if len(lazy.items) == count:
        tracer.on_time(ground.shape[axis])
        return _stacked(tracer, [tracer.value(lazy.items[place], ground.dtype) for place in range(count)], axis)
    parts: list[Value] = []
    adjacent: list[Value] = []
    empty = tracer.value(Filled(ground.number, (*rest[:axis], 1, *rest[axis:]), ground.dtype))
    for place in range(count):
        if place in lazy.items:
            adjacent.append(tracer.value(lazy.items[place], ground.dtype))
            continue
        parts += [_stacked(tracer, adjacent, axis)] if adjacent else []
        parts.append(empty)
        adjacent = []
    parts += [_stacked(tracer, adjacent, axis)] if adjacent else []
    return tracer.call(concat, parts, axis)


def rounded(tracer: Declaring, result: Any, expected: Any, is_moved: bool = False) -> Any:
    """Round declared results to torch's dtype, such as bfloat16, if the script computes in a wider one.

    Args:
        result: Nested values.
        expected: torch's results.
        is_moved: True if all numbers in the results are also in the operands, and so are already rounded.
    """
    if is_moved:
        return result
    if isinstance(result, list | tuple) and isinstance(expected, list | tuple):
        parts = [rounded(tracer, *pair) for pair in zip(result, expected, strict=True)]
        return type(result)(*parts) if hasattr(result, "_fields") else type(result)(parts)
    dtype = ROUNDED_DTYPES.get(getattr(expected, "dtype", torch.float32))
    if dtype is None or not isinstance(result, Value | Computable):
        return result
    if isinstance(result, Filled):
        number = torch.tensor(result.number, dtype=expected.dtype).item()
        return Filled(number, result.shape, result.dtype)
    return tracer.call(reduce_precision, tracer.value(result), dtype)


SUMS = frozenset(("add", "sub", "rsub", "__add__", "__radd__", "__sub__", "__rsub__", "pow", "__pow__"))
"""Functions in which torch first rounds a Python number to the tensor's dtype. Others use all bits of the number."""


def rounded_numbers(name: str, args: Arguments, expected: Any) -> Arguments:
    """Return a call's arguments, with numbers rounded to the dtype of torch's result if the function is in ``SUMS``."""
    if name not in SUMS or getattr(expected, "dtype", None) not in ROUNDED_DTYPES:
        return args
    return tuple(torch.tensor(item, dtype=expected.dtype).item() if type(item) is float else item for item in args)
