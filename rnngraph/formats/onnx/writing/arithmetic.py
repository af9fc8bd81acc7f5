"""Quotients, remainders and signs as ONNX's operators."""

from __future__ import annotations

from collections.abc import Sequence

from ....ir.graph import Node
from ....ir.types import FLOATS
from .scope import Scope

Operands = Sequence[str]


def quotient(scope: Scope, node: Node, operands: Operands) -> str:
    """Write a quotient. Integers divided by 0 give 0, as in rnngraph."""
    if node.dtype in FLOATS:
        return scope.add("Div", *operands, hint=node.name or node.op)
    (a, b), zero, one = operands, scope.constant(0, node.dtype, "zero"), scope.constant(1, node.dtype, "one")
    by_zero = scope.add("Equal", b, zero)
    result = scope.add("Div", a, scope.add("Where", by_zero, one, b))
    return scope.add("Where", by_zero, zero, result, hint=node.name or node.op)


def remainder(scope: Scope, node: Node, operands: Operands) -> str:
    """Write a remainder with the sign of a: Mod for floats; a - a / b * b for integers, but 0 where b is 0.

    ONNX's Mod is not used for integers, because onnxruntime converts them to floats.
    """
    if node.dtype in FLOATS:
        return scope.add("Mod", *operands, hint=node.name or node.op, fmod=1)
    (a, b), zero = operands, scope.constant(0, node.dtype, "zero")
    rest = scope.add("Sub", a, scope.add("Mul", quotient(scope, node, operands), b))
    return scope.add("Where", scope.add("Equal", b, zero), zero, rest, hint=node.name or node.op)


def copysign(scope: Scope, node: Node, operands: Operands) -> str:
    """Write the first operand's magnitude with the second's sign. 0 has the sign of 1 / 0; NaN is positive."""
    (a, b), zero, one = operands, scope.constant(0, node.dtype, "zero"), scope.constant(1, node.dtype, "one")
    inverse = scope.add("Less", scope.add("Div", one, b), zero)
    is_below = scope.add("Or", scope.add("Less", b, zero), scope.add("And", scope.add("Equal", b, zero), inverse))
    magnitude = scope.add("Abs", a)
    return scope.add("Where", is_below, scope.add("Neg", magnitude), magnitude, hint=node.name or node.op)
