"""About what ops cost, for estimates of kernels."""

from __future__ import annotations

from ...ir.graph import Node

POLYNOMIALS = ("tanh", "sigmoid", "exp", "expm1", "log", "log1p", "sin", "cos", "erf")
"""Ops that are written as vector functions."""
LONG_CYCLES = 12.0
_LONG = (*POLYNOMIALS, "pow", "div", "sqrt")
POLYNOMIAL_INSTRUCTIONS = 25


def vector_cycles(node: Node) -> float:
    """Cycles a vector: most ops take one, a random one several polynomials' time."""
    if node.op.startswith(("random", "dropout")):
        return 5 * LONG_CYCLES
    return LONG_CYCLES if node.op in _LONG else 1.0


def instructions(node: Node) -> int:
    """Instructions of an op, for a vector."""
    return POLYNOMIAL_INSTRUCTIONS if node.op in POLYNOMIALS else 1
