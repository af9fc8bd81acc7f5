"""Functions whose gradient is chosen separately from their value: extremes, clamping, straight-through."""

from __future__ import annotations

from typing import Any

from ...ir.types import FLOATS
from ...support.api_guard import api
from ...support.arguments import one_of
from ..tensor import Tensor, as_tensor, binary, build, like, pair

TIES = ("first", "second", "both")


@api
def straight_through(x: Any, value: Any) -> Tensor:
    """Return ``value``, with the gradient of x: the straight-through estimator (Bengio et al. 2013).

    ``straight_through(x, rg.round(x))`` rounds, and passes gradients as if it did not. ``value`` gets no gradient.

    Args:
        x: float Tensor that gets the gradient.
        value: Tensor or array that broadcasts with x.
    """
    return binary("straight_through", x, value)


@api
def maximum(a: Any, b: Any, ties: str = "second") -> Tensor:
    """Return the larger operand, elementwise; NaN where either is NaN.

    Args:
        a: Tensor or number.
        b: Tensor or number.
        ties: Operand that gets the gradient where both are equal. ``second``: b. ``first``: a. ``both``: each gets half
            of the gradient, as in torch and JAX. Where an operand is NaN, b gets the gradient; with ``both``, each
            operand gets the whole gradient.
    """
    return _extreme("maximum", a, b, ties)


@api
def minimum(a: Any, b: Any, ties: str = "second") -> Tensor:
    """Return the smaller operand, elementwise; NaN where either is NaN.

    Args:
        a: Tensor or number.
        b: Tensor or number.
        ties: As for ``maximum``.
    """
    return _extreme("minimum", a, b, ties)


def _extreme(op: str, a: Any, b: Any, ties: str) -> Tensor:
    """Return the elementwise ``maximum`` or ``minimum``, as ``op`` says, with gradients as ``ties`` says."""
    one_of(ties, "ties", TIES)
    value = binary(op, a, b)
    if ties == "second" or value.dtype not in FLOATS:
        return value
    a, b = pair(a, b)
    larger, smaller = (a, b) if op == "maximum" else (b, a)
    if ties == "first":
        return straight_through(build("select", larger >= smaller, a, b), value)
    shared = build("select", build("equal", a, b), a * 0.5 + b * 0.5, a + b)  # a + b is NaN where an operand is NaN
    chosen = build("select", smaller < larger, a, build("select", larger < smaller, b, shared))
    return straight_through(chosen, value)


@api
def clip(x: Any, low: Any = None, high: Any = None) -> Tensor:
    """Clamp x to [low, high], as ``numpy.clip`` does. NaN stays NaN.

    The gradient passes to x inside the interval and at its limits, and to a limit that replaces x. Where an operand is
    NaN, there is no gradient.

    Args:
        x: Tensor.
        low: Lower limit, a number or a Tensor; None for no limit.
        high: Upper limit, which wins if it is the smaller one; None for no limit.
    """
    x = as_tensor(x)
    value = x if low is None else maximum(x, low) if isinstance(low, Tensor) else maximum(low, x)
    value = value if high is None else minimum(value, high) if isinstance(high, Tensor) else minimum(high, value)
    if value.dtype not in FLOATS or value is x:
        return value
    source = x if low is None else _limit(x, low, x >= low, x < low)
    source = source if high is None else _limit(source, high, source <= high, source > high)
    return straight_through(source, value)


def _limit(x: Tensor, limit: Any, is_inside: Tensor, is_outside: Tensor) -> Tensor:
    """Return x where ``is_inside``, and the limit where ``is_outside``: the operand that gets the gradient of ``clip``.

    Where an operand is NaN, both masks are False, and the result is a constant without a gradient.
    """
    bound = like(limit, x)
    if isinstance(limit, Tensor):
        bound = build("select", is_outside, bound, like(0.0, x))
    return build("select", is_inside, x, bound)
