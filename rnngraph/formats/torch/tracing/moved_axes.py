"""Moves transposes and added axes past elementwise calls, so that a later call can cancel them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from ....declare.functions.basic import expand_dims, reshape, transpose
from ...script import Script
from ...steps import Step, Value
from .kinds import Function
from .values import expanded_of, shape_of

T = TypeVar("T")


def elementwise(script: Script, function: Function, x: object, *rest: object, **keywords: object) -> Value:
    """Declare an elementwise function of x, moved ahead of x's transposes and added axes."""
    inner, steps, _ = unviewed(x)
    if steps:
        return viewed(script, script.call(function, inner, *rest, **keywords), steps)
    expanded = expanded_of(x)
    if expanded is not None:
        return script.call(expand_dims, elementwise(script, function, expanded[0], *rest, **keywords), expanded[1])
    return script.call(function, x, *rest, **keywords)


def operation(script: Script, sign: str, a: object, b: object) -> Value:
    """Return ``a sign b``. If both operands have the same transposes, transpose the result instead."""
    (left, steps, _), (right, others, _) = unviewed(a), unviewed(b)
    is_alone = not isinstance(a, Value) or not isinstance(b, Value)
    if (steps or others) and (is_alone or _are_alike(steps, others)):
        return viewed(script, script.operation(sign, left, right), steps or others)
    expanded = [expanded_of(item) for item in (a, b)]
    if any(pair is not None and pair[1] == 0 for pair in expanded) and sign != "@":
        inner = [item if pair is None else pair[0] for pair, item in zip(expanded, (a, b), strict=True)]
        ranks = [len(shape_of(item)) if isinstance(item, Value) else 0 for item in inner]
        are_alike = all(pair is None or pair[1] == 0 for pair in expanded)
        max_rank = max(rank for rank, pair in zip(ranks, expanded, strict=True) if pair is not None)
        if are_alike and max(ranks) == max_rank:
            return script.call(expand_dims, operation(script, sign, *inner), 0)
    return script.operation(sign, a, b)


def unviewed(x: T, axis: int = -1) -> tuple[T | Value, list[Step], int]:
    """Return (x before its transposes and reshapes, these steps from last to first, ``axis`` in the source).

    Elementwise functions on the source are computed together with the convolution's products.

    Args:
        x: The value.
        axis: Axis of the value to follow, which reshapes must keep last; -1 for none.

    Returns:
        (source of the value, skipped steps from last to first, position of the axis in the source).
    """
    source: T | Value = x
    steps: list[Step] = []
    is_picture = isinstance(x, Value) and len(shape_of(x)) == 4
    while isinstance(source, Value) and not source.path and source.step.key in (transpose, reshape):
        inner, entries = source.step.operands
        if source.step.key is transpose:
            axis = entries[axis] if axis >= 0 else axis
        elif not is_picture or not _keeps_channels(inner, source, axis):
            break
        else:
            axis = len(shape_of(inner)) - 1 if axis >= 0 else axis
        steps.append(source.step)
        source = inner
    return source, steps, axis


def _are_alike(steps: Sequence[Step], others: Sequence[Step]) -> bool:
    """True if two lists of skipped steps are the same transposes and reshapes, with sources of equal shapes."""
    if [(step.key, step.operands[1]) for step in steps] != [(step.key, step.operands[1]) for step in others]:
        return False
    return all(
        step.key is transpose or shape_of(step.operands[0]) == shape_of(other.operands[0])
        for step, other in zip(steps, others, strict=True)
    )


def _keeps_channels(before: Value, after: Value, axis: int) -> bool:
    shapes = shape_of(before), shape_of(after)
    return shapes[0][-1:] == shapes[1][-1:] and axis in (-1, len(shapes[1]) - 1) and len(shapes[0]) > 2


def viewed(script: Script, y: Value, steps: Sequence[Step]) -> Value:
    """Apply to y the transposes and reshapes that ``unviewed`` skipped and listed in ``steps``."""
    for step in reversed(steps):
        y = script.call(step.key, y, *step.operands[1:])
    return y
