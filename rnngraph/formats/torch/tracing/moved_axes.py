"""Moves transposes and added axes past elementwise calls, so that a later call can cancel them."""

from __future__ import annotations

from typing import TypeVar

from ....declare.functions.basic import expand_dims, transpose
from ...script import Script
from ...steps import Value
from .kinds import Function
from .values import expanded_of, shape_of

T = TypeVar("T")


def elementwise(script: Script, function: Function, x: object, *rest: object, **keywords: object) -> Value:
    """Apply an elementwise function to the source of a transpose or added axis, then move the axes of the result."""
    inner, order = untransposed(x)
    if order is not None:
        return script.call(transpose, script.call(function, inner, *rest, **keywords), order)
    expanded = expanded_of(x)
    if expanded is not None:
        return script.call(expand_dims, elementwise(script, function, expanded[0], *rest, **keywords), expanded[1])
    return script.call(function, x, *rest, **keywords)


def operation(script: Script, sign: str, a: object, b: object) -> Value:
    """Return ``a sign b``. If both operands have the same transpose, transpose the result instead."""
    (left, order), (right, other) = untransposed(a), untransposed(b)
    is_alone = not isinstance(a, Value) or not isinstance(b, Value)
    if (order or other) and (order == other or is_alone):
        return script.call(transpose, script.operation(sign, left, right), order or other)
    expanded = [expanded_of(item) for item in (a, b)]
    if any(pair is not None and pair[1] == 0 for pair in expanded) and sign != "@":
        inner = [item if pair is None else pair[0] for pair, item in zip(expanded, (a, b), strict=True)]
        ranks = [len(shape_of(item)) if isinstance(item, Value) else 0 for item in inner]
        are_alike = all(pair is None or pair[1] == 0 for pair in expanded)
        max_rank = max(rank for rank, pair in zip(ranks, expanded, strict=True) if pair is not None)
        if are_alike and max(ranks) == max_rank:
            return script.call(expand_dims, operation(script, sign, *inner), 0)
    return script.operation(sign, a, b)


def untransposed(x: T) -> tuple[T | Value, tuple[int, ...] | None]:
    """Return (source of a transpose, order of axes); (x, None) if ``x`` is not transposed."""
    if isinstance(x, Value) and x.step.key is transpose and not x.path:
        inner, order = x.step.operands
        return inner, order
    return x, None
