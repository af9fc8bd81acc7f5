"""Calls that are made before axes are transposed or added, so that a later call may take that back."""

from __future__ import annotations

from typing import Any

from ....declare.functions.basic import expand_dims, transpose
from ...script import Script
from ...steps import Value
from .kinds import Function
from .values import expanded_of, shape_of


def of_elements(script: Script, function: Function, x: object, *rest: object, **keywords: object) -> Value:
    """A function of each element."""
    inner, order = untransposed(x)
    if order is not None:
        return script.call(transpose, script.call(function, inner, *rest, **keywords), order)
    expanded = expanded_of(x)
    if expanded is not None:
        return script.call(expand_dims, of_elements(script, function, expanded[0], *rest, **keywords), expanded[1])
    return script.call(function, x, *rest, **keywords)


def operation(script: Script, sign: str, a: object, b: object) -> Value:
    """``a sign b``."""
    (left, order), (right, other) = untransposed(a), untransposed(b)
    is_alone = not isinstance(a, Value) or not isinstance(b, Value)
    if (order or other) and (order == other or is_alone):
        return script.call(transpose, script.operation(sign, left, right), order or other)
    expanded = [expanded_of(item) for item in (a, b)]
    if any(found is not None and found[1] == 0 for found in expanded) and sign != "@":
        inner = [item if found is None else found[0] for found, item in zip(expanded, (a, b), strict=True)]
        ranks = [len(shape_of(item)) if isinstance(item, Value) else 0 for item in inner]
        alike = all(found is None or found[1] == 0 for found in expanded)
        most = max(rank for rank, found in zip(ranks, expanded, strict=True) if found is not None)
        if alike and max(ranks) == most:
            return script.call(expand_dims, operation(script, sign, *inner), 0)
    return script.operation(sign, a, b)


def untransposed(x: Any) -> tuple[Any, tuple[int, ...] | None]:
    """A value before its transposition, and the order of axes; x and None where it is not transposed."""
    if isinstance(x, Value) and x.step.key is transpose and not x.path:
        inner, order = x.step.operands
        return inner, order
    return x, None
