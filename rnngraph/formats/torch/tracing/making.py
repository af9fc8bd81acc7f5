"""Values of what was left open so far: tensors of one number, positions, stacks. As shapes have open sizes, they are
made of the positions along an axis that has such a size.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import gcd
from typing import Any

import numpy as np

from ....declare.functions import basic
from ....declare.functions.arrays.moves import tile
from ....declare.functions.basic import concat, expand_dims, logical_or, reshape, stack
from ....declare.functions.basic import reduce_max as largest
from ....declare.functions.padding import pad
from ....declare.functions.rounding import floor as rounded_down
from ....declare.functions.sequences import positions
from ....declare.tensor import Tensor, build, constant
from ....ir.sizes.polynomial import Floor, floor_divide, floors_of, terms_of
from ....ir.types import Dim, Size, quotient
from ...steps import Value
from .kinds import Declaring, Number
from .numbers import SIGNS, OpenFloat, dim_of
from .values import Filled, Positions, Repeated, Stacked, Written, shape_of


def made(tracer: Declaring, lazy: Filled | Positions | Repeated | Stacked | Written) -> Value:
    """The value of the script that something stands for."""
    if isinstance(lazy, Filled):
        return _filled(tracer, lazy)
    if isinstance(lazy, Positions):
        return _positions(tracer, lazy)
    if isinstance(lazy, Repeated):
        return _repeated(tracer, lazy)
    if isinstance(lazy, Stacked):
        return _assumed(
            tracer, _stacked(tracer, [tracer.value(item, lazy.dtype) for item in lazy.items], lazy.axis), lazy
        )
    return _assumed(tracer, _written(tracer, lazy), lazy)


def along(tracer: Declaring, dim: Size) -> Value:
    """0, 1 and on, up to an open size."""
    key = "along", dim
    if key not in tracer.cached:
        value, axis = _of_size(tracer, dim)
        tracer.cached[key] = tracer.call(positions, value, axis, hint="positions")
    made_once: Value = tracer.cached[key]
    return made_once


def _of_size(tracer: Declaring, dim: Size) -> tuple[Value, int]:
    """A tensor and its axis of this size."""
    places = [*_places(tracer)]
    for value, axis, have in places:
        if have == dim:
            return value, axis
    for value, axis, have in places:  # of which a part or more is of this size
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
    if factor > 1:  # of 2 * (T//2) twice what has T//2
        value, axis = _of_size(tracer, quotient(dim, factor))  # type: ignore[arg-type]
        return tracer.call(tile, value, [factor if place == axis else 1 for place in range(value.tensor.rank)]), axis
    for floor in floors_of(dim):
        rest = dim - floor_divide(floor.dim, floor.by)
        if isinstance(rest, int):  # of T//3 every third of what has T
            value, axis = _of_size(tracer, floor.dim)
            before = (slice(None),) * axis
            value = tracer.script.item(value, *before, slice(floor.by - 1, None, floor.by))
            if rest > 0:
                value = tracer.call(pad, value, {axis: (0, rest)})
            return (tracer.script.item(value, *before, slice(-rest, None)) if rest < 0 else value), axis
        if floor.by == 2 and dim == floor.dim - floor_divide(floor.dim, 2):  # the larger half
            return _of_size(tracer, floor_divide(floor.dim + 1, 2))  # type: ignore[arg-type]
    tracer.sizes.fix(dim)  # no tensor has it: it must be a number
    raise RuntimeError(f"no tensor has the size {dim}")


def _places(tracer: Declaring) -> Iterator[tuple[Value, int, Dim]]:
    """Axes of what the script has so far, inputs first: (value, axis, size)."""
    made_so_far = (Value(step.thing, step) for step in tracer.script.steps)
    for value in (*tracer.script.inputs.values(), *made_so_far):
        if isinstance(value.thing, Tensor):
            for axis, dim in enumerate(value.thing.type.shape):
                yield value, axis, dim


def number_of(tracer: Declaring, number: Number | Size, dtype: str) -> Value | float:
    """A size as a number that a call computes, or what code computes of sizes."""
    if isinstance(number, OpenFloat):
        return _fraction(tracer, number, dtype)
    if isinstance(number, float):
        return number
    dim = dim_of(number)
    if isinstance(dim, int):
        return float(dim) if dtype.startswith("float") else dim
    total: Any = None
    for names, factor in terms_of(dim):
        term: Any = factor
        for name in names:
            found = _divided(tracer, name) if isinstance(name, Floor) else _count(tracer, name)
            term = found if term == 1 else tracer.script.operation("*", found, term)
        total = term if total is None else tracer.script.operation("+", term, total)
    return tracer.cast(total, dtype)


def _count(tracer: Declaring, name: str) -> Value:
    """A size that has a name, and so is at least 1."""
    last = tracer.call(largest, along(tracer, Size((((name,), 1),))))
    found: Value = tracer.script.operation("+", last, 1)
    return found


def _divided(tracer: Declaring, floor: Floor) -> Value:
    """A quotient of a size, which may be 0, in float64, which is exact below 2**53."""
    part = tracer.script.operation("/", number_of(tracer, floor.dim, "float64"), float(floor.by))
    found: Value = tracer.cast(tracer.call(rounded_down, part), "int64")
    return found


def _fraction(tracer: Declaring, number: OpenFloat, dtype: str) -> Value | float:
    if not dtype.startswith("float"):
        number.close()
    if number.ratio is not None:
        dim, by = number.ratio
        found = number_of(tracer, dim, dtype)
        return found if by == 1 else tracer.script.operation("/", found, float(by))
    name, *operands = number.made
    made_of = [number_of(tracer, operand, dtype) for operand in operands]
    return tracer.script.operation(name, *made_of) if name in SIGNS else tracer.call(getattr(basic, name), *made_of)


def _filled(tracer: Declaring, lazy: Filled) -> Value:
    if len(lazy.shape) > 2 and lazy.shape[0] == 1:  # as states of a layer are, which later calls squeeze
        return tracer.call(expand_dims, tracer.value(Filled(lazy.number, lazy.shape[1:], lazy.dtype)), 0)
    kind = bool if lazy.dtype == "bool" else float if lazy.dtype.startswith("float") else int
    number: Any = kind(lazy.number)
    opened = [(axis, dim) for axis, dim in enumerate(lazy.shape) if isinstance(dim, Size)]
    rank = len(lazy.shape)
    found: Any = None
    for axis, dim in opened:
        zeros = tracer.script.operation("*", along(tracer, dim), 0)
        shaped = tracer.call(reshape, zeros, (*(1,) * axis, -1, *(1,) * (rank - axis - 1))) if rank > 1 else zeros
        found = shaped if found is None else tracer.script.operation("+", found, shaped)
    if found is None:
        found = tracer.call(constant, number, lazy.dtype)
        found = tracer.call(reshape, found, (1,) * rank) if rank else found
    else:
        found = tracer.script.operation("+", found, int(number)) if kind is not float and number else found
        found = tracer.cast(found, lazy.dtype)
        found = tracer.script.operation("+", found, number) if kind is float and number else found
    repeats = [dim if isinstance(dim, int) else 1 for dim in lazy.shape]
    if 0 in repeats:
        raise RuntimeError("an empty tensor is not read here")
    return tracer.call(tile, found, repeats) if any(count > 1 for count in repeats) else found


def _repeated(tracer: Declaring, lazy: Repeated) -> Value:
    own, value = shape_of(lazy.of), lazy.of
    if all(have == want or isinstance(want, int) for have, want in zip(own, lazy.shape, strict=True)):
        counts = [1 if have == want else want for have, want in zip(own, lazy.shape, strict=True)]
        found: Value = tracer.call(tile, value, counts)
        return found
    opened = tuple(want if have == 1 else 1 for have, want in zip(own, lazy.shape, strict=True))
    if lazy.dtype == "bool":
        return tracer.call(logical_or, value, tracer.value(Filled(False, opened, "bool")))
    return tracer.script.operation("+", value, tracer.value(Filled(0, opened, lazy.dtype)))


def _positions(tracer: Declaring, lazy: Positions) -> Value:
    if isinstance(lazy.count, int):
        array = np.arange(lazy.count) * lazy.step + lazy.start
        return tracer.declared("positions", array.astype(lazy.dtype), False)
    tracer.on_time(lazy.count)
    found = along(tracer, lazy.count)
    if lazy.step != 1:
        found = tracer.script.operation("*", found, lazy.step)
    if lazy.start:
        found = tracer.script.operation("+", found, lazy.start)
    return tracer.cast(found, lazy.dtype)


def _assumed(tracer: Declaring, value: Value, lazy: Stacked | Written) -> Value:
    """Steps over an axis of open size, as what a driver over that axis gives: of this size, not of the example's.
    The script is made anew before anyone has it.
    """
    if value.thing.type.shape == lazy.shape or value.path:
        return value
    tracer.has_assumed = True
    value.step.thing = build("broadcast", constant(0, lazy.dtype), shape=lazy.shape)
    return Value(value.step.thing, value.step)


def _stacked(tracer: Declaring, items: list[Value], axis: int) -> Value:
    if len(items) == 1:
        return tracer.call(expand_dims, items[0], axis)
    return tracer.call(stack, items, axis)


def _written(tracer: Declaring, lazy: Written) -> Value:
    """Values where they were written, and the number elsewhere."""
    ground, axis = lazy.ground, lazy.axis
    count = tracer.sizes.value(ground.shape[axis])
    rest = (*ground.shape[:axis], *ground.shape[axis + 1 :])
    if len(lazy.items) == count:
        return _stacked(tracer, [tracer.value(lazy.items[place], ground.dtype) for place in range(count)], axis)
    parts: list[Value] = []
    run: list[Value] = []
    empty = tracer.value(Filled(ground.number, (*rest[:axis], 1, *rest[axis:]), ground.dtype))
    for place in range(count):
        if place in lazy.items:
            run.append(tracer.value(lazy.items[place], ground.dtype))
            continue
        parts += [_stacked(tracer, run, axis)] if run else []
        parts.append(empty)
        run = []
    parts += [_stacked(tracer, run, axis)] if run else []
    return tracer.call(concat, parts, axis)
